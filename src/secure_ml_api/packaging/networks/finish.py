"""From what a network gives to the outputs of a signature, as nodes at the end of its graph."""

from __future__ import annotations

from typing import Any

from ...runtimes.scores import Gives
from ...tensors import Signature


def finished(model: Any, gives: Gives, signature: Signature) -> Any:
    """``model``, an ONNX ModelProto with one output, with a label and probabilities, or a value, in its place.

    The same steps as ``runtimes.scores.answers_of``.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    scores = graph.output[0].name
    nodes, constants = [], [helper.make_tensor("finish_flat", TensorProto.INT64, [2], [0, -1])]
    nodes.append(helper.make_node("Reshape", [scores, "finish_flat"], ["finish_scores"]))
    outputs = []
    if gives == "values":
        outputs.append(helper.make_tensor_value_info("finish_scores", TensorProto.FLOAT, ["rows", 1]))
    else:
        classes = len(signature.classes)
        nodes += _probabilities(gives, is_alone=_width(graph.output[0]) == 1)
        values = [value if isinstance(value, int) else position for position, value in enumerate(signature.classes)]
        constants.append(helper.make_tensor("finish_values", TensorProto.INT64, [classes], values))
        constants.append(helper.make_tensor("finish_one", TensorProto.FLOAT, [], [1.0]))
        nodes.append(helper.make_node("ArgMax", ["finish_probabilities"], ["finish_index"], axis=1, keepdims=0))
        nodes.append(helper.make_node("Gather", ["finish_values", "finish_index"], ["finish_label"]))
        outputs.append(helper.make_tensor_value_info("finish_label", TensorProto.INT64, ["rows"]))
        outputs.append(helper.make_tensor_value_info("finish_probabilities", TensorProto.FLOAT, ["rows", classes]))
    whole = helper.make_graph(
        [*graph.node, *nodes], "network", list(graph.input), outputs, [*graph.initializer, *constants]
    )
    made = helper.make_model(whole, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    made.functions.extend(model.functions)
    return made


def _probabilities(gives: Gives, *, is_alone: bool) -> list[Any]:
    """From ``finish_scores`` to ``finish_probabilities``."""
    from onnx import helper

    if not is_alone:
        if gives == "logits":
            return [helper.make_node("Softmax", ["finish_scores"], ["finish_probabilities"], axis=1)]
        return [helper.make_node("Identity", ["finish_scores"], ["finish_probabilities"])]
    operator = "Sigmoid" if gives == "logits" else "Identity"
    return [
        helper.make_node(operator, ["finish_scores"], ["finish_second"]),
        helper.make_node("Sub", ["finish_one", "finish_second"], ["finish_first"]),
        helper.make_node("Concat", ["finish_first", "finish_second"], ["finish_probabilities"], axis=1),
    ]


def _width(output: Any) -> int | None:
    """How many numbers the network gives a row, where its graph says so."""
    dims = output.type.tensor_type.shape.dim
    return dims[-1].dim_value if len(dims) > 1 else 1
