"""Whether a worker that serves may load now: when it is its turn, and for frameworks only when nobody relieves it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack

from .turns import Turns

log = logging.getLogger(__name__)

# Who has waited for so long loads beside the others: one of them may hang.
_PATIENCE_SECONDS = 60.0
# A successor is waited for: not for longer, as commands wait for two minutes. It is asked for again meanwhile, as a
# worker that has only just begun may not have been heard.
_RELIEF_SECONDS = 90.0
_ASKED_AGAIN_SECONDS = 1.0


class Permission:
    """One worker's; it is kept, once given, until it is given back."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._turn = ExitStack()
        self._ask: Callable[[], None] | None = None
        self._asked_at: float | None = None
        self._ask_again_at = 0.0
        self.is_for_all = True
        """Whether it is also for what holds up callers while it is loaded."""

    def begin_to_serve(self, ask_for_relief: Callable[[], None] | None) -> None:
        """``ask_for_relief``, where that can be asked for, has another worker take this one's place."""
        self._ask = ask_for_relief
        self.is_for_all = ask_for_relief is None

    def is_given(self, waits_since: float) -> bool:
        """Whether it is; ``waits_since`` then, on the monotonic clock, something is to be loaded."""
        now = time.monotonic()
        if self._asked_at is not None:
            self._ask_again(now)
            self.is_for_all = now >= self._asked_at + _RELIEF_SECONDS
            return self.is_for_all
        with ExitStack() as turn:
            if turn.enter_context(self._turns.taken()):
                self._turn = turn.pop_all()
                return True
        return now >= waits_since + _PATIENCE_SECONDS

    def ask_for_relief(self, reason: object) -> None:
        """Have another worker take this one's place, and keep the turn until it does.

        Importing a framework takes seconds, a part of which nobody else has the interpreter for, up to 0.2 s at a time.
        """
        if self._asked_at is None:
            log.info("%s: a worker that begins with it takes this one's place", reason)
            self._asked_at = time.monotonic()
            self._ask_again(self._asked_at)

    def give_back(self, *, is_relieved: bool = False) -> None:
        """Others may load, unless this one waits for relief."""
        if is_relieved:
            self._asked_at = None
        if self._asked_at is None:
            self._turn.close()

    def _ask_again(self, now: float) -> None:
        if self._ask is not None and now >= self._ask_again_at:
            self._ask_again_at = now + _ASKED_AGAIN_SECONDS
            self._ask()
