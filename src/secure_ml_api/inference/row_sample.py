"""A few of the rows that a model answers, copied on the way and taken by whoever counts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import numpy as np

from ..tensors import Signature, Tensors

Array = np.ndarray[Any, np.dtype[Any]]


class RowSample:
    """At most ``most`` rows from one taking to the next, of the features ``names`` of a model; the rest is let pass.

    Once it is full, what is offered costs a comparison. Nobody waits: of two who offer at the same instant, one passes.
    """

    __slots__ = ("_lock", "_most", "_pick", "_room", "_taken")

    def __init__(self, signature: Signature, names: Sequence[str], most: int) -> None:
        self._pick = _picker(signature, names)
        self._most = self._room = most
        self._lock = Lock()
        self._taken: list[Array] = []

    def offer(self, inputs: Tensors, rows: int) -> None:
        """Copy of the ``rows`` rows of ``inputs`` as many as there is room for, evenly spaced."""
        if self._room <= 0 or not self._lock.acquire(blocking=False):
            return
        try:
            if self._room > 0:
                copied = self._pick(inputs, -(-rows // self._room))
                self._taken.append(copied)
                self._room -= len(copied)
        finally:
            self._lock.release()

    def take(self) -> list[Array]:
        """What was copied since the last taking: arrays [rows, features] of numbers."""
        with self._lock:
            taken, self._taken, self._room = self._taken, [], self._most
        return taken


def _picker(signature: Signature, names: Sequence[str]) -> Callable[[Tensors, int], Array]:
    """A function that copies, of input tensors, every so manieth row."""
    if not signature.is_matrix:
        columns = list(names)

        def pick_columns(inputs: Tensors, step: int) -> Array:
            return np.concatenate([inputs[name][::step] for name in columns], axis=1, dtype=np.float64)

        return pick_columns
    name = signature.inputs[0].name
    if tuple(names) == signature.column_names:

        def pick_all(inputs: Tensors, step: int) -> Array:
            return inputs[name][::step].copy()

        return pick_all
    at = np.array([signature.column_names.index(each) for each in names])

    def pick_some(inputs: Tensors, step: int) -> Array:
        return inputs[name][::step].take(at, axis=1)

    return pick_some
