"""Builds a model's candidates one after the other and keeps those that answer as the model does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from ..errors import OperatorError
from ..runtimes.protocol import Session
from ..tensors import Signature
from .candidates import CANDIDATES, Candidate
from .graph import normalise
from .graphs.writer import Inapplicable
from .natives import Native, RuntimeName, natives, open_model
from .networks.finish import finished
from .networks.network import GraphForm, NetworkEstimator
from .optimised import optimised
from .proof import Proof, Reference, prove
from .prose import prose_columns
from .stopwatch import Entrant
from .subject import Subject
from .trained import Trained


@dataclass(frozen=True, slots=True)
class Found:
    """A candidate that was proven, with what it is timed on."""

    name: str
    runtime: RuntimeName
    model: bytes
    session: Session
    proof: Proof
    reference: Reference

    @property
    def entrant(self) -> Entrant:
        outputs = [spec.name for spec in self.reference.signature.outputs]
        return Entrant(self.name, self.session, self.reference.rows, outputs)


def proven(subject: Subject) -> tuple[list[Found], dict[str, str]]:
    """The candidates that hold, up to the first tier in which one is without any difference; why the others do not."""
    reasons: dict[str, str] = {}
    unfit: dict[str, str] = {}
    found: list[Found] = []
    if prose_columns(subject.trained.estimator, subject.sample.names):
        # In a graph every text of a run is padded to the longest: one of them beside many short ones takes all memory.
        reasons["a graph would have to pad every text to the longest"] = "skl2onnx"
    else:
        found = _graphs(subject, reasons, unfit)
    for native in natives(subject.trained.estimator, subject.options):
        try:
            found.append(_unconverted(native, subject))
        except Exception as error:  # noqa: BLE001 - as for the other candidates
            reasons.setdefault(_one_line(error), native.name)
    return found, reasons or unfit


def _graphs(subject: Subject, reasons: dict[str, str], unfit: dict[str, str]) -> list[Found]:
    """The graphs among the candidates that hold.

    Why the others do not is added to ``reasons``, and to ``unfit`` where they are not meant for such a model.
    """
    found: list[Found] = []
    settled: set[str] = set()
    for tier, candidates in groupby(_candidates(subject), key=lambda candidate: candidate.tier):
        if tier > 0 and settled:
            break
        for candidate in candidates:
            if candidate.kind in settled:
                continue
            try:
                forms = _attempt(candidate, subject)
            except Inapplicable as inapplicable:
                unfit.setdefault(_one_line(inapplicable), candidate.name)
                continue
            except Exception as error:  # noqa: BLE001 - a converter may raise anything; the next one may still work
                reasons.setdefault(_one_line(error), candidate.name)
                continue
            found.extend(forms)
            if forms[0].proof.report.differing_near_ties == 0:
                settled.add(candidate.kind)
    return found


def _candidates(subject: Subject) -> tuple[Candidate, ...]:
    estimator = subject.trained.estimator
    if not isinstance(estimator, NetworkEstimator):
        return CANDIDATES

    def build_by(form: GraphForm) -> Callable[[Trained, Signature], bytes]:
        def build(_: Trained, signature: Signature) -> bytes:
            graph = form.write(estimator.n_features_in_)
            return normalise(finished(graph, estimator.gives, signature), signature)

        return build

    return tuple(
        Candidate(form.name, "stock", "FP32", tier, build_by(form))
        for tier, form in enumerate(estimator.network.graphs())
    )


def _attempt(candidate: Candidate, subject: Subject) -> list[Found]:
    """The candidate's graph with its proof, and the same with less in it; raises whatever speaks against the first."""
    reference = subject.reference(candidate.datatype)
    model = candidate.build(subject.trained, reference.signature)
    found = [_graph(candidate.name, model, reference)]
    try:
        smaller = optimised(model)
        if smaller is not None:
            found.append(_graph(f"{candidate.name}, optimised", smaller, reference))
    except Exception:  # noqa: BLE001 - whatever the optimiser cannot do, the graph itself stands
        return found
    # What is written by hand is meant without the nodes that only join it to the rest; the stock graph has its own row.
    return found if candidate.kind == "stock" else found[-1:]


def _graph(name: str, model: bytes, reference: Reference) -> Found:
    session = open_model("onnx", model, reference.signature)
    return Found(name, "onnx", model, session, prove(session, reference), reference)


def _unconverted(native: Native, subject: Subject) -> Found:
    """The trained model itself, for the runtime that is its own library."""
    reference = subject.reference(native.datatype)
    model = native.write(subject.trained.estimator)
    session = open_model(native.runtime, model, reference.signature)
    return Found(native.name, native.runtime, model, session, prove(session, reference), reference)


def _one_line(error: BaseException) -> str:
    """What ``error`` says; of a library's, which may be long and say nothing, what caused it as well."""
    said = " ".join(str(error).split())[:200] or type(error).__name__
    cause = None if isinstance(error, OperatorError) else error.__cause__
    return said if cause is None else f"{said[:80]} …, because of {type(cause).__name__}: {_one_line(cause)}"
