"""A model that is loaded and can be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import PackageRefused
from ..runtimes.onnx import OnnxRuntime
from ..runtimes.protocol import Runtime, Session
from ..tensors import Signature
from .manifest import Manifest
from .sample import SAMPLE_FILE, Sample, read_sample
from .verification import VerifiedPackage

RUNTIMES: tuple[Runtime, ...] = (OnnxRuntime(),)


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


def load_model(package: VerifiedPackage, runtimes: Mapping[str, Runtime], threads: int = 1) -> Model:
    """The model in ``package``, loaded by that of ``runtimes`` which its manifest names; raises PackageRefused."""
    manifest, artifact = package.manifest, package.artifact
    where = f"{manifest.name}/{manifest.version}"
    runtime = runtimes.get(manifest.runtime)
    if runtime is None:
        raise PackageRefused(f"{where}: this installation has no runtime {manifest.runtime!r}")
    sample = artifact.files.get(SAMPLE_FILE)
    return Model(
        name=manifest.name,
        version=manifest.version,
        signature=manifest.signature,
        session=runtime.load(artifact, threads),
        digest=artifact.digest,
        runtime=manifest.runtime,
        manifest=manifest,
        row=read_sample(sample, manifest.signature).first() if sample is not None else None,
    )
