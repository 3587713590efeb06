"""Turns a trained model into the parts of a package: the fastest proven form of it, its signature and its sample."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..errors import PackingError
from ..models.manifest import ParityReport, Provenance, Source, Timing
from ..models.sample import write_sample
from ..runtimes.protocol import Session
from ..runtimes.sklearn import SklearnSession
from ..tensors import Signature
from .contest import Found, proven
from .extras import library_versions, quiet, threads_kept
from .hyperparameters import hyperparameters
from .natives import RuntimeName
from .networks.network import NetworkEstimator
from .options import Options
from .stopwatch import Clock, Entrant, fastest, race
from .subject import Subject
from .table import Table

# What the trained model itself is called in the table of timings, where it stands for comparison.
AS_TRAINED = "as trained"


class Blueprint(BaseModel):
    """The parts of a manifest that come from the model itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    runtime: RuntimeName = "onnx"
    signature: Signature
    parity: ParityReport
    provenance: Provenance
    timings: tuple[Timing, ...] = ()
    truths: tuple[str, ...] = ()
    """Features whose sample has truth values, which callers send as 1 and 0; told, and not kept."""


@dataclass(frozen=True, slots=True)
class Built:
    """A package before it has a name: its blueprint, the model in its runtime's format, and the sample, as bytes."""

    blueprint: Blueprint
    model: bytes
    sample: bytes


def build(
    estimator: Any,
    sample: Table,
    options: Options,
    *,
    source: Source = "estimator",
    source_sha256: str | None = None,
    sample_sha256: str | None = None,
    clock: Clock = time.perf_counter,
) -> Built:
    """Convert ``estimator`` by each candidate, and keep the fastest that answers as it does on every row.

    One that differs only on generated rows where the estimator is itself undecided is taken when no other is without
    difference. Raises PackingError with the candidates' reasons when none will do.
    """
    with quiet(), threads_kept():
        subject = Subject.of(estimator, sample, options)
        found, reasons = proven(subject)
        if not found:
            raise PackingError(_refusal(subject, reasons))
        fewest = min(each.proof.report.differing_near_ties for each in found)
        equals = [each for each in found if each.proof.report.differing_near_ties == fewest]
        timings = race([each.entrant for each in equals], clock)
        best = next(each for each in equals if each.name == fastest(timings))
        # By itself: in turns with graphs, its many more memory accesses would slow whichever comes after it.
        timings += race([_as_trained(subject)], clock)
    digests = {"source_sha256": source_sha256, "sample_sha256": sample_sha256}
    return _built(subject, best, timings, source, digests)


def _as_trained(subject: Subject) -> Entrant:
    estimator = subject.trained.estimator
    reference = subject.reference("FP32" if isinstance(estimator, NetworkEstimator) else "FP64")
    session: Session
    if isinstance(estimator, NetworkEstimator):
        session = estimator.session(reference.signature)
    else:
        session = SklearnSession(estimator, reference.signature)
    return Entrant(AS_TRAINED, session, reference.rows, [spec.name for spec in reference.signature.outputs])


def _built(
    subject: Subject, found: Found, timings: tuple[Timing, ...], source: Source, digests: Mapping[str, str | None]
) -> Built:
    provenance = Provenance(
        source=source,
        **digests,
        estimator=subject.trained.kind,
        graph=found.name,
        libraries=library_versions(),
        hyperparameters=hyperparameters(subject.trained.estimator),
        packed_by=subject.options.packed_by,
    )
    signature = found.reference.signature
    blueprint = Blueprint(
        runtime=found.runtime,
        signature=signature,
        parity=found.proof.report,
        provenance=provenance,
        timings=timings,
        truths=tuple(name for name in signature.column_names if name in subject.sample.truths),
    )
    return Built(blueprint, found.model, write_sample(found.proof.sample, signature))


def _refusal(subject: Subject, reasons: Mapping[str, str]) -> str:
    """Why no candidate will do: the two reasons that say most, those about answers first."""
    told = sorted(reasons, key=lambda reason: "answers differ" not in reason)[:2]
    causes = "; ".join(f"{reasons[reason]}: {reason}" for reason in told)
    remedies = [remedy for remedy in (_remedy(subject, told), _consent(subject)) if remedy]
    return f"no graph answers as this {subject.trained.kind} does ({causes}); {', or '.join(remedies)}"


def _remedy(subject: Subject, told: list[str]) -> str:
    estimator = subject.trained.estimator
    if any("pad every text" in reason for reason in told):
        return "put one CountVectorizer or TfidfVectorizer of words in front of a linear model"
    if isinstance(estimator, NetworkEstimator):
        parts = "operators that torch.onnx.export" if estimator.network.runtime == "torch" else "layers that a graph"
        return f"build the network of {parts} can hold"
    return (
        "train on float32 data, or with an estimator whose answers do not hang on the last digit"
        if "answers differ" in told[0]
        else "use an estimator that https://onnx.ai/sklearn-onnx/supported.html lists"
    )


def _consent(subject: Subject) -> str:
    """How the model's own framework may serve it, as far as that was not said yet."""
    options, estimator = subject.options, subject.trained.estimator
    flags = [] if options.allow_native else ["--allow-native"]
    if isinstance(estimator, NetworkEstimator) and estimator.network.runtime == "torch" and not options.architecture:
        said = " and ".join(["--architecture", *flags])
        return f"let PyTorch serve it: save its weights with safetensors.torch.save_file and give {said}"
    return f"let the framework that trained it serve it, with {flags[0]}" if flags else ""
