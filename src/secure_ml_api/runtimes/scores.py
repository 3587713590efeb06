"""What a network gives for each row → the outputs of a signature; shared by the runtimes that run networks."""

from __future__ import annotations

from math import prod
from typing import Any, Literal

import numpy as np

from ..tensors import NUMPY_DTYPES, Signature, Tensors

Array = np.ndarray[Any, np.dtype[Any]]

Gives = Literal["values", "logits", "probabilities"]
"""``values`` [rows, 1] of a regression; ``logits`` or ``probabilities`` [rows, classes], or [rows, 1] of the second of
two classes."""


def answers_of(given: Array, gives: Gives, signature: Signature) -> Tensors:
    """The outputs of ``signature`` for what a network ``gives``: float [rows, …].

    Logits become probabilities by the softmax, one alone by the logistic function; the label is the first class of the
    highest probability.
    """
    rows = len(given)
    if gives == "values":
        return {"value": np.reshape(given, rows).astype(NUMPY_DTYPES[signature.output_datatype])}
    probabilities = probabilities_of(np.reshape(given, (rows, prod(given.shape[1:]))), gives)
    values = np.array(
        [value if isinstance(value, int) else position for position, value in enumerate(signature.classes)],
        dtype=np.int64,
    )
    return {
        "label": values[probabilities.argmax(axis=1)],
        "probabilities": probabilities.astype(NUMPY_DTYPES[signature.output_datatype]),
    }


def probabilities_of(scores: Array, gives: Gives) -> Array:
    """``scores`` [rows, classes], or [rows, 1], as the probabilities [rows, classes]."""
    if gives == "logits":
        if scores.shape[1] == 1:
            with np.errstate(over="ignore"):  # exp(−x) past the reach of the type is a probability of zero
                scores = 1 / (1 + np.exp(-scores))
        else:
            raised = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores = raised / raised.sum(axis=1, keepdims=True)
    return np.hstack([1 - scores, scores]) if scores.shape[1] == 1 else scores
