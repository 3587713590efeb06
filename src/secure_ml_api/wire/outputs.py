"""What a model's outputs are called in the rows protocol, and the words for its classes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..tensors import Signature
from .envelopes import Extra

# What a batch may ask for beside its predictions, by task, and the model output that each is made from.
EXTRAS: dict[str, dict[Extra, str]] = {
    "classification": {"probabilities": "probabilities", "labels": "label"},
    "regression": {},
    "anomaly": {"is_anomaly": "label", "scores": "score"},
}


def main_output(signature: Signature) -> str:
    """The output that holds the prediction itself."""
    return "value" if signature.task == "regression" else "label"


def has_extra(extra: Extra, signature: Signature) -> bool:
    """Whether the model can give ``extra``."""
    return extra in EXTRAS[signature.task] and (extra != "probabilities" or signature.has_probabilities)


def label_words(signature: Signature, values: np.ndarray[Any, Any]) -> list[str]:
    """The words for predicted classes: ``values`` [rows] are class values, or indices of classes that are words.

    Raises KeyError for a value that is no class of the model, rather than name another one.
    """
    words = _words(signature)
    return [words[value] for value in values.tolist()]


@lru_cache(maxsize=512)
def _words(signature: Signature) -> dict[int, str]:
    """Predicted value → word; classes that are words themselves are predicted as their position."""
    keys = [name if isinstance(name, int) else position for position, name in enumerate(signature.classes)]
    return dict(zip(keys, signature.labels, strict=True))


def all_extras(signature: Signature) -> tuple[Extra, ...]:
    """All that the model gives beside its predictions."""
    return tuple(extra for extra in EXTRAS[signature.task] if has_extra(extra, signature))
