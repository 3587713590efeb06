"""The two response fields, as the draft's grammar and examples have them."""

from __future__ import annotations

from secure_ml_api.quota.headers import ratelimit_headers
from secure_ml_api.quota.standings import Standing

REQUESTS = Standing("requests", 600, 60, 599, 42)
ROWS = Standing("rows", 100_000, 3600, 0, 3600)


def test_both_quotas_are_listed_in_both_fields() -> None:
    assert ratelimit_headers([REQUESTS, ROWS]) == {
        "RateLimit-Policy": '"requests";q=600;w=60, "rows";q=100000;qu="rows";w=3600',
        "RateLimit": '"requests";r=599;t=42, "rows";r=0;t=3600',
    }


def test_requests_are_the_unit_that_need_not_be_named() -> None:
    assert "qu=" not in ratelimit_headers([REQUESTS])["RateLimit-Policy"]


def test_a_partition_key_is_a_byte_sequence_in_both_fields() -> None:
    assert ratelimit_headers([REQUESTS], partition_key=b"App-999") == {
        "RateLimit-Policy": '"requests";q=600;w=60;pk=:QXBwLTk5OQ==:',
        "RateLimit": '"requests";r=599;t=42;pk=:QXBwLTk5OQ==:',
    }


def test_no_quota_no_field() -> None:
    assert ratelimit_headers([]) == {}
