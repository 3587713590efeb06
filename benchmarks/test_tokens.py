"""What a token costs: read from the header, verified for the first time, found verified, and its standing looked up."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.conftest import Bench
from secure_ml_api.auth.compact import bearer_token, read_unverified

pytestmark = pytest.mark.benchmark(group="a token")


def test_bearer_token(bench: Bench, benchmark: Any) -> None:
    assert benchmark(bearer_token, f"Bearer {bench.token}") == bench.token


def test_read_unverified(bench: Bench, benchmark: Any) -> None:
    benchmark(read_unverified, bench.token)


def test_verify_signature_and_claims(bench: Bench, benchmark: Any) -> None:
    benchmark(bench.services.authenticator.verify, bench.token)


def test_standing(bench: Bench, benchmark: Any) -> None:
    authenticator = bench.services.authenticator
    benchmark(authenticator.standing, authenticator.verify(bench.token))


def test_authenticate_a_token_seen_before(bench: Bench, benchmark: Any) -> None:
    benchmark(bench.services.authenticator.authenticate, f"Bearer {bench.token}")
