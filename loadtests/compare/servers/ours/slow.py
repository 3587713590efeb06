"""A model that sleeps, and the runtime for it: put into a home as a signed package, like any other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from secure_ml_api.models.manifest import FileRecord, Manifest, Provenance
from secure_ml_api.models.sample import SAMPLE_FILE, Sample, write_sample
from secure_ml_api.models.store import Store
from secure_ml_api.runtimes.protocol import VerifiedArtifact
from secure_ml_api.tensors import Column, Signature, Tensors

from ...models import SLOW
from ..shared.predictor import sleeper

_SIGNATURE = Signature(
    task="classification",
    columns=tuple(Column(name=name) for name in "abcd"),
    classes=(0, 1),
    labels=("no", "yes"),
    has_probabilities=False,
)


class SleepingSession:
    """5 ms for one row, 6 ms for 32, one run at a time."""

    def __init__(self) -> None:
        self._run = sleeper()

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        return {"label": self._run(inputs["input"])}


class SleepingRuntime:
    """Loads what ``publish`` signed."""

    name = "sleeping"
    fork_safe = True

    def load(self, artifact: VerifiedArtifact, threads: int) -> SleepingSession:
        return SleepingSession()


def publish(home: Path) -> None:
    """Sign a package of the sleeping runtime and put it into ``home``; its sample lets the server time it."""
    rows = np.ones((4, len(_SIGNATURE.columns)), dtype=np.float32)
    sample = write_sample(Sample({"input": rows}, {"label": np.ones(4, dtype=np.int64)}), _SIGNATURE)
    files = {SAMPLE_FILE: sample}
    manifest = Manifest(
        name=SLOW,
        version="1",
        created=datetime.now(UTC).replace(microsecond=0),
        runtime=SleepingRuntime.name,
        signature=_SIGNATURE,
        files={file: FileRecord.of(data) for file, data in files.items()},
        provenance=Provenance(source="estimator", estimator="sleep", graph="none", libraries={}),
    )
    Store(home / "models", home / "keys").publish(manifest, files)
