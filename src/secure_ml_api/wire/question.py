"""The two ends of every protocol: what came and what it asks, and the bytes that answer it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ..tensors import Signature, Tensors

JSON = "application/json"
BINARY = "application/octet-stream"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"


class Payload(NamedTuple):
    """What came: the body, decompressed, and the headers that say how to read it and how to answer; "" when absent.

    A tuple because one is made for every request, and a frozen dataclass takes four times as long to make.
    """

    body: bytes
    content_type: str = ""
    accept: str = ""
    inference_header_length: str = ""


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


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to ask for predictions.

    ``check`` takes the Content-Type and the Accept header and raises UnsupportedContent or NotAcceptable; it is asked
    before a body is read. ``decode`` takes a payload whose headers passed, the model's signature and the most rows
    that the server takes at once; it raises MalformedBody, BodyTooLarge or SignatureMismatch.
    """

    check: Callable[[str, str], None]
    decode: Callable[[Payload, Signature, int], Question]
