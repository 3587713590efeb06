from __future__ import annotations

import pytest

from secure_ml_api.telemetry.request_ids import request_id_from


@pytest.mark.parametrize("header", ["a", "A-b_c.9", "x" * 64])
def test_acceptable_id_of_the_caller_is_kept(header: str) -> None:
    assert request_id_from(header) == header


@pytest.mark.parametrize("header", [None, "", "x" * 65, "a b", "a\n", "ä", "a/b", "<script>", "٣"])
def test_any_other_id_is_replaced_by_a_new_one(header: str | None) -> None:
    made = request_id_from(header)
    assert len(made) == 32
    assert made != request_id_from(header)
