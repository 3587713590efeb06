"""Who asks for far less than others do, so that they are not turned away because of those."""

from __future__ import annotations

# Callers beyond so many are counted together, so that nobody can fill the memory with names.
_MOST_CALLERS = 1024
_OTHERS = ""


class Shares:
    """How often who has asked, half of it forgotten with every ``fade``; used on one thread."""

    def __init__(self) -> None:
        self._asked: dict[str, float] = {}
        self._total = 0.0

    def asked(self, caller: str, times: int = 1) -> None:
        if caller not in self._asked and len(self._asked) >= _MOST_CALLERS:
            caller = _OTHERS
        self._asked[caller] = self._asked.get(caller, 0.0) + times
        self._total += times

    def is_modest(self, caller: str) -> bool:
        """Whether ``caller`` has asked, and less than half as often as the mean of all who have.

        Half, as of many who ask alike, each now and then, half are below the mean at any moment.
        """
        asked = self._asked.get(caller)
        return asked is not None and 2 * asked * len(self._asked) < self._total

    def fade(self) -> None:
        """Let time pass: what was asked longer ago counts less, and who asked little is forgotten."""
        self._asked = {caller: asked / 2 for caller, asked in self._asked.items() if asked >= 1.0}
        self._total = sum(self._asked.values())

    def forget(self) -> None:
        self._asked.clear()
        self._total = 0.0
