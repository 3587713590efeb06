"""What boosted trees answer with: the tensors of a signature from what their library predicts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ..errors import PackageRefused
from ..tensors import NUMPY_DTYPES, Signature, Tensors

Array = np.ndarray[Any, np.dtype[Any]]
Text = TypeVar("Text", str, bytes)

# What is parsed at a stretch, some tenths of a millisecond, and the pause after it, in which whoever waits is woken.
_PIECE = 32 * 1024
_PAUSE_SECONDS = 5e-5


class BoostedSession:
    """``predict`` takes the rows [rows, columns] and gives values [rows], or probabilities [rows, classes].

    With two classes it gives the probability of the second, [rows]. It has to be safe to call from several threads.
    """

    def __init__(self, predict: Callable[[Array], Array], signature: Signature) -> None:
        self._predict = predict
        self._specs = {spec.name: spec for spec in signature.outputs}
        values = [value if isinstance(value, int) else position for position, value in enumerate(signature.classes)]
        self._values = np.array(values, dtype=np.int64)

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        """The tensors named in ``outputs``, all from one prediction."""
        specs = [self._specs[name] for name in outputs]
        rows = inputs["input"]
        if len(rows) == 0:
            return {spec.name: np.empty((0, *spec.shape[1:]), NUMPY_DTYPES[spec.datatype]) for spec in specs}
        found = self._predict(rows)
        if len(self._values) == 2:
            found = np.column_stack((1 - found, found))
        answers = {}
        for spec in specs:
            # As the libraries' own classifiers do, of equals the first.
            tensor = self._values[np.argmax(found, axis=1)] if spec.name == "label" else found
            answers[spec.name] = np.asarray(tensor, dtype=NUMPY_DTYPES[spec.datatype])
        return answers


def require_numbers(signature: Signature) -> None:
    """Raises PackageRefused for a signature that boosted trees cannot answer."""
    if not signature.is_matrix or signature.task == "anomaly" or len(signature.classes) == 1:
        raise PackageRefused("boosted trees take columns of numbers and give classes or one number; pack it again")


def unhurried(trees: Iterable[Text]) -> Iterator[Text]:
    """``trees``, with a pause after every _PIECE of them: a worker that loads a model answers others meanwhile.

    A thread that waits for the interpreter would else be handed it every five milliseconds alone.
    """
    taken = 0
    for tree in trees:
        yield tree
        taken += len(tree)
        if taken >= _PIECE:
            taken = 0
            time.sleep(_PAUSE_SECONDS)


def is_tree(left: Array, right: Array, *, nodes: int) -> bool:
    """Whether the children of the inner nodes, by number, are below ``nodes``, no one's twice, and never the root.

    Then a walk from the root comes to its end, inside the arrays.
    """
    children = np.concatenate((left, right))
    inside = bool(((children > 0) & (children < nodes)).all())
    return inside and np.unique(children).size == children.size
