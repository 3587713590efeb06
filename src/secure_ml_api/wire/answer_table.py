"""A batch's answer as named columns, for the formats that have columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..tensors import Signature, Tensors
from .envelopes import Extra
from .outputs import label_words, main_output

# Name → one value for each row: an array of numbers or truth values, or words.
Columns = list[tuple[str, np.ndarray[Any, Any] | list[str]]]


def answer_columns(signature: Signature, outputs: Tensors, extras: Sequence[Extra]) -> Columns:
    """``prediction``, then what ``extras`` ask for: ``label``, ``probability_<label>`` …, ``is_anomaly``, ``score``."""
    columns: Columns = [("prediction", outputs[main_output(signature)])]
    if "labels" in extras:
        columns.append(("label", label_words(signature, outputs["label"])))
    if "probabilities" in extras:
        columns += [
            (f"probability_{label}", outputs["probabilities"][:, index]) for index, label in enumerate(signature.labels)
        ]
    if "is_anomaly" in extras:
        columns.append(("is_anomaly", outputs["label"] == -1))
    if "scores" in extras:
        columns.append(("score", outputs["score"]))
    return columns
