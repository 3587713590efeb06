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

    @property
    def rows(self) -> int:
        return len(next(iter(self.given.values()), ()))


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
        question = _Question(shadow, inputs, tuple(given), given)
        try:
            self._questions.put_nowait(question)
        except Full:
            self._count(question, dropped=question.rows)

    def _live(self) -> None:
        while True:
            question = self._questions.get()
            try:
                different = self._different(question)
            except Exception:
                log.exception("a shadow failed", extra={"model": question.shadow.name})
                self._count(question, failed=question.rows)
            else:
                self._count(question, equal=question.rows - different, different=different)

    def _count(self, question: _Question, **rows: int) -> None:
        for outcome, count in rows.items():
            if count:
                self._metrics.shadow_compared(question.shadow.name, question.shadow.version, outcome, count)

    @staticmethod
    def _different(question: _Question) -> int:
        """On how many rows the shadow answers otherwise."""
        answers = question.shadow.session.run(question.inputs, question.wanted)
        return int(compare(answers, question.given, question.shadow.signature).differing.sum())
