"""Builds a model's candidates one after the other and keeps those that answer as the model does."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from ..runtimes.onnx import MODEL_FILE, open_graph
from ..runtimes.protocol import Session
from ..runtimes.sklearn import ESTIMATOR_FILE, open_estimator
from ..runtimes.tensorflow import ARCHIVE_FILE, open_saved_model
from ..runtimes.torch import WEIGHTS_FILE, Design, open_network
from ..tensors import Signature
from .candidates import CANDIDATES, Candidate
from .graph import normalise
from .graphs.writer import Inapplicable
from .networks.finish import finished
from .networks.network import NetworkEstimator
from .optimised import optimised
from .proof import Proof, Reference, prove
from .stopwatch import Entrant
from .subject import Subject
from .trained import Trained

RuntimeName = Literal["onnx", "sklearn", "torch", "tensorflow"]

# What the model's file is called in a package of each runtime.
MODEL_FILES: dict[RuntimeName, str] = {
    "onnx": MODEL_FILE,
    "sklearn": ESTIMATOR_FILE,
    "torch": WEIGHTS_FILE,
    "tensorflow": ARCHIVE_FILE,
}


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
    found: list[Found] = []
    reasons: dict[str, str] = {}
    unfit: dict[str, str] = {}
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
    if subject.options.allow_native:
        _try_unconverted(subject, found, reasons)
    return found, reasons or unfit


def _try_unconverted(subject: Subject, found: list[Found], reasons: dict[str, str]) -> None:
    try:
        found.append(_unconverted(subject))
    except Exception as error:  # noqa: BLE001 - as for the other candidates
        reasons.setdefault(_one_line(error), "the framework itself")


def _candidates(subject: Subject) -> tuple[Candidate, ...]:
    estimator = subject.trained.estimator
    if not isinstance(estimator, NetworkEstimator):
        return CANDIDATES

    def build(_: Trained, signature: Signature) -> bytes:
        graph = estimator.network.graph(estimator.n_features_in_)
        return normalise(finished(graph, estimator.gives, signature), signature)

    return (Candidate(estimator.network.graph_name, "stock", "FP32", 0, build),)


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


def open_model(runtime: RuntimeName, model: bytes, signature: Signature) -> Session:
    """A session on ``model`` as a server would open it; raises PackageRefused."""
    if runtime == "sklearn":
        return open_estimator(model, signature)
    if runtime == "torch":
        return open_network(model, signature, frozenset({Design.of(model).architecture}))
    if runtime == "tensorflow":
        return open_saved_model(model, signature)
    return open_graph(model, signature)


def _graph(name: str, model: bytes, reference: Reference) -> Found:
    session = open_model("onnx", model, reference.signature)
    return Found(name, "onnx", model, session, prove(session, reference), reference)


def _unconverted(subject: Subject) -> Found:
    """The trained model itself, for the runtime that is its framework; raises Inapplicable for one that has none."""
    estimator = subject.trained.estimator
    if isinstance(estimator, NetworkEstimator):
        reference = subject.reference("FP32")
        runtime, model = estimator.network.native(estimator.n_features_in_, estimator.gives)
        session = open_model(runtime, model, reference.signature)
        return Found(f"{runtime} itself", runtime, model, session, prove(session, reference), reference)
    import skops.io

    reference = subject.reference("FP64")
    model = skops.io.dumps(estimator)
    session = open_model("sklearn", model, reference.signature)
    return Found("scikit-learn itself", "sklearn", model, session, prove(session, reference), reference)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
