"""The two ends of every protocol: what a request asks, and the bytes that answer it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..tensors import Tensors

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a door sends: status, bytes, content type and further headers."""

    body: bytes
    content_type: str = JSON
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class Question(Protocol):
    """One decoded predict request; knows how to say its answer in the caller's protocol."""

    @property
    def inputs(self) -> Tensors:
        """The tensors that the model's signature asks for."""
        ...

    @property
    def rows(self) -> int:
        """Length of the first axis of every input."""
        ...

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names of the model's outputs that the answer needs."""
        ...

    @property
    def timeout_seconds(self) -> float | None:
        """The time that the caller is willing to wait, where its protocol lets it say so."""
        ...

    def answer(self, outputs: Tensors, model: str, version: str) -> Answer:
        """The answer's bytes for ``outputs``, which hold at least the ``wanted`` tensors."""
        ...
