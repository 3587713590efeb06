"""A few bytes that the master and all its workers see, made before the first fork."""

from __future__ import annotations

import mmap

MAX_SLOTS = 2048
_STOPPING = MAX_SLOTS
_HAS_SERVED = MAX_SLOTS + 1


class Board:
    """Whether the server is stopping, and which worker slots have a worker that serves."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, MAX_SLOTS + 2)

    @property
    def stopping(self) -> bool:
        """Whether the whole server is going away, rather than this worker being replaced."""
        return self._memory[_STOPPING] == 1

    @property
    def has_served(self) -> bool:
        """Whether any worker has ever served since the start."""
        return self._memory[_HAS_SERVED] == 1

    def announce_stop(self) -> None:
        self._memory[_STOPPING] = 1

    def clear(self, slot: int) -> None:
        self._memory[slot] = 0

    def mark_serving(self, slot: int) -> None:
        self._memory[slot] = self._memory[_HAS_SERVED] = 1

    def is_serving(self, slot: int) -> bool:
        return self._memory[slot] == 1
