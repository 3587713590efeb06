"""What is charged to a subject's quotas, where it stands with them then, and what a refusal tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import QuotaExceeded
from .rates import parse_rate
from .windows import NANOSECONDS, Verdict, Wanted, Window


class Charge(NamedTuple):
    """``cost`` units of the quota ``name``, which is ``rate`` (as in ``600/minute``) for the subject charged."""

    name: str
    rate: str
    cost: int = 1


class Standing(NamedTuple):
    """Where a subject stands with one quota: ``remaining`` of ``limit`` units for the next ``reset_seconds``."""

    name: str
    limit: int
    window_seconds: int
    remaining: int
    reset_seconds: int


def judge(charges: Sequence[Charge], wanted: Wanted, verdict: Verdict) -> tuple[Standing, ...]:
    admitted, windows = verdict
    standings = standings_of(charges, wanted, windows)
    if not admitted:
        raise refusal_of(charges, standings)
    return standings


def standings_of(charges: Sequence[Charge], wanted: Wanted, windows: Sequence[Window]) -> tuple[Standing, ...]:
    return tuple(
        [
            Standing(charge[0], limit, window_seconds, max(0, limit - used), -(-left_ns // NANOSECONDS))
            for charge, ((_, _, limit, window_seconds), _), (used, left_ns) in zip(
                charges, wanted, windows, strict=True
            )
        ]
    )


def refusal_of(charges: Sequence[Charge], standings: tuple[Standing, ...]) -> QuotaExceeded:
    """What to tell the caller: the quota that can never hold the request, or the one that is free last."""
    asked = zip(charges, standings, strict=True)
    violated = [(charge, standing) for charge, standing in asked if charge.cost > standing.remaining]
    names = [standing.name for _, standing in violated]
    for charge, standing in violated:
        if charge.cost > standing.limit:
            detail = f"the request needs more than the whole quota of {_said(standing, charge)}; ask for less at once"
            return QuotaExceeded(detail, standing.window_seconds, never=True, standings=standings, violated=names)
    charge, last = max(violated, key=lambda pair: pair[1].reset_seconds)
    detail = f"the quota of {_said(last, charge)} is used up"
    return QuotaExceeded(detail, max(1, last.reset_seconds), standings=standings, violated=names)


def _said(standing: Standing, charge: Charge) -> str:
    return f"{standing.limit} {standing.name.replace('_', ' ')} per {parse_rate(charge.rate).unit}"
