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


class Runtime(Protocol):
    """Loads verified packages of one format."""

    name: str
    fork_safe: bool
    """Whether a session may be built before a fork and used after it, in parent and children."""

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        """A session that uses at most ``threads`` threads a run; raises PackageRefused when the bytes do not load."""
        ...
