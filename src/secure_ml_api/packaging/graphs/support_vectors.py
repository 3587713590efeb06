"""Support vector machines whose kernel is one matrix product, where the stock operator reckons row by row."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from ..table import Array
from .writer import Inapplicable, Writer, write_label

# The kernel of all rows of a request with all vectors is in memory at once: 160 MB for 10,000 rows and so many vectors.
_MOST_VECTORS = 4_000


def convert_support_vector_classifier(scope: Any, operator: Any, container: Any) -> None:
    """The class that wins most duels between two classes, the first of several that win as many, as libsvm decides.

    The second output is each class's number of duels won; for two classes the decision function and its negative.
    """
    writer = Writer(scope, operator, container)
    model = writer.model
    if model._probA.size or getattr(model, "break_ties", False):  # noqa: SLF001 - set when it was fitted with probabilities
        raise Inapplicable("a machine with probabilities of its own, or one that breaks ties")
    if len(model.classes_) == 2:
        decision = _decision(writer, model, model.dual_coef_.T, model.intercept_)
        scores = writer.node("Concat", writer.node("Neg", decision), decision, axis=1, to=writer.outputs[1])
    else:
        duels, firsts, wins = _duels(model)
        decisions = _decision(writer, model, duels, model.intercept_)
        won = writer.cast(writer.node("Greater", decisions, writer.numbers([0.0])), writer.dtype)
        scores = writer.node("Gemm", won, writer.numbers(wins), writer.numbers(firsts), to=writer.outputs[1])
    write_label(writer, scores, model.classes_)


def convert_calibrated_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Platt's probabilities of one support vector machine over two classes: p = 1 / (1 + exp(a f(x) + b))."""
    from sklearn.svm import SVC, NuSVC

    writer = Writer(scope, operator, container)
    members = writer.model.calibrated_classifiers_
    machine = members[0].estimator
    if len(members) != 1 or not isinstance(machine, SVC | NuSVC) or len(writer.model.classes_) != 2:
        raise Inapplicable("a calibration of something else than one machine over two classes")
    slope = members[0].calibrators[0]
    if type(slope).__name__ != "_SigmoidCalibration":
        raise Inapplicable("a calibration that is no sigmoid")
    # Slope and intercept go into the machine's own weights, and the two classes' logits are each other's negative.
    weights = -slope.a_ * machine.dual_coef_.T
    bias = -slope.a_ * machine.intercept_ - slope.b_
    logits = _decision(writer, machine, np.hstack([-weights, weights]), np.hstack([-bias, bias]))
    probabilities = writer.node("Sigmoid", logits, to=writer.outputs[1])
    write_label(writer, probabilities, writer.model.classes_)


def convert_support_vector_regressor(scope: Any, operator: Any, container: Any) -> None:
    """The weighted sum of the kernel between a row and each support vector."""
    writer = Writer(scope, operator, container)
    model = writer.model
    value = _decision(writer, model, model.dual_coef_.T, model.intercept_)
    writer.node("Identity", value, to=writer.outputs[0])


def _decision(writer: Writer, model: Any, weights: Any, bias: Any) -> str:
    """``kernel(x, support vectors) @ weights + bias``: [rows, columns of weights]."""
    vectors = model.support_vectors_
    if not isinstance(vectors, np.ndarray):
        raise Inapplicable("support vectors that are sparse")
    if model.kernel == "linear":
        return writer.node("Gemm", writer.given, writer.numbers(vectors.T @ weights), writer.numbers(bias))
    if model.kernel != "rbf":
        raise Inapplicable(f"the kernel {model.kernel}")
    if len(vectors) > _MOST_VECTORS:
        raise Inapplicable("too many support vectors for their kernel to be held at once")
    kernel = _gaussian(writer, vectors, float(model._gamma))  # noqa: SLF001 - "scale" and "auto" as a number
    return writer.node("Gemm", kernel, writer.numbers(weights), writer.numbers(bias))


def _gaussian(writer: Writer, vectors: Array, gamma: float) -> str:
    """exp(−γ‖x − v‖²) as exp(2γ x·v − γ‖v‖² − γ‖x‖²), both moved by the vectors' mean to keep the numbers small."""
    mean = vectors.mean(axis=0).astype(writer.dtype).astype(np.float64)
    moved = vectors - mean
    centred = writer.node("Sub", writer.given, writer.numbers(mean))
    products = writer.numbers(2.0 * gamma * moved.T)
    exponents = writer.node("Gemm", centred, products, writer.numbers(-gamma * np.square(moved).sum(axis=1)))
    norms = writer.node("ReduceSumSquare", centred, writer.integers([1]), keepdims=1)
    exponents = writer.node("Sub", exponents, writer.node("Mul", norms, writer.numbers([gamma])))
    return writer.node("Exp", exponents)


def _duels(model: Any) -> tuple[Array, Array, Array]:
    """Weights of each support vector in each duel; wins that each class has before, and what a won duel adds to them.

    libsvm's duels are those of i < j: a decision above 0 is won by i, otherwise j wins. ``dual_coef_`` holds, for a
    vector of class i, its weight against class j in row j − 1 when i < j and in row j when i > j.
    """
    pairs = list(combinations(range(len(model.classes_)), 2))
    ends = np.cumsum(model.n_support_)
    spans = [slice(end - count, end) for end, count in zip(ends, model.n_support_, strict=True)]
    duels = np.zeros((len(model.support_vectors_), len(pairs)))
    wins = np.zeros((len(pairs), len(model.classes_)))
    for duel, (first, second) in enumerate(pairs):
        duels[spans[first], duel] = model.dual_coef_[second - 1, spans[first]]
        duels[spans[second], duel] = model.dual_coef_[first, spans[second]]
        wins[duel, first], wins[duel, second] = 1.0, -1.0
    before = np.bincount([second for _, second in pairs], minlength=len(model.classes_)).astype(np.float64)
    return duels, before, wins
