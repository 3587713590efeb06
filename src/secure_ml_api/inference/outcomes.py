"""What a run came to, in the fixed words of the ``outcome`` label."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import DeadlineExceeded, Overloaded, Refusal
from ..tensors import Signature, Tensors
from ..wire.outputs import label_words

# A model with more classes than this would make more time series than anyone reads.
_MOST_LABELS = 50

_SMALL = 1000

_FAILURES: dict[type[Refusal], str] = {DeadlineExceeded: "late", Overloaded: "overloaded"}


def failure(refusal: Refusal) -> str:
    """The outcome of rows that got no prediction."""
    return _FAILURES.get(type(refusal), "failed")


def outcomes(signature: Signature, outputs: Tensors, rows: int) -> Iterator[tuple[str, int]]:
    """How many of the ``rows`` were predicted as what: class labels, ``anomaly`` and ``normal``, or ``predicted``."""
    labels = outputs.get("label")
    if labels is None or (signature.task == "classification" and len(signature.labels) > _MOST_LABELS):
        yield "predicted", rows
    elif signature.task == "anomaly":
        anomalies = int(np.count_nonzero(labels == -1))
        if anomalies:
            yield "anomaly", anomalies
        if rows - anomalies:
            yield "normal", rows - anomalies
    elif rows == 1:
        yield label_words(signature, labels)[0], 1
    else:
        values, counts = _counted(labels)
        yield from zip(label_words(signature, values), counts.tolist(), strict=True)


def _counted(labels: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The different values in ``labels`` [rows], and how often each occurs; small ones, the rule, without sorting."""
    if labels.min() < 0 or labels.max() > _SMALL:
        return np.unique(labels, return_counts=True)
    counts = np.bincount(labels)
    values = np.flatnonzero(counts)
    return values, counts[values]
