"""Turns a trained model into the parts of a package: a proven graph, its signature, its sample and its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from ..errors import PackageRefused, PackingError
from ..models.manifest import ParityReport, Provenance
from ..models.sample import write_sample
from ..runtimes.onnx import open_graph
from ..tensors import Signature
from .candidates import CANDIDATES, Candidate
from .describe import align, describe, missing_columns, refuse_confused_types
from .encoders import categories_of
from .extras import library_versions, quiet
from .options import Options
from .proof import prove
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


def build(
    estimator: Any, sample: Table, options: Options, *, source: Source = "estimator", source_sha256: str | None = None
) -> Built:
    """Convert ``estimator`` by the first candidate that answers as it does on every row.

    A candidate that differs only on generated rows where the estimator is itself undecided is taken when no other is
    without difference. Raises PackingError with every candidate's reason when none will do.
    """
    with quiet():
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
        accepted: list[tuple[Candidate, Built]] = []
        reasons = []
        for candidate in CANDIDATES:
            signature = describe(
                trained, features, options, datatype=candidate.datatype, categories=categories, missing=missing
            )
            try:
                model = candidate.build(trained, signature)
                proof = prove(trained, open_graph(model, signature), signature, features, generated)
            except (PackingError, PackageRefused) as refused:
                reasons.append(f"{candidate.name}: {refused}")
                continue
            except Exception as error:  # noqa: BLE001 - a converter may raise anything; the next one may still work
                reasons.append(f"{candidate.name}: {_one_line(error)}")
                continue
            provenance = Provenance(
                source=source,
                source_sha256=source_sha256,
                estimator=trained.kind,
                graph=candidate.name,
                libraries=library_versions(),
            )
            blueprint = Blueprint(signature=signature, parity=proof.report, provenance=provenance)
            built = Built(blueprint, model, write_sample(proof.sample, signature))
            if proof.report.differing_near_ties == 0:
                return built
            accepted.append((candidate, built))
    if accepted:
        return accepted[0][1]
    raise PackingError(_refusal(trained.kind, reasons))


def _thinned(sample: Table) -> Table:
    """At most _MOST_SAMPLE_ROWS rows, evenly spaced."""
    if sample.rows <= _MOST_SAMPLE_ROWS:
        return sample
    return sample.take(np.linspace(0, sample.rows - 1, _MOST_SAMPLE_ROWS).astype(np.intp))


def _refusal(kind: str, reasons: list[str]) -> str:
    differs = any("differ" in reason for reason in reasons)
    remedy = (
        "train on float32 data, or with an estimator whose answers do not hang on the last digit"
        if differs
        else "use an estimator that https://onnx.ai/sklearn-onnx/supported.html lists"
    )
    # The first reasons are those of the graphs that usually work; the later ones tend to repeat them.
    told = "; ".join(dict.fromkeys(reasons[:2]))
    return f"no graph answers as this {kind} does ({told}); {remedy}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
