"""Shows that a candidate graph answers as the trained model does, or says on which row it does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import PackingError
from ..models.manifest import ParityReport
from ..models.parity import ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE, Comparison, compare
from ..models.sample import Sample
from ..runtimes.protocol import Session
from ..tensors import NUMPY_DTYPES, Datatype, Signature, Tensors
from .networks.network import NetworkEstimator
from .table import Array, Table
from .trained import Trained

# Rows per run: bounds the memory of a run, and exercises the graph with more than one batch size.
_BATCH_ROWS = 257
_ALONE_ROWS = 150


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
    """Ask ``trained`` what every candidate with ``signature`` has to answer.

    Raises PackingError for a network whose answer to a row hangs on the others of its batch.
    """
    datatype = _number_type(signature)
    answers = _in_types(trained.answers(sample), signature)
    rounded = generated.rounded(datatype)
    reference = trained.answers(rounded)
    if isinstance(trained.estimator, NetworkEstimator):
        _refuse_company(trained, sample, answers, signature, "sample")
        _refuse_company(trained, rounded, reference, signature, "generated")
    undecided = _undecided(trained, rounded, reference, signature, datatype)
    inputs = sample.tensors(signature)
    return Reference(signature, Sample(inputs, answers), rounded.tensors(signature), reference, undecided)


def prove(session: Session, reference: Reference) -> Proof:
    """Compare ``session`` with the trained model on every row; raises PackingError naming the first row that differs.

    Rows are run many at a time, and some of them alone: products of matrices are summed in another order then.
    Generated rows may differ only where the trained model is itself undecided, and the report counts those that do.
    """
    signature, sample = reference.signature, reference.sample
    on_sample = _compared(session, sample.inputs, sample.answers, signature)
    if bool(on_sample.differing.any()):
        raise PackingError(_where("sample", on_sample.differing))
    on_generated = _compared(session, reference.rows, reference.answers, signature, passed_over=reference.undecided)
    if bool((on_generated.differing & ~reference.undecided).any()):
        raise PackingError(_where("generated", on_generated.differing & ~reference.undecided))
    report = ParityReport(
        sample_rows=sample.rows,
        generated_rows=len(reference.undecided),
        near_ties=int(reference.undecided.sum()),
        differing_near_ties=int(on_generated.differing.sum()),
        largest_differences={
            name: max(largest, on_generated.largest_differences[name])
            for name, largest in on_sample.largest_differences.items()
        },
        relative_tolerance=RELATIVE_TOLERANCE,
        absolute_tolerance=ABSOLUTE_TOLERANCE,
    )
    return Proof(report, sample)


def _compared(
    session: Session,
    inputs: Tensors,
    answers: Tensors,
    signature: Signature,
    passed_over: npt.NDArray[np.bool_] | None = None,
) -> Comparison:
    """How the session differs from ``answers``, run many rows at a time and, for some rows, alone.

    Rows that are ``passed_over`` count among those that differ, but not in the largest differences unless they agree.
    """
    rows = len(next(iter(answers.values())))
    together = _run(session, inputs, signature, _BATCH_ROWS)
    chosen = _chosen(rows)
    alone = _run(session, _take(inputs, chosen), signature, 1)
    differing = compare(together, answers, signature).differing
    differing[chosen] |= compare(alone, _take(answers, chosen), signature).differing
    told = np.ones(rows, dtype=np.bool_) if passed_over is None else ~(differing & passed_over)
    largest = compare(_take(together, told), _take(answers, told), signature).largest_differences
    return Comparison(differing, largest)


def _chosen(rows: int) -> npt.NDArray[np.intp]:
    """Which of ``rows`` rows are also run alone."""
    return np.unique(np.linspace(0, rows - 1, _ALONE_ROWS).astype(np.intp))


def _refuse_company(trained: Trained, rows: Table, answers: Tensors, signature: Signature, which: str) -> None:
    """Raise PackingError when ``trained`` answers a row alone otherwise than in ``answers``, beside others."""
    chosen = _chosen(rows.rows)
    parts = [trained.answers(rows.take(chosen[position : position + 1])) for position in range(len(chosen))]
    # Labels follow from the numbers, and at a threshold the order of a sum decides.
    alone = {name: np.concatenate([part[name] for part in parts]) for name in answers if name != "label"}
    beside = {name: answers[name][chosen] for name in alone}
    differing = compare(alone, beside, signature).differing
    if bool(differing.any()):
        row = int(chosen[differing.argmax()])
        cause = f"{trained.kind} answers a row alone otherwise than beside others ({which} row {row})"
        raise PackingError(f"{cause}; pack a network whose answer to a row hangs on that row alone")


def _take(tensors: Tensors, rows: Array) -> Tensors:
    return {name: tensor[rows] for name, tensor in tensors.items()}


def _run(session: Session, inputs: Tensors, signature: Signature, batch_rows: int) -> Tensors:
    outputs = [spec.name for spec in signature.outputs]
    rows = len(next(iter(inputs.values())))
    parts = []
    for start in range(0, rows, batch_rows):
        batch = {name: tensor[start : start + batch_rows] for name, tensor in inputs.items()}
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


def _where(rows: str, differing: npt.NDArray[np.bool_]) -> str:
    count, first = int(differing.sum()), int(differing.argmax())
    return f"answers differ on {count} of {differing.size} {rows} rows, first on row {first}"
