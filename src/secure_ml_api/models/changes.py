"""How the workers of one machine learn that a model's life has changed, and how it is known that all have heard.

What is to be is in the files of the models folder; here is only when somebody should look. Files under ``run/``: one
with the number of the newest change, and one of each worker with the newest that it has taken.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import NamedTuple

from ..errors import StorageUnavailable
from .small_file import read_small, write_small

_POLL_SECONDS = 0.02
_PRIVATE = 0o600


class Wanted(NamedTuple):
    """The newest change, and for each model the change since which it is to be verified anew."""

    number: int
    again: Mapping[str, int]


class Report(NamedTuple):
    """What one worker has taken, and what was wrong with it."""

    number: int
    pid: int
    problems: Mapping[str, str]
    unready: Collection[str]
    """Names of models of which no version answers there."""
    leaves_at: float
    """The monotonic second from which on no request that comes reaches it."""

    def has_taken(self, number: int, now: float) -> bool:
        """Whether no request that comes at the second ``now`` is answered as before change ``number``."""
        return self.number >= number or self.leaves_at <= now


_NOTHING = Wanted(0, {})


class Changes:
    """The changes of one home; nothing is made before the first use."""

    def __init__(self, run_directory: Path) -> None:
        self._directory = run_directory / "models"

    def announce(self, name: str) -> int:
        """Say that the life of ``name`` has changed; the number of this change. Raises StorageUnavailable."""
        try:
            with self._alone():
                before = self.wanted()
                # By the clock, so that a folder that was lost does not begin again with numbers that were taken.
                number = max(before.number + 1, time.time_ns())
                told = {"number": number, "again": {**before.again, name: number}}
                write_small(self._directory / "wanted", json.dumps(told).encode(), _PRIVATE)
                return number
        except OSError as error:
            raise StorageUnavailable(f"the change cannot be told to the workers ({error.strerror})") from None

    def wanted(self) -> Wanted:
        """The newest change that was announced."""
        try:
            data = read_small(self._directory / "wanted")
            if data is None:
                return _NOTHING
            told = json.loads(data)
            return Wanted(told["number"], told["again"])
        except (OSError, ValueError, KeyError, TypeError):
            return _NOTHING

    def report(self, slot: int, report: Report) -> None:
        """Of the worker in ``slot``."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = report._asdict() | {"problems": dict(report.problems), "unready": list(report.unready)}
        write_small(self._directory / f"applied.{slot}", json.dumps(told).encode(), _PRIVATE)

    def reports(self) -> list[Report]:
        """Those of the workers that live."""
        found = []
        for path in sorted(self._directory.glob("applied.*")):
            try:
                report = Report(**json.loads(read_small(path) or b""))
            except (OSError, ValueError, TypeError):
                continue
            if Path(f"/proc/{report.pid}").exists():
                found.append(report)
        return found

    def problems(self) -> dict[str, str]:
        """What any worker that stays found wrong, and how many of them did unless all; places as the registry's."""
        reports = _of_those_who_stay(self.reports())
        found: dict[str, str] = {}
        for where in sorted({where for report in reports for where in report.problems}):
            told = [report.problems[where] for report in reports if where in report.problems]
            part = f" (on {len(told)} of {len(reports)} workers)" if len(told) < len(reports) else ""
            found[where] = f"{told[0]}{part}"
        return found

    def unready(self) -> set[str]:
        """Names of models that some worker that stays has no version of."""
        return {name for report in _of_those_who_stay(self.reports()) for name in report.unready}

    def wait(self, number: int, until: float, go_on: Callable[[], bool] = lambda: True) -> list[Report] | None:
        """The reports of those who stay once every worker has taken change ``number``.

        None when ``until``, on the monotonic clock, has passed first, or ``go_on`` says no.
        """
        while True:
            reports = self.reports()
            if all(report.has_taken(number, time.monotonic()) for report in reports):
                return _of_those_who_stay(reports)
            if time.monotonic() >= until or not go_on():
                return None
            time.sleep(_POLL_SECONDS)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _of_those_who_stay(reports: Iterable[Report]) -> list[Report]:
    return [report for report in reports if report.leaves_at == inf]
