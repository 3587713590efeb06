"""Shows that a candidate graph answers as the trained model does, or says on which row it does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import PackingError
from ..models.manifest import ParityReport
from ..models.parity import ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE, compare
from ..models.sample import Sample
from ..runtimes.protocol import Session
from ..tensors import NUMPY_DTYPES, Datatype, Signature, Tensors
from .table import Array, Table
from .trained import Trained

# Rows per run: bounds the memory of a run, and exercises the graph with more than one batch size.
_BATCH_ROWS = 257


@dataclass(frozen=True, slots=True)
class Proof:
    """What was shown: the report for the manifest, and the sample with the trained model's answers."""

    report: ParityReport
    sample: Sample


@dataclass(frozen=True, slots=True)
class Reference:
    """What the trained model answers, found once for all candidates that take numbers of one datatype.

    ``sample`` has the answers to the rows exactly as they are. ``rows`` are generated ones, rounded to the datatype,
    with ``answers`` to them as rounded; where ``undecided`` the trained model is itself at a threshold.
    """

    signature: Signature
    sample: Sample
    rows: Tensors
    answers: Tensors
    undecided: npt.NDArray[np.bool_]


def refer(trained: Trained, signature: Signature, sample: Table, generated: Table) -> Reference:
    """Ask ``trained`` what every candidate with ``signature`` has to answer."""
    datatype = _number_type(signature)
    answers = _in_types(trained.answers(sample), signature)
    rounded = generated.rounded(datatype)
    reference = trained.answers(rounded)
    undecided = _undecided(trained, rounded, reference, signature, datatype)
    inputs = sample.tensors(signature)
    return Reference(signature, Sample(inputs, answers), rounded.tensors(signature), reference, undecided)


def prove(session: Session, reference: Reference) -> Proof:
    """Compare ``session`` with the trained model on every row; raises PackingError naming the first row that differs.

    Generated rows may differ only where the trained model is itself undecided, and the report counts those that do.
    """
    signature, sample = reference.signature, reference.sample
    on_sample = compare(_run(session, sample.inputs, signature), sample.answers, signature)
    if bool(on_sample.differing.any()):
        raise PackingError(_where("sample", on_sample.differing))
    given = _run(session, reference.rows, signature)
    on_generated = compare(given, reference.answers, signature)
    if bool((on_generated.differing & ~reference.undecided).any()):
        raise PackingError(_where("generated", on_generated.differing & ~reference.undecided))
    largest = {
        name: max(on_sample.largest_differences[name], _largest(given[name], tensor, ~on_generated.differing))
        for name, tensor in reference.answers.items()
        if name in on_sample.largest_differences
    }
    report = ParityReport(
        sample_rows=sample.rows,
        generated_rows=len(reference.undecided),
        near_ties=int(reference.undecided.sum()),
        differing_near_ties=int(on_generated.differing.sum()),
        largest_differences=largest,
        relative_tolerance=RELATIVE_TOLERANCE,
        absolute_tolerance=ABSOLUTE_TOLERANCE,
    )
    return Proof(report, sample)


def _run(session: Session, inputs: Tensors, signature: Signature) -> Tensors:
    outputs = [spec.name for spec in signature.outputs]
    rows = len(next(iter(inputs.values())))
    parts = []
    for start in range(0, rows, _BATCH_ROWS):
        batch = {name: tensor[start : start + _BATCH_ROWS] for name, tensor in inputs.items()}
        try:
            parts.append(session.run(batch, outputs))
        except Exception as error:
            raise PackingError(f"the graph fails: {' '.join(str(error).split())[:200]}") from error
    return {name: np.concatenate([part[name] for part in parts]) for name in outputs}


def _undecided(
    trained: Trained, rows: Table, reference: Tensors, signature: Signature, datatype: Datatype
) -> npt.NDArray[np.bool_]:
    """Rows on which the trained model is at a threshold, so that rounding alone decides.

    Its answer changes when every number moves by one step of ``datatype``, or two classes (or the two sides of an
    anomaly's threshold) are no further apart than the tolerance.
    """
    undecided = np.zeros(rows.rows, dtype=np.bool_)
    for toward in (-np.inf, np.inf):
        nudged = trained.answers(rows.rounded(datatype, toward))
        undecided |= compare(nudged, reference, signature).differing
    if "score" in reference:
        undecided |= np.abs(reference["score"]) <= ABSOLUTE_TOLERANCE
    if "probabilities" in reference:
        ordered = np.sort(reference["probabilities"], axis=1)
        undecided |= ordered[:, -1] - ordered[:, -2] <= ABSOLUTE_TOLERANCE
    return undecided


def _number_type(signature: Signature) -> Datatype:
    return next((column.datatype for column in signature.columns if not column.is_text), signature.output_datatype)


def _in_types(answers: Tensors, signature: Signature) -> Tensors:
    return {spec.name: answers[spec.name].astype(NUMPY_DTYPES[spec.datatype]) for spec in signature.outputs}


def _largest(given: Array, reference: Array, rows: npt.NDArray[np.bool_]) -> float:
    return float(np.max(np.abs(given[rows].astype(np.float64) - reference[rows]), initial=0.0))


def _where(rows: str, differing: npt.NDArray[np.bool_]) -> str:
    count, first = int(differing.sum()), int(differing.argmax())
    return f"answers differ on {count} of {differing.size} {rows} rows, first on row {first}"
