"""Turns a trained model into the parts of a package: a proven graph, its signature, its sample and its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from ..errors import PackingError
from ..models.manifest import ParityReport, Provenance
from ..models.sample import write_sample
from ..runtimes.onnx import open_graph
from ..tensors import Signature
from .candidates import CANDIDATES, NO_PROBABILITIES, Candidate
from .describe import align, describe, missing_columns, refuse_confused_types
from .encoders import Categories, categories_of
from .extras import library_versions, quiet
from .options import Options
from .proof import Proof, prove
from .rows import generate_rows
from .table import Table
from .trained import Trained

Source = Literal["skops", "pickle", "joblib", "estimator"]

# More rows than these prove little more, and are stored with the package.
_MOST_SAMPLE_ROWS = 2000


class Blueprint(BaseModel):
    """The parts of a manifest that come from the model itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    signature: Signature
    parity: ParityReport
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Built:
    """A package before it has a name: its blueprint, the ONNX model and the sample as bytes."""

    blueprint: Blueprint
    model: bytes
    sample: bytes


@dataclass(frozen=True, slots=True)
class _Subject:
    """A trained model with the rows that every candidate is compared on, and what they say about its columns."""

    trained: Trained
    sample: Table
    generated: Table
    categories: Mapping[str, Categories]
    missing: frozenset[str]
    options: Options


@dataclass(frozen=True, slots=True)
class _Found:
    """A candidate's graph that was proven."""

    graph: str
    signature: Signature
    model: bytes
    proof: Proof


def build(
    estimator: Any, sample: Table, options: Options, *, source: Source = "estimator", source_sha256: str | None = None
) -> Built:
    """Convert ``estimator`` by the first candidate that answers as it does on every row.

    A candidate that differs only on generated rows where the estimator is itself undecided is taken when no other is
    without difference. Raises PackingError with the candidates' reasons when none will do.
    """
    with quiet():
        subject = _subject(estimator, sample, options)
        fallback: _Found | None = None
        reasons: dict[str, str] = {}
        for candidate in CANDIDATES:
            try:
                found = _attempt(candidate, subject)
            except Exception as error:  # noqa: BLE001 - a converter may raise anything; the next one may still work
                reasons.setdefault(_one_line(error), candidate.name)
                continue
            if found.proof.report.differing_near_ties == 0:
                return _built(subject, found, source, source_sha256)
            fallback = fallback or found
        if fallback is not None:
            return _built(subject, fallback, source, source_sha256)
    raise PackingError(_refusal(subject.trained.kind, reasons))


def _subject(estimator: Any, sample: Table, options: Options) -> _Subject:
    features = _thinned(align(estimator, sample, options.target))
    categories = categories_of(estimator, features.names)
    refuse_confused_types(features, categories)
    trained = Trained(estimator, features, options.task)
    missing = missing_columns(trained, features)
    closed = {name: known for name, known in categories.items() if known.closed and known.is_text}
    generated = generate_rows(
        features,
        choices={name: known.values for name, known in closed.items()},
        missing=sorted(missing),
        open_text=[name for name in features.names if features.is_text(name) and name not in closed],
    )
    # What the options get wrong is no candidate's fault, so it is found before the first of them.
    describe(trained, features, options, datatype="FP32", categories=categories, missing=missing)
    return _Subject(trained, features, generated, categories, missing, options)


def _attempt(candidate: Candidate, subject: _Subject) -> _Found:
    """The candidate's graph with its proof; raises whatever speaks against it."""
    signature = describe(
        subject.trained,
        subject.sample,
        subject.options,
        datatype=candidate.datatype,
        categories=subject.categories,
        missing=subject.missing,
    )
    model = candidate.build(subject.trained, signature)
    session = open_graph(model, signature)
    proof = prove(subject.trained, session, signature, subject.sample, subject.generated)
    return _Found(candidate.name, signature, model, proof)


def _built(subject: _Subject, found: _Found, source: Source, source_sha256: str | None) -> Built:
    provenance = Provenance(
        source=source,
        source_sha256=source_sha256,
        estimator=subject.trained.kind,
        graph=found.graph,
        libraries=library_versions(),
    )
    blueprint = Blueprint(signature=found.signature, parity=found.proof.report, provenance=provenance)
    return Built(blueprint, found.model, write_sample(found.proof.sample, found.signature))


def _thinned(sample: Table) -> Table:
    """At most _MOST_SAMPLE_ROWS rows, evenly spaced."""
    if sample.rows <= _MOST_SAMPLE_ROWS:
        return sample
    return sample.take(np.linspace(0, sample.rows - 1, _MOST_SAMPLE_ROWS).astype(np.intp))


def _refusal(kind: str, reasons: Mapping[str, str]) -> str:
    """Why no candidate will do: the two reasons that say most, those about answers first."""
    telling = [reason for reason in reasons if reason != NO_PROBABILITIES]
    told = sorted(telling, key=lambda reason: "answers differ" not in reason)[:2]
    remedy = (
        "train on float32 data, or with an estimator whose answers do not hang on the last digit"
        if "answers differ" in told[0]
        else "use an estimator that https://onnx.ai/sklearn-onnx/supported.html lists"
    )
    causes = "; ".join(f"{reasons[reason]}: {reason}" for reason in told)
    return f"no graph answers as this {kind} does ({causes}); {remedy}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
