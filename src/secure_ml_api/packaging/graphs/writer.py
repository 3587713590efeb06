"""Writes the nodes of one converted step: constants and operators, in the number type that the step is given."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..table import Array

ML = "ai.onnx.ml"


class Inapplicable(Exception):
    """This model is not one that the graph is written for; another candidate may be."""


class Writer:
    """What a converter for skl2onnx writes with: ``given`` is the name of the step's input [rows, features].

    ``dtype`` is that of the numbers of the graph, float32 or float64.
    """

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        from skl2onnx.common.data_types import DoubleTensorType
        from skl2onnx.operator_converters.common import concatenate_variables

        self._scope = scope
        self._container = container
        self.model = operator.raw_operator
        self.outputs: list[str] = [output.full_name for output in operator.outputs]
        self.dtype: type[np.floating[Any]] = np.float32
        if isinstance(operator.inputs[0].type, DoubleTensorType):
            self.dtype = np.float64
        self.given: str = concatenate_variables(scope, operator.inputs, container)

    def numbers(self, values: Any, dtype: type[np.floating[Any]] | None = None) -> str:
        """The name of a constant of the graph's number type, or of ``dtype``."""
        return self._constant(np.asarray(values, dtype=dtype or self.dtype))

    def integers(self, values: Any) -> str:
        """The name of a constant of 64-bit integers."""
        return self._constant(np.asarray(values, dtype=np.int64))

    def node(self, operator: str, *inputs: str, to: str | None = None, domain: str = "", **attributes: Any) -> str:
        """Add an operator; the name of its output, which is ``to`` when given."""
        output = to or self._scope.get_unique_variable_name(operator.lower())
        self._add(operator, inputs, [output], domain, attributes)
        return output

    def second(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator of two outputs of which only the second is wanted; the name of that one."""
        name: str = self._scope.get_unique_variable_name(operator.lower())
        self._add(operator, inputs, [f"{name}_first", name], "", attributes)
        return name

    def cast(self, name: str, dtype: type[np.generic]) -> str:
        """``name`` as numbers of ``dtype``."""
        return self.node("Cast", name, to_type=_element_type(dtype))

    def _add(self, operator: str, inputs: tuple[str, ...], outputs: list[str], domain: str, attributes: Any) -> None:
        if "to_type" in attributes:
            attributes["to"] = attributes.pop("to_type")
        name = self._scope.get_unique_operator_name(operator)
        self._container.add_node(operator, list(inputs), outputs, op_domain=domain, name=name, **attributes)

    def _constant(self, values: Array) -> str:
        name: str = self._scope.get_unique_variable_name("constant")
        self._container.add_initializer(name, _element_type(values.dtype.type), values.shape, values.ravel().tolist())
        return name


def write_label(writer: Writer, scores: str, classes: Any) -> None:
    """The first output: the first of the classes with the highest of ``scores`` [rows, classes].

    A class is its value when classes are whole numbers and its index otherwise, as in a signature.
    """
    values = class_values(classes)
    if values == list(range(len(values))):
        writer.node("ArgMax", scores, axis=1, keepdims=0, to=writer.outputs[0])
    else:
        index = writer.node("ArgMax", scores, axis=1, keepdims=0)
        writer.node("Gather", writer.integers(values), index, to=writer.outputs[0])


def class_values(classes: Any) -> list[int]:
    """What a signature answers for each class."""
    values = np.asarray(classes)
    whole = values.dtype.kind in "biu" or (values.dtype.kind == "f" and bool(np.all(values == np.floor(values))))
    return [int(value) for value in values.tolist()] if whole else list(range(len(values)))


def classifier_shapes(operator: Any) -> None:
    """The types of a classifier's outputs, for skl2onnx: label [rows] and one number for each class."""
    from skl2onnx.common.data_types import Int64TensorType

    classes = len(operator.raw_operator.classes_)
    operator.outputs[0].type = Int64TensorType([None])
    operator.outputs[1].type = operator.inputs[0].type.__class__([None, classes])


def _element_type(dtype: type[np.generic]) -> int:
    from onnx import helper

    element: int = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return element
