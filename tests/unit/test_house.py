"""What a worker does beside its requests, once a second."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from secure_ml_api.house import House
from secure_ml_api.inference.canary_watch import Verdict
from secure_ml_api.models.model import Model
from secure_ml_api.telemetry.metrics import Metrics


class Noted(list[dict[str, Any]]):
    """An audit trail in memory."""

    def record(self, event: str, **said: Any) -> None:
        self.append({"event": event, **said})


def house(audit: Noted, metrics: Metrics, *, is_first: bool) -> House:
    """A worker that finds a canary broken; it is the first to take it back, or another one was."""
    model = cast("Model", SimpleNamespace(name="tiny", version="2"))
    canaries = SimpleNamespace(verdicts=lambda: [Verdict(model, "ab12", "it is slow")])
    services = SimpleNamespace(canaries=canaries, metrics=metrics, audit=audit)
    caretaker = SimpleNamespace(take_canary_back=lambda name, trial: (name, trial) == ("tiny", "ab12") and is_first)
    return House(*cast("Any", (None, None, None, services, caretaker)))


@pytest.mark.parametrize("is_first", [True, False])
def test_canary_that_is_taken_back_is_told_by_the_one_worker_that_did_it(
    caplog: pytest.LogCaptureFixture, is_first: bool
) -> None:
    audit, metrics = Noted(), Metrics()
    with caplog.at_level(logging.ERROR):
        house(audit, metrics, is_first=is_first).take_canaries_back()
    times = int(is_first)
    assert [event["reason"] for event in audit] == ["it is slow"] * times
    assert caplog.messages == ["a canary is taken back: it is slow"] * times
    counted = b'secure_ml_api_canaries_rolled_back_total{model="tiny",version="2"} 1.0'
    assert (counted in metrics.exposition()[0]) is is_first
