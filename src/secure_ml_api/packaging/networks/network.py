"""A trained network as packing sees every model: through what it predicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from ...errors import PackingError
from ...runtimes.scores import Gives, answers_of, probabilities_of
from ...tensors import Signature, Task, Tensors
from ..table import Array

NativeRuntime = Literal["torch", "tensorflow"]

# A network is run in pieces of so many rows, which bounds the memory of one run.
_BATCH_ROWS = 512


class GraphForm(NamedTuple):
    """One way from a network to a graph; ``name`` is for people, in the table of timings."""

    name: str
    write: Callable[[int], Any]
    """From a number of features to an ONNX ModelProto of one input, float32 [rows, features], and one output.

    Raises Inapplicable for a network that has no such form.
    """


class Network(Protocol):
    """A network in the framework that trained it."""

    kind: str
    """Its class, for people."""
    library: str
    """What people call its framework."""
    runtime: NativeRuntime
    """What runs it where there is no graph."""

    def outputs(self, rows: Array) -> Array:
        """What it gives for ``rows``, float32 [rows, features]: float32 [rows, …]."""
        ...

    def graphs(self) -> Sequence[GraphForm]:
        """The ways to its graph, the plainest first: a later one is tried where none before it did."""
        ...

    def traits(self) -> dict[str, Any]:
        """What it is made of, by name, for people; what is not a plain value or looks like a path is not shown."""
        ...

    def native(self, features: int, gives: Gives) -> bytes:
        """Its file for ``runtime``; raises Inapplicable without one."""
        ...


class NetworkEstimator:
    """``network`` with the methods of a fitted scikit-learn model.

    What it gives is told apart on ``sample`` (float [rows, features]) where ``gives`` is None: outputs that are
    probabilities on every row are taken for those, and any others for logits. Raises PackingError when its outputs
    do not fit the task or ``classes``.
    """

    def __init__(
        self,
        network: Network,
        sample: Array,
        *,
        task: Task,
        classes: Sequence[int] | Sequence[str] | None = None,
        gives: Gives | None = None,
    ) -> None:
        if task == "anomaly":
            raise PackingError("a network is packed as classification or regression")
        self.network = network
        self.kind = network.kind
        self.task = task
        self.n_features_in_ = sample.shape[1]
        scores = self._scores(sample)
        self.gives: Gives = _judged(scores, task) if gives is None else gives
        if task == "regression":
            if scores.shape[1] != 1:
                raise PackingError(f"{self.kind} gives {scores.shape[1]} numbers a row; a regression gives one")
            return
        count = max(2, scores.shape[1])
        if classes is not None and len(classes) != count:
            raise PackingError(f"{self.kind} tells {count} classes apart and {len(classes)} are named")
        self.classes_ = np.arange(count) if classes is None else np.asarray(classes)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """What the network is made of, as scikit-learn's estimators tell how they learn."""
        return self.network.traits()

    def predict(self, rows: Array) -> Array:
        """The class, or the value, of each row."""
        scores = self._scores(rows)
        if self.task == "regression":
            return scores[:, 0]
        return np.asarray(self.classes_[probabilities_of(scores, self.gives).argmax(axis=1)])

    def predict_proba(self, rows: Array) -> Array:
        """The probability of each class: float32 [rows, classes]."""
        return probabilities_of(self._scores(rows), self.gives)

    def session(self, signature: Signature) -> EagerSession:
        """The network itself, as a server would have to run it."""
        return EagerSession(self, signature)

    def _scores(self, rows: Array) -> Array:
        given = np.ascontiguousarray(rows, dtype=np.float32)
        parts = [
            self.network.outputs(given[start : start + _BATCH_ROWS]) for start in range(0, len(given), _BATCH_ROWS)
        ]
        return np.concatenate(parts).reshape(len(given), -1)


class EagerSession:
    """A network run by the framework that trained it, where it stands for comparison."""

    def __init__(self, estimator: NetworkEstimator, signature: Signature) -> None:
        self._estimator = estimator
        self._signature = signature

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        given = self._estimator.network.outputs(inputs["input"].astype(np.float32, copy=False))
        answers = answers_of(given, self._estimator.gives, self._signature)
        return {name: answers[name] for name in outputs}


def _judged(scores: Array, task: Task) -> Gives:
    if task == "regression":
        return "values"
    within = bool((scores >= 0).all() and (scores <= 1).all())
    sums = scores.sum(axis=1)
    return "probabilities" if within and (scores.shape[1] == 1 or np.allclose(sums, 1, atol=1e-4)) else "logits"
