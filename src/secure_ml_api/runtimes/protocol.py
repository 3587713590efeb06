"""The protocol that every runtime keeps, and the proof it is handed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..tensors import Signature, Tensors


@dataclass(frozen=True, slots=True)
class VerifiedArtifact:
    """The bytes of one model package, whose signature and digests held for exactly these bytes.

    Made by ``models.verification`` alone; a runtime loads from ``files`` and never from a path.
    """

    name: str
    version: str
    signature: Signature
    files: Mapping[str, bytes]
    digest: str


class Session(Protocol):
    """A loaded model, safe to call from several threads at once."""

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        """The tensors named in ``outputs``, as the signature describes them, for ``inputs`` that fit the signature.

        Raises whatever the framework raises; the caller turns it into InferenceFailed.
        """
        ...


class StoppableSession(Session, Protocol):
    """A session that ends a run early when another thread asks it to."""

    def handle(self) -> object:
        """What one run, and no other, is stopped by."""
        ...

    def run_with(self, handle: object, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        """As ``run``; raises soon after ``stop`` was called with the same ``handle``."""
        ...

    def stop(self, handle: object) -> None:
        """Ask the run of ``handle`` to end; harmless before it, after it and when repeated."""
        ...


class Runtime(Protocol):
    """Loads verified packages of one format.

    One that holds the interpreter for long when it loads, as with the import of a large module, may name that module as
    its ``framework``: a worker that serves does not load for it, which would hold up its callers, but has another take
    its place that begins with the model.
    """

    name: str
    fork_safe: bool
    """Whether a session may be built before a fork and used after it, in parent and children."""

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        """A session that uses at most ``threads`` threads a run; raises PackageRefused when the bytes do not load."""
        ...
