"""Several callers' rows as one run's, and the run's answers as each caller's again: pure, arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Protocol

import numpy as np

from ..tensors import Tensors


class Part(Protocol):
    """What one caller brings to a run; ``wire.question.Question`` is one."""

    @property
    def inputs(self) -> Tensors:
        """Each tensor [rows, …]."""
        ...

    @property
    def rows(self) -> int: ...

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names of the outputs that the caller asks for."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of all parts, in their order: each of ``inputs`` is [sum of ``row_counts``, …]."""

    inputs: Tensors
    wanted: tuple[str, ...]
    """Every output that any part asks for, once."""
    row_counts: tuple[int, ...]


def merge(parts: Sequence[Part]) -> Batch:
    """The rows of ``parts``, one after the other.

    Raises ValueError unless all have tensors of the same names, datatypes and shapes behind the rows, each as long as
    its part says: NumPy would convert some of what differs, and a wrong length would shift every later caller's rows.
    """
    first = parts[0].inputs
    for part in parts:
        if part.inputs.keys() != first.keys():
            raise ValueError("the parts of a batch have tensors of different names")
        for name, tensor in part.inputs.items():
            if tensor.dtype != first[name].dtype or tensor.shape[1:] != first[name].shape[1:]:
                raise ValueError("the parts of a batch have tensors of different datatypes or shapes")
            if len(tensor) != part.rows:
                raise ValueError("a part of a batch does not have the rows that it says")
    return Batch(
        inputs={name: np.concatenate([part.inputs[name] for part in parts]) for name in first},
        wanted=tuple(dict.fromkeys(name for part in parts for name in part.wanted)),
        row_counts=tuple(part.rows for part in parts),
    )


def split(outputs: Tensors, row_counts: Sequence[int]) -> list[Tensors]:
    """The rows of each part, in memory of its own, so that no caller can come by another's.

    Raises ValueError unless every output has exactly the rows of all parts together.
    """
    ends = tuple(accumulate(row_counts, initial=0))
    for tensor in outputs.values():
        if tensor.ndim == 0 or len(tensor) != ends[-1]:
            raise ValueError("the model did not answer with one row for each row of the batch")
    return [{name: tensor[start:end].copy() for name, tensor in outputs.items()} for start, end in pairwise(ends)]
