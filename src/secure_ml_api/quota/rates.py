"""Rates as settings and clients carry them, ``600/minute``, read once each."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ..errors import SettingsError

_WRITTEN = re.compile(r"([1-9][0-9]{0,11})/(second|minute|hour|day)")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


class Rate(NamedTuple):
    """At most ``limit`` units in each window of ``window_seconds``."""

    limit: int
    window_seconds: int
    unit: str
    key: str
    """How the ``limits`` library ends the keys of this rate."""


@lru_cache(maxsize=4096)
def parse_rate(written: str) -> Rate:
    """The rate that ``written`` means, for example ``600/minute``; raises SettingsError for anything else."""
    match = _WRITTEN.fullmatch(written)
    if match is None:
        raise SettingsError("a rate is a whole number and a unit, as in 600/minute (second, minute, hour or day)")
    limit, unit = int(match[1]), match[2]
    return Rate(limit, _SECONDS[unit], unit, f"{limit}/1/{unit}")
