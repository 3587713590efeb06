"""What a call costs on the spine, step by step, and how it is refused there."""

from __future__ import annotations

from typing import Any

import pytest

from secure_ml_api.errors import Refusal
from secure_ml_api.inference.call import Call
from secure_ml_api.inference.spine import predict

from .spine import Rooms

# What every call of a known client costs before anything is looked up for it, and what it costs to be let in.
KNOWN = ["peek failed-authentications", "authenticate", "check requests"]
LET_IN = ["enter", "charge requests and rows"]
MISTAKE = "charge requests"
PREDICTIONS = 'secure_ml_api_predictions_total{model="iris",outcome="%s",version="1"}'


def refused(rooms: Rooms, call: Call, kind: type[Refusal]) -> Any:
    """The refusal of ``kind`` that ``call`` must meet, with every lease given back once."""
    with pytest.raises(kind) as caught:
        predict(call, rooms.services())
    assert [lease.released for lease in rooms.limiter.leases] == [1] * len(rooms.limiter.leases)
    assert call.lease is None
    return caught.value


def outcome(word: str) -> str:
    """The counter of predictions that ended so."""
    return PREDICTIONS.replace("%s", word)
