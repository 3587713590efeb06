"""The nodes and constants of an ONNX graph while it is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..table import Array

# The sizes of one row of a tensor; None where they are not known before the rows are there.
Sizes = tuple[int | None, ...]


class Nodes:
    """A graph so far; every tensor has a name, which ``add`` and ``constant`` give."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The name of the output of a new node."""
        from onnx import helper

        output = f"step{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, values: Any) -> str:
        """The name of a constant with the shape and the type of ``values``."""
        from onnx import numpy_helper

        name = f"constant{len(self.constants)}"
        array: Array = np.asarray(values)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def number(self, value: float) -> str:
        """The name of a constant of one float32."""
        return self.constant(np.float32(value))

    def integers(self, *values: int) -> str:
        """The name of a constant of 64-bit integers, such as a shape or axes."""
        return self.constant(np.array(values, dtype=np.int64))


class Call(NamedTuple):
    """One call of ``layer``: ``given`` are its inputs in the graph, whose rows have the sizes ``shapes``."""

    nodes: Nodes
    layer: Any
    given: Sequence[str]
    shapes: Sequence[Sizes]
    gives: Sizes
