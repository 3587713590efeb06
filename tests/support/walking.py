"""Walkers of the fast lane over the fakes of the spine."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from threading import Event
from time import monotonic
from typing import Any, cast

from secure_ml_api.api.addresses import Addresses
from secure_ml_api.api.company import Parked
from secure_ml_api.api.lane import FastLane
from secure_ml_api.api.walkers import Walkers
from secure_ml_api.models.pace import Pace
from support.gated import until
from support.spine import CALLER, ROW, FakeModel, FakeSession, Rooms

QUICK = Pace(one_seconds=10e-6, many_seconds=20e-6, many_rows=32, rows_are_independent=True)
LONG = 30.0


class Lane:
    """Walkers over fakes, whose charges wait at a gate that begins open; who has arrived is in ``arrived``."""

    def __init__(self, most: int = 4) -> None:
        self.rooms = Rooms(waiting=9)
        self.rooms.registry.model.pace = QUICK
        self.gate, self.charging = Event(), 0
        self.gate.set()
        charge = self.rooms.limiter.charge

        def charged(subject: str, charges: Any) -> Any:
            self.charging += 1
            assert self.gate.wait(LONG)
            return charge(subject, charges)

        self.rooms.limiter.charge = charged  # type: ignore[method-assign]
        self.walkers = Walkers(FastLane(lambda *_: [], self.rooms.services(), Addresses(()), LONG), most)
        self.arrived: SimpleQueue[Parked] = SimpleQueue()

    def asks(self, times: int = 1, body: bytes = ROW) -> list[Parked]:
        return self.walkers.answer([self.environ(body) for _ in range(times)], self.arrived.put)

    def asks_together(self, *models: str) -> list[Parked]:
        return self.walkers.answer([self.environ(ROW, model) for model in models], self.arrived.put)

    def asks_together_with(self, model: str, body: bytes) -> list[Parked]:
        """Those who ask with ``body``, together with one that asks ``model``."""
        environs = [self.environ(body), self.environ(ROW, model)]
        return self.walkers.answer(environs, self.arrived.put)[:1]

    def has_also(self, name: str, runs_for: Callable[[], object]) -> None:
        """A second quick model, which everybody may ask."""
        registry, first = self.rooms.registry, self.rooms.registry.model
        other = FakeModel(FakeSession([], during=cast("Any", runs_for)), name, pace=QUICK)
        registry.resolve = lambda name, *_: {first.name: first, other.name: other}[name]  # type: ignore[method-assign]
        self.rooms.authenticator.principal = replace(CALLER, scopes=frozenset({"predict:*"}))

    def watchdog_looks(self, rounds: int) -> None:
        for _ in range(rounds):
            self.rooms.runner.watchdog.look(monotonic())

    def statuses(self, many: int) -> list[str]:
        """How those are answered that arrive next."""
        return [self.walkers.arrive([self.arrived.get(timeout=LONG)])[0][0] for _ in range(many)]

    @property
    def walking(self) -> int:
        return len(self.walkers._walks)

    def all_since(self, seconds: float) -> None:
        """Have all walkers been on their way since then."""
        for walk in self.walkers._walks:
            walk.since = seconds

    def all_are_held_up(self, walkers: int) -> None:
        """Have so many walkers wait at the gate, with one request each, for longer than is waited for them."""
        for number in range(walkers):
            self.asks()
            until(partial(self.is_at_gate, number + 1))
            self.all_since(float("-inf"))

    def is_at_gate(self, number: int) -> bool:
        return self.charging == number

    def in_flight(self) -> float:
        return self.rooms.counted("secure_ml_api_in_flight")

    @staticmethod
    def environ(body: bytes, model: str = "iris") -> dict[str, Any]:
        return {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": f"/v1/models/{model}/predict",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_AUTHORIZATION": "Bearer good",
            "wsgi.input": io.BytesIO(body),
        }
