"""Versions that answer in the shadow of the one that serves: compared and counted, never given, never waited for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from queue import Full, Queue
from threading import Thread
from typing import NamedTuple

from ..models.model import Model
from ..models.parity import compare
from ..models.registry import Registry
from ..telemetry.metrics import Metrics
from ..tensors import Tensors

log = logging.getLogger(__name__)

# A shadow that is slower than what it stands behind sees a part of the questions; more would only be memory.
_MOST_WAITING = 32


class _Question(NamedTuple):
    shadow: Model
    inputs: Tensors
    wanted: Sequence[str]
    given: Tensors


class Shadows:
    """One worker's; nothing is started before the first question."""

    def __init__(self, registry: Registry, metrics: Metrics) -> None:
        self._registry = registry
        self._metrics = metrics
        self._questions: Queue[_Question] = Queue(_MOST_WAITING)
        self._is_started = False

    def offer(self, model: Model, inputs: Tensors, given: Tensors) -> None:
        """Let the shadow of ``model``, which has ``given`` these outputs, answer the same, some time later."""
        shadow = self._registry.shadow(model.name)
        if shadow is None or shadow is model:
            return
        if not self._is_started:
            self._is_started = True
            Thread(target=self._live, name="shadows", daemon=True).start()
        try:
            self._questions.put_nowait(_Question(shadow, inputs, tuple(given), given))
        except Full:
            self._metrics.shadow_compared(shadow.name, shadow.version, "dropped")

    def _live(self) -> None:
        while True:
            question = self._questions.get()
            try:
                outcome = self._compared(question)
            except Exception:
                log.exception("a shadow failed", extra={"model": question.shadow.name})
                outcome = "failed"
            self._metrics.shadow_compared(question.shadow.name, question.shadow.version, outcome)

    @staticmethod
    def _compared(question: _Question) -> str:
        answers = question.shadow.session.run(question.inputs, question.wanted)
        differing = compare(answers, question.given, question.shadow.signature).differing
        return "different" if differing.any() else "equal"
