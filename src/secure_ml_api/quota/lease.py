"""One request's place among those that its subject may have in flight."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self


class Lease:
    """Given back once, by ``release`` or at the end of a ``with`` block; ``give_back`` never raises."""

    __slots__ = ("_give_back",)

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back: Callable[[], None] | None = give_back

    def release(self) -> None:
        """Give the place back; a second call does nothing. Never raises."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
