"""Parity shown again: a package's session answers its stored sample as the trained model did."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import PackageRefused
from ..runtimes.protocol import Runtime, Session
from ..tensors import Signature
from .model import RUNTIMES, load_model
from .parity import Comparison, compare
from .sample import SAMPLE_FILE, Sample, read_sample
from .verification import VerifiedPackage


def recheck(session: Session, sample: Sample, signature: Signature) -> Comparison:
    """How ``session`` answers ``sample``; raises PackageRefused when any row differs by more than is allowed."""
    try:
        answers = session.run(sample.inputs, [spec.name for spec in signature.outputs])
    except Exception as error:
        raise PackageRefused(f"the model fails on its own sample ({type(error).__name__}); pack it again") from error
    comparison = compare(answers, sample.answers, signature)
    wrong = int(comparison.differing.sum())
    if wrong:
        raise PackageRefused(f"the model answers {wrong} of {sample.rows} sample rows otherwise than it was trained to")
    return comparison


def recheck_package(package: VerifiedPackage, runtimes: Sequence[Runtime] = RUNTIMES) -> Comparison:
    """Load a verified package as a server with ``runtimes`` does and show its parity again; raises PackageRefused."""
    manifest = package.manifest
    where = f"{manifest.name}/{manifest.version}"
    model = load_model(package, {runtime.name: runtime for runtime in runtimes})
    stored = package.artifact.files.get(SAMPLE_FILE)
    if stored is None:
        raise PackageRefused(f"{where}: the package holds no sample to show its parity on; pack the model again")
    try:
        return recheck(model.session, read_sample(stored, manifest.signature), manifest.signature)
    except PackageRefused as refused:
        raise PackageRefused(f"{where}: {refused}") from None
