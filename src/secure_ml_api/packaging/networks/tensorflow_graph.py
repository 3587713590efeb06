"""A function of TensorFlow's operators as an ONNX graph, by tf2onnx, which the extra ``tensorflow`` brings.

This is for what has no layers to write it by: SavedModels, and layers of Keras that have no form here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..graphs.writer import Inapplicable

# The newest that tf2onnx knows.
_OPSET = 18


def tensorflow_graph(called: Callable[[Any], Any], features: int) -> Any:
    """``called``, from a float32 tensor [rows, features] to one [rows, …], as an ONNX ModelProto.

    Raises Inapplicable when tf2onnx is not installed or has no form for an operator.
    """
    import onnx
    import tensorflow

    try:
        import tf2onnx.convert
    except ImportError:
        remedy = "run `pip install 'secure-ml-api[tensorflow]'`"
        raise Inapplicable(f"tf2onnx, which writes operators of TensorFlow, is not installed; {remedy}") from None
    spec = tensorflow.TensorSpec([None, features], tensorflow.float32, name="given")
    function = tensorflow.function(called, input_signature=[spec])
    width = called(tensorflow.zeros([1, features])).numpy().size
    with _silent(logging.getLogger("tf2onnx")):  # what it has to say is raised below
        model, _ = tf2onnx.convert.from_function(function, input_signature=[spec], opset=_OPSET)
    _write_erfc(model.graph)
    unknown = sorted({node.op_type for node in model.graph.node if not onnx.defs.has(node.op_type, node.domain)})
    if unknown:
        raise Inapplicable(f"tf2onnx writes no graph of the operators {', '.join(unknown[:5])}")
    (output,) = model.graph.output
    # How many numbers a row gets is not always known to TensorFlow, and decides what they are.
    output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, onnx.TensorProto.FLOAT, ["rows", width]))
    return model


@contextmanager
def _silent(log: logging.Logger) -> Iterator[None]:
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def _write_erfc(graph: Any) -> None:
    """1 − Erf in the place of each Erfc, which tf2onnx leaves as it is; Keras makes GELU of it."""
    from onnx import TensorProto, helper

    nodes, one = [], "erfc_one"
    for node in graph.node:
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        error = f"{node.output[0]}_erf"
        nodes.append(helper.make_node("Erf", list(node.input), [error]))
        nodes.append(helper.make_node("Sub", [one, error], list(node.output)))
    if len(nodes) > len(graph.node):
        graph.initializer.append(helper.make_tensor(one, TensorProto.FLOAT, [], [1.0]))
        del graph.node[:]
        graph.node.extend(nodes)
