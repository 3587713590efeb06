"""What the workers of a machine have seen of canaries: each writes a file of its own, and anyone adds them up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, TypeAdapter

from .slot_files import SlotFiles

# Of each trial name, version, id, and the digest of what serves; requests, failures and seconds of both.
_Count = Annotated[int, Field(ge=0, lt=2**48)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Side = tuple[_Count, _Count, _Seconds]
_TOLD = TypeAdapter(list[tuple[str, str, str, str, _Side, _Side]])


class Trial(NamedTuple):
    """Which canary was tried, and which time it was."""

    name: str
    version: str
    id: str


@dataclass(slots=True)
class Side:
    """The requests that one version answered; ``seconds`` is the time of those that did not fail."""

    requests: int = 0
    failures: int = 0
    seconds: float = 0.0

    @property
    def answered(self) -> int:
        return self.requests - self.failures

    @property
    def mean_seconds(self) -> float:
        return self.seconds / self.answered if self.answered > 0 else 0.0

    def add(self, other: Side) -> None:
        self.requests += other.requests
        self.failures += other.failures
        self.seconds += other.seconds


@dataclass(slots=True)
class Seen:
    """What was seen of a canary, ``tried``, and of what ``serves``: a package's digest, or empty without any."""

    trial: Trial
    serves: str
    tried: Side = field(default_factory=Side)
    served: Side = field(default_factory=Side)

    def add(self, other: Seen) -> None:
        """Count what ``other`` saw too, as far as it is of the same trial beside the same package."""
        if other.trial == self.trial:
            self.tried.add(other.tried)
            if other.serves == self.serves:
                self.served.add(other.served)


class TrialFiles:
    """The files under ``directory``, one for each worker slot; those of the dead count until their trials end."""

    def __init__(self, directory: Path) -> None:
        self._files = SlotFiles(directory)

    def write(self, slot: int, seen: Iterable[Seen]) -> None:
        """What the worker in ``slot`` has seen so far; raises OSError."""
        told = [[*each.trial, each.serves, astuple(each.tried), astuple(each.served)] for each in seen]
        self._files.write(slot, json.dumps(told))

    def read(self) -> Iterator[tuple[int, list[Seen]]]:
        """What the worker of each slot told last; a file that is spoiled says nothing."""
        for slot, data in self._files.read():
            try:
                told = _TOLD.validate_json(data)
            except ValueError:
                continue
            yield (
                slot,
                [
                    Seen(Trial(name, version, trial), serves, Side(*tried), Side(*served))
                    for name, version, trial, serves, tried, served in told
                ],
            )
