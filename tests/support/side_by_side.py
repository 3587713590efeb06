"""Calls that walk down the spine side by side to their ends, and what was counted of them."""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue

from secure_ml_api.inference.call import Call
from secure_ml_api.inference.together import arrive, walk
from support.spine import Rooms

ROWS_RUN = "secure_ml_api_batch_rows_sum"
RUNS = "secure_ml_api_batch_rows_count"


def counted(rooms: Rooms, name: str, **labels: str) -> float:
    named = {"model": "iris", **labels, "version": "1"}
    return rooms.counted(name + "{" + ",".join(f'{key}="{value}"' for key, value in named.items()) + "}")


def walked(rooms: Rooms, calls: Sequence[Call]) -> list[Exception | None]:
    """What stopped each of ``calls``, those that were parked too, with every lease given back."""
    over: SimpleQueue[Call] = SimpleQueue()
    walk(calls, rooms.services(), over.put)
    for _ in [call for call in calls if call.job is not None]:
        arrive([over.get(timeout=30)], rooms.services())
    assert all(lease.released == 1 for lease in rooms.limiter.leases)
    return [call.stopped_by for call in calls]
