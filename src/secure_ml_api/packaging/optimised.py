"""The same graph with less in it: what onnxruntime removes whenever it loads, removed for good, and a little more."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

# Every onnxruntime has these; fused operators of its own, and those made for one kind of processor, are left out.
_PORTABLE = {"", "ai.onnx", "ai.onnx.ml"}
# A graph of thousands of nodes takes seconds, and its time is in the nodes that remain.
_MOST_NODES = 1000


def optimised(model: bytes) -> bytes | None:
    """``model`` without nodes that change nothing; None when there are none, or when the result would not be portable.

    onnxruntime's basic optimisations keep the operators of the standard and each result: constants folded, identities,
    casts to the same type and dead nodes gone. Its higher levels would tie the file to one build or processor.
    """
    import onnx

    before = onnx.load_from_string(model)
    if len(before.graph.node) > _MOST_NODES:
        return None
    after = onnx.load_from_string(_basically_optimised(model))
    used = {node.domain for node in after.graph.node} | {""}
    if not used <= _PORTABLE:
        return None
    _drop_flattening(after)
    if len(after.graph.node) >= len(before.graph.node):
        return None
    opsets = {opset.domain: opset.version for opset in after.opset_import if opset.domain in used}
    del after.opset_import[:]
    after.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items())
    after.ir_version = before.ir_version
    data: bytes = after.SerializeToString()
    return data


def _basically_optimised(model: bytes) -> bytes:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory(prefix="secure-ml-api-") as place:
        written = Path(place) / "optimised.onnx"
        options.optimized_model_filepath = str(written)
        onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
        return written.read_bytes()


def _drop_flattening(model: Any) -> None:
    """Let a node that gives a vector write an output itself, where a Reshape to [-1] of that vector did."""
    from onnx import numpy_helper, shape_inference

    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    vectors = {
        info.name
        for info in shape_inference.infer_shapes(model).graph.value_info
        if info.type.tensor_type.HasField("shape") and len(info.type.tensor_type.shape.dim) == 1
    }
    outputs = {info.name for info in graph.output}
    for node in [node for node in graph.node if node.op_type == "Reshape" and node.output[0] in outputs]:
        source, shape = node.input[0], constants.get(node.input[1])
        flat = shape is not None and numpy_helper.to_array(shape).tolist() == [-1]
        makers = [maker for maker in graph.node if source in maker.output]
        readers = [reader for reader in graph.node if source in reader.input]
        if flat and source in vectors and len(makers) == 1 and len(readers) == 1:
            position = list(makers[0].output).index(source)
            makers[0].output[position] = node.output[0]
            graph.node.remove(node)
