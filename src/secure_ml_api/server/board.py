"""A few bytes that the master and all its workers see, made before the first fork: where each worker is in its life."""

from __future__ import annotations

import mmap

MAX_SLOTS = 2048
_STARTING, _SERVING, _WEARY, _LEAVING = 1, 2, 3, 4
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
        """The server stops, and nobody waits for workers that only begin; one that serves after all says so itself."""
        self._memory[_STOPPING] = 1
        for slot in range(MAX_SLOTS):
            if self._memory[slot] == _STARTING:
                self._memory[slot] = _LEAVING

    def clear(self, slot: int) -> None:
        self._memory[slot] = 0

    def mark_starting(self, slot: int) -> None:
        """A worker that is about to be forked, and that will listen."""
        self._memory[slot] = _STARTING

    def mark_serving(self, slot: int) -> None:
        self._memory[slot] = _SERVING
        self._memory[_HAS_SERVED] = 1

    def is_serving(self, slot: int) -> bool:
        return self._memory[slot] not in (0, _STARTING)

    def ask_for_relief(self, slot: int) -> None:
        """The worker has answered its share, or is ill: it serves until another one does. No news once it leaves."""
        if self._memory[slot] == _SERVING:
            self._memory[slot] = _WEARY

    def stop_listening(self, slot: int) -> bool:
        """The worker takes no more connections; whether it was the last one that did, or was about to."""
        self._memory[slot] = _LEAVING
        return not any(state in (_STARTING, _SERVING, _WEARY) for state in self._memory[:MAX_SLOTS])

    def asks_for_relief(self, slot: int) -> bool:
        return self._memory[slot] == _WEARY
