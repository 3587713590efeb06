"""A registry that is kept as its home says, in a process of the tests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf
from types import MappingProxyType

from secure_ml_api.models.caretaker import Caretaker
from secure_ml_api.models.changes import Changes, Report
from secure_ml_api.models.model import Model
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.store import Store
from secure_ml_api.models.turns import Turns
from secure_ml_api.models.withheld import Withheld
from secure_ml_api.runtimes.protocol import Runtime


class Worker:
    """A registry that is kept as the home says."""

    def __init__(
        self,
        store: Store,
        changes: Changes,
        slot: int = 0,
        watch_seconds: float = 0.0,
        runtimes: Sequence[Runtime] = (),
    ) -> None:
        self.withheld = Withheld(store.models_directory, store.models_directory.parent)
        self.registry = Registry(store, withheld=self.withheld, runtimes=runtimes)
        turns = Turns(store.models_directory.parent / "run", places=1)
        self.caretaker = Caretaker(store, self.registry, changes, turns, self.withheld, watch_seconds=watch_seconds)
        self.registry.load()
        self.registry.warm_up()
        self.told: list[tuple[list[str], list[str]]] = []
        self.slot = slot

    def start(self, ask_for_relief: Callable[[], None] | None = None) -> Worker:
        self.caretaker.start_worker(self.slot, self._tell, ask_for_relief)
        return self

    def take_canary_back(self) -> bool:
        """The one that this worker knows of, whatever the home says by now."""
        canary = self.registry.canary("tiny")
        return canary is not None and self.caretaker.take_canary_back("tiny", canary.rules.trial)

    def _tell(self, before: object, after: object) -> None:
        self.told.append(
            ([model.version for model in models_of(before)], [model.version for model in models_of(after)])
        )


def models_of(models: object) -> list[Model]:
    assert isinstance(models, tuple)
    return list(models)


def report(
    changes: Changes,
    slot: int,
    number: int,
    problems: Mapping[str, str] = MappingProxyType({}),
    *,
    unready: Collection[str] = (),
    leaves_at: float = inf,
) -> None:
    """As a worker in ``slot`` would, that has taken change ``number``."""
    changes.report(slot, Report(number, os.getpid(), problems, unready, leaves_at))


def in_a_minute() -> float:
    return time.monotonic() + 60
