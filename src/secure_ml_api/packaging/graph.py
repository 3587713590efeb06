"""Rewrites a converted graph so that it takes and gives exactly the tensors of a signature."""

from __future__ import annotations

from typing import Any

from ..errors import PackingError
from ..tensors import Datatype, Signature, TensorSpec

_ELEMENT_TYPES: dict[Datatype, str] = {
    "FP32": "FLOAT",
    "FP64": "DOUBLE",
    "INT64": "INT64",
    "UINT8": "UINT8",
    "BYTES": "STRING",
}
_PREFIX = "model_"
_ML = "ai.onnx.ml"
# Some sixteen steps of float32 just below 1.
_TIE = 1e-6
# What these make lies between 0 and 1; a sum of float32, as forests make, may come out just beyond.
_BOUNDED = {"Softmax", "Sigmoid", "Normalizer"}
_BOUNDED_BY = {"LOGISTIC", "SOFTMAX"}
_PASSING = {"Identity", "Cast", "Reshape"}
# From here on Clip takes float64 as well.
_CLIP_OPSET = 12


def normalise(model: Any, signature: Signature, *, most_probable: bool = False) -> bytes:
    """The bytes of ``model`` (an ONNX ModelProto) with the inputs and outputs of ``signature``.

    Inputs are matched in order. Of the outputs, the first is the label or the value, the second the probabilities or
    the score: text labels become their index among the classes, every column of one becomes a vector, probabilities
    that rounding moved beyond 0 or 1 are moved back. With
    ``most_probable`` the label is the first of the classes that have the highest probability, whatever the graph says.
    """
    from onnx import compose, helper

    graph = compose.add_prefix(model, _PREFIX).graph
    if len(graph.input) != len(signature.inputs):
        raise PackingError(f"the converted graph takes {len(graph.input)} tensors, not {len(signature.inputs)}")
    if len(graph.output) < len(signature.outputs):
        raise PackingError(f"the converted graph gives {len(graph.output)} tensors, not {len(signature.outputs)}")
    nodes = [_begin(spec, inner) for spec, inner in zip(signature.inputs, graph.input, strict=True)]
    nodes.extend(_in_portable_locale(node) for node in graph.node)
    constants = [helper.make_tensor("shape_vector", _onnx_type("INT64"), [1], [-1])]
    opsets = _opsets(model)
    ml_version = next(opset.version for opset in opsets if opset.domain == _ML)
    for spec, inner in zip(signature.outputs, graph.output, strict=False):
        if spec.name == "label" and most_probable:
            chosen, values = _most_probable(graph.output[1], signature)
            nodes.extend(chosen)
            constants.extend(values)
        elif spec.name == "probabilities" and not _is_bounded(graph, inner.name):
            unbounded = spec.model_copy(update={"name": "unbounded"})
            nodes.extend(_finish(unbounded, inner, signature, ml_version))
            bounding, values = _bounded(unbounded.name, spec, opsets)
            nodes.extend(bounding)
            constants.extend(values)
        else:
            nodes.extend(_finish(spec, inner, signature, ml_version))
    finished = helper.make_graph(
        _needed(nodes, {spec.name for spec in signature.outputs}),
        "model",
        [_value_info(spec) for spec in signature.inputs],
        [_value_info(spec) for spec in signature.outputs],
        [*graph.initializer, *constants],
        sparse_initializer=graph.sparse_initializer,
    )
    wrapped = helper.make_model(finished, opset_imports=opsets, ir_version=model.ir_version)
    wrapped.functions.extend(model.functions)
    data: bytes = wrapped.SerializeToString()
    return data


def _needed(nodes: list[Any], outputs: set[str]) -> list[Any]:
    """The nodes that ``outputs`` hang on, in their order: a converter gives more than a signature asks for."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.isdisjoint(node.output):
            continue
        kept.append(node)
        wanted.update(_read_by(node))
    return kept[::-1]


def _read_by(node: Any) -> set[str]:
    """Names that ``node`` reads, those that the graphs inside it read from outside included."""
    names = set(node.input)
    for attribute in node.attribute:
        for inner in [attribute.g, *attribute.graphs]:
            names.update(info.name for info in inner.output)
            for deeper in inner.node:
                names |= _read_by(deeper)
    return names


def _begin(spec: TensorSpec, inner: Any) -> Any:
    """The node from the signature's input ``spec`` to the converter's input ``inner``."""
    from onnx import helper

    wanted = inner.type.tensor_type.elem_type
    if wanted == _onnx_type(spec.datatype):
        return helper.make_node("Identity", [spec.name], [inner.name])
    return helper.make_node("Cast", [spec.name], [inner.name], to=wanted)


def _finish(spec: TensorSpec, inner: Any, signature: Signature, ml_version: int) -> list[Any]:
    """The nodes from the converter's output ``inner`` to the signature's output ``spec``."""
    from onnx import TensorProto, helper

    nodes, current = [], inner.name
    if spec.name == "label" and inner.type.tensor_type.elem_type == TensorProto.STRING:
        index = f"{_PREFIX}label_index"
        nodes.append(_label_index(current, index, signature, ml_version))
        current = index
    elif inner.type.tensor_type.elem_type != _onnx_type(spec.datatype):
        cast = f"{_PREFIX}{spec.name}_cast"
        nodes.append(helper.make_node("Cast", [current], [cast], to=_onnx_type(spec.datatype)))
        current = cast
    if len(spec.shape) == 1:
        nodes.append(helper.make_node("Reshape", [current, "shape_vector"], [spec.name]))
    else:
        nodes.append(helper.make_node("Identity", [current], [spec.name]))
    return nodes


def _is_bounded(graph: Any, name: str) -> bool:
    """Whether the probabilities ``name`` come from an operator that cannot give less than 0 or more than 1."""
    makers = {output: node for node in graph.node for output in node.output}
    node = makers.get(name)
    while node is not None and node.op_type in _PASSING:
        node = makers.get(node.input[0])
    if node is None:
        return False
    last = [attribute.s.decode() for attribute in node.attribute if attribute.name == "post_transform"]
    return node.op_type in _BOUNDED or not _BOUNDED_BY.isdisjoint(last)


def _bounded(source: str, spec: TensorSpec, opsets: list[Any]) -> tuple[list[Any], list[Any]]:
    """Nodes from ``source`` to ``spec`` that keep it between 0 and 1, and their constants; NaN stays NaN."""
    from onnx import helper

    element = _onnx_type(spec.datatype)
    constants = [helper.make_tensor(name, element, [], [value]) for name, value in (("least", 0.0), ("most", 1.0))]
    if max(opset.version for opset in opsets if opset.domain in {"", "ai.onnx"}) >= _CLIP_OPSET:
        return [helper.make_node("Clip", [source, "least", "most"], [spec.name])], constants
    return [
        helper.make_node("Max", [source, "least"], ["not_below"]),
        helper.make_node("Min", ["not_below", "most"], [spec.name]),
    ], constants


def _in_portable_locale(node: Any) -> Any:
    """``node``, with a locale that every Linux has when it changes the case of text; the default, en_US, may lack."""
    from onnx import helper

    if node.op_type == "StringNormalizer":
        others = [attribute for attribute in node.attribute if attribute.name != "locale"]
        del node.attribute[:]
        node.attribute.extend([*others, helper.make_attribute("locale", "C.UTF-8")])
    return node


def _most_probable(probabilities: Any, signature: Signature) -> tuple[list[Any], list[Any]]:
    """Nodes from the probabilities to the label, and their constants.

    Probabilities that differ by less than _TIE are the same number, summed in another order.
    """
    from onnx import TensorProto, helper

    highest, floor, reached, flags, index = (
        f"{_PREFIX}{part}" for part in ("highest", "floor", "reached", "flags", "most_probable")
    )
    element = probabilities.type.tensor_type.elem_type
    values = [value if isinstance(value, int) else position for position, value in enumerate(signature.classes)]
    constants = [
        helper.make_tensor("class_values", _onnx_type("INT64"), [len(values)], values),
        helper.make_tensor("tie", element, [], [_TIE]),
        helper.make_tensor("class_axis", _onnx_type("INT64"), [1], [1]),
    ]
    nodes = [
        helper.make_node("ReduceMax", [probabilities.name, "class_axis"], [highest], keepdims=1),
        helper.make_node("Sub", [highest, "tie"], [floor]),
        helper.make_node("GreaterOrEqual", [probabilities.name, floor], [reached]),
        helper.make_node("Cast", [reached], [flags], to=TensorProto.INT32),
        helper.make_node("ArgMax", [flags], [index], axis=1, keepdims=0, select_last_index=0),
        helper.make_node("Gather", ["class_values", index], ["label"]),
    ]
    return nodes, constants


def _label_index(text: str, index: str, signature: Signature, ml_version: int) -> Any:
    """The node that turns a class in words into its index; the operator changed after its first version."""
    from onnx import helper

    classes = list(signature.classes)
    encoder = helper.make_node("LabelEncoder", [text], [index], domain=_ML)
    if ml_version == 1:
        encoder.attribute.append(helper.make_attribute("classes_strings", classes))
    else:
        encoder.attribute.append(helper.make_attribute("keys_strings", classes))
        encoder.attribute.append(helper.make_attribute("values_int64s", list(range(len(classes)))))
    return encoder


def _value_info(spec: TensorSpec) -> Any:
    from onnx import helper

    shape = ["rows" if axis == -1 else axis for axis in spec.shape]
    return helper.make_tensor_value_info(spec.name, _onnx_type(spec.datatype), shape)


def _opsets(model: Any) -> list[Any]:
    """The operator sets of ``model``, with one for the label encoder when it has none."""
    from onnx import helper

    opsets = list(model.opset_import)
    if not any(opset.domain == _ML for opset in opsets):
        opsets.append(helper.make_opsetid(_ML, 3))
    return opsets


def _onnx_type(datatype: Datatype) -> int:
    from onnx import TensorProto

    element: int = getattr(TensorProto, _ELEMENT_TYPES[datatype])
    return element
