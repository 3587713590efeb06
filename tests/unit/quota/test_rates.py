"""Rates as they are written and as the ``limits`` library keys them."""

from __future__ import annotations

import limits
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import SettingsError
from secure_ml_api.quota.rates import parse_rate

UNITS = st.sampled_from(["second", "minute", "hour", "day"])


@given(st.integers(1, 999_999_999_999), UNITS)
def test_a_rate_means_what_the_limits_library_reads_in_it(limit: int, unit: str) -> None:
    written = f"{limit}/{unit}"
    ours, theirs = parse_rate(written), limits.parse(written)
    assert (ours.limit, ours.window_seconds) == (theirs.amount, theirs.get_expiry())


@given(st.integers(1, 999_999_999_999), UNITS)
def test_a_rate_ends_its_keys_as_the_limits_library_does(limit: int, unit: str) -> None:
    written = f"{limit}/{unit}"
    assert limits.parse(written).key_for("client:a", "rows") == f"LIMITER/client:a/rows/{parse_rate(written).key}"


@pytest.mark.parametrize(
    "written",
    ["", "600", "600/", "0/minute", "-1/minute", "1.5/minute", "600/month", "600 /minute", "600/minute\n", "٣/day"],
)
def test_anything_else_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(SettingsError, match="600/minute"):
        parse_rate(written)
