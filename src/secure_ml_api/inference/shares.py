"""Who has had more than their share of what was served lately, so that they are the first to be turned away."""

from __future__ import annotations

# Callers beyond so many are counted together, so that nobody can fill the memory with names.
_MOST_CALLERS = 1024
_OTHERS = ""


class Shares:
    """What was served to whom, half of it forgotten with every ``fade``; used on one thread."""

    def __init__(self) -> None:
        self._served: dict[str, float] = {}
        self._total = 0.0

    def served(self, caller: str) -> None:
        if caller not in self._served and len(self._served) >= _MOST_CALLERS:
            caller = _OTHERS
        self._served[caller] = self._served.get(caller, 0.0) + 1.0
        self._total += 1.0

    def is_over(self, caller: str) -> bool:
        """Whether ``caller`` has had at least the mean of all who were served; so one who is alone always has."""
        callers = len(self._served) + (caller not in self._served)
        return self._served.get(caller, 0.0) * callers >= self._total

    def fade(self) -> None:
        """Let time pass: what was served longer ago counts less, and who was served little is forgotten."""
        self._served = {caller: served / 2 for caller, served in self._served.items() if served >= 1.0}
        self._total = sum(self._served.values())

    def forget(self) -> None:
        self._served.clear()
        self._total = 0.0
