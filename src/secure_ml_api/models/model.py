"""A model that is loaded and can be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..errors import PackageRefused
from ..runtimes.libraries import times_frozen
from ..runtimes.lightgbm import LightgbmRuntime
from ..runtimes.onnx import OnnxRuntime
from ..runtimes.protocol import Runtime, Session
from ..runtimes.sklearn import SklearnRuntime
from ..runtimes.tensorflow import TensorFlowRuntime
from ..runtimes.torch import TorchRuntime
from ..runtimes.words import WordsRuntime
from ..runtimes.xgboost import XgboostRuntime
from ..tensors import Signature
from .manifest import Manifest
from .pace import MANY_ROWS, Pace, measure
from .sample import SAMPLE_FILE, Sample, read_sample
from .verification import VerifiedPackage


def built_in(architectures: Sequence[str] = ()) -> tuple[Runtime, ...]:
    """The runtimes that need no mention; PyTorch builds the ``architectures`` that are named and no other."""
    return (
        OnnxRuntime(),
        WordsRuntime(),
        SklearnRuntime(),
        XgboostRuntime(),
        LightgbmRuntime(),
        TorchRuntime(architectures),
        TensorFlowRuntime(),
    )


RUNTIMES: tuple[Runtime, ...] = built_in()


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
    sample: Sample | None
    """A few rows that the model was packed with, for warming up."""
    pace: Pace | None = None
    """How long its runs take; None before it was warmed up, or without a sample."""
    freezes: int = field(default_factory=times_frozen)
    """How often the garbage collector had been told to leave alone what there was when it was loaded."""

    @property
    def is_frozen(self) -> bool:
        """Whether the garbage collector has been told since to leave alone what it is made of."""
        return self.freezes != times_frozen()

    def warm_up(self) -> Model:
        """This model with its pace; no caller pays for what a first run allocates. Raises what the session raises."""
        if self.sample is None:
            return self
        return replace(self, pace=measure(self.session, self.sample, self.signature))


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
        sample=_few_rows(read_sample(sample, manifest.signature)) if sample is not None else None,
    )


def _few_rows(sample: Sample) -> Sample:
    """As much of ``sample`` as warming up needs, so that a large one is not kept in memory."""
    return sample.resized(min(sample.rows, MANY_ROWS))
