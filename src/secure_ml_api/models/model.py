"""A model that is loaded and can be run."""

from __future__ import annotations

from dataclasses import dataclass

from ..runtimes.protocol import Session
from ..tensors import Signature
from .manifest import Manifest
from .sample import Sample


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """One loaded version: what it takes and gives, and the session that runs it."""

    name: str
    version: str
    signature: Signature
    session: Session
    digest: str
    runtime: str
    manifest: Manifest
    row: Sample | None
    """One row that the model was packed with, for warming up."""

    def warm_up(self) -> None:
        """Run once, so that no caller pays for what a first run allocates; raises whatever the session raises."""
        if self.row is not None:
            self.session.run(self.row.inputs, [spec.name for spec in self.signature.outputs])
