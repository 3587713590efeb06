"""A Keras model as an ONNX graph: each layer by the operators that it is, joined as the model joins them.

Sequential and functional models, and models inside of these. The proof on rows tells whether what was written answers
as the model does; a layer that is not known here is refused by its name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..graphs.writer import Inapplicable
from .keras_layers import write_layer
from .nodes import Nodes

_OPSET = 18
# What Python's own operators become between the layers of a functional model, such as ``x + y``.
_ARITHMETIC = {"Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Divide": "Div", "TrueDivide": "Div"}


def keras_graph(model: Any, features: int) -> Any:
    """``model``, of one output, as an ONNX ModelProto: float32 [rows, features] → float32 [rows, …].

    The features are those of its inputs, one input after the other. Raises Inapplicable.
    """
    from onnx import TensorProto, helper

    nodes = Nodes()
    (scores,) = _written(nodes, model, _inputs(nodes, model))
    width = math.prod(_sizes(model.outputs[0], model))
    made = helper.make_graph(
        nodes.nodes,
        "keras",
        [helper.make_tensor_value_info("given", TensorProto.FLOAT, ["rows", features])],
        [helper.make_tensor_value_info(scores, TensorProto.FLOAT, ["rows", width])],
        nodes.constants,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)


def _inputs(nodes: Nodes, model: Any) -> list[str]:
    """The names of the model's inputs, cut out of the rows that are given."""
    shapes = [_sizes(tensor, model) for tensor in model.inputs]
    if len(shapes) == 1:
        return [nodes.add("Reshape", "given", nodes.integers(-1, *shapes[0]))]
    names, start = [], 0
    for shape in shapes:
        end = start + math.prod(shape)
        part = nodes.add("Slice", "given", nodes.integers(start), nodes.integers(end), nodes.integers(1))
        names.append(nodes.add("Reshape", part, nodes.integers(-1, *shape)))
        start = end
    return names


def _written(nodes: Nodes, model: Any, inputs: list[str]) -> list[str]:
    """The names of the outputs of ``model``, whose inputs are tensors of the graph."""
    # Keras has no other way to ask: a sequential model keeps a functional one, and that one its calls by their depth.
    functional = getattr(model, "_functional", None) or model
    by_depth: Mapping[int, list[Any]] | None = getattr(functional, "_nodes_by_depth", None)
    if by_depth is None:
        raise Inapplicable(f"no graph is written for {type(model).__name__}, which is code of its own")
    names = {id(tensor): name for tensor, name in zip(functional.inputs, inputs, strict=True)}
    for depth in sorted(by_depth, reverse=True):
        for call in by_depth[depth]:
            if call.is_input:
                continue
            outputs = _called(nodes, call, names)
            names.update({id(tensor): name for tensor, name in zip(call.outputs, outputs, strict=True)})
    return [names[id(tensor)] for tensor in functional.outputs]


def _called(nodes: Nodes, call: Any, names: Mapping[int, str]) -> list[str]:
    """The names of what one call of a layer, of a model or of an operation between layers gives."""
    import keras

    operation, given = call.operation, [names[id(tensor)] for tensor in call.input_tensors]
    if isinstance(operation, keras.Model):
        return _written(nodes, operation, given)
    if not isinstance(operation, keras.Layer):
        return [_between_layers(nodes, call, names)]
    if len(call.outputs) != 1:
        raise Inapplicable(f"no graph is written for {type(operation).__name__} with {len(call.outputs)} outputs")
    # Sizes that are not known before the rows are there stay None.
    shapes = [tuple(tensor.shape[1:]) for tensor in call.input_tensors]
    return [write_layer(nodes, operation, given, shapes, tuple(call.outputs[0].shape[1:]))]


def _between_layers(nodes: Nodes, call: Any, names: Mapping[int, str]) -> str:
    """What ``x + y`` and the like give, of tensors and numbers."""
    kind = type(call.operation).__name__
    terms = [*call.arguments.args, *call.arguments.kwargs.values()]
    if kind not in _ARITHMETIC or len(terms) != 2:
        raise Inapplicable(f"no graph is written for the operation {kind} between layers")
    written = [nodes.number(term) if isinstance(term, int | float) else names.get(id(term)) for term in terms]
    if None in written:
        raise Inapplicable(f"no graph is written for the operation {kind} with a constant tensor")
    return nodes.add(_ARITHMETIC[kind], *(name for name in written if name is not None))


def _sizes(tensor: Any, model: Any) -> tuple[int, ...]:
    """The shape of one row of ``tensor``."""
    sizes = tuple(tensor.shape[1:])
    if None in sizes:
        raise Inapplicable(f"{model.name} takes or gives rows of any size; build it for rows of one size")
    return tuple(int(size) for size in sizes)
