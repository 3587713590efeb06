"""ONNX graphs that take two numbers and give one, for what ``weighing_graph`` is too small or too good for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def graph_of(nodes: Sequence[Any], constants: Sequence[Any]) -> bytes:
    """The graph of ``nodes`` from ``input`` [rows, 2] to ``value`` [rows]."""
    made = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["rows"])],
        constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    data: bytes = model.SerializeToString()
    return data


def big_graph(mib: int) -> bytes:
    """It weighs, and adds one of so many MiB of zeros; which one, no optimiser can know."""
    weights = numpy_helper.from_array(np.array([1, 2], dtype=np.float32), "weights")
    zeros = numpy_helper.from_array(np.zeros(mib * 1024 * 1024 // 4, dtype=np.float32), "zeros")
    nothing = numpy_helper.from_array(np.array(0, dtype=np.float32), "nothing")
    nodes = [
        helper.make_node("MatMul", ["input", "weights"], ["product"]),
        helper.make_node("Mul", ["product", "nothing"], ["first"]),
        helper.make_node("Cast", ["first"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["zeros", "index"], ["zero"]),
        helper.make_node("Add", ["product", "zero"], ["value"]),
    ]
    return graph_of(nodes, [weights, zeros, nothing])


def slow_graph(turns: int) -> bytes:
    """It weighs, and turns an empty loop so many times first."""
    scalar = partial(helper.make_tensor_value_info, shape=[])
    rows = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows"])
    same = helper.make_tensor_value_info("same", TensorProto.FLOAT, ["rows"])
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still_on"]), helper.make_node("Identity", ["x"], ["same"])],
        "turn",
        [scalar("turn", TensorProto.INT64), scalar("on", TensorProto.BOOL), rows],
        [scalar("still_on", TensorProto.BOOL), same],
    )
    nodes = [
        helper.make_node("MatMul", ["input", "weights"], ["product"]),
        helper.make_node("Loop", ["turns", "", "product"], ["value"], body=body),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 2], dtype=np.float32), "weights"),
        numpy_helper.from_array(np.array(turns, dtype=np.int64), "turns"),
    ]
    return graph_of(nodes, constants)


def failing_graph() -> bytes:
    """It weighs, and looks in a table of one for what stands at the hundredth place when it weighs five."""
    constants = [
        numpy_helper.from_array(np.array(values, dtype=dtype), name)
        for name, values, dtype in (
            ("weights", [1, 2], np.float32),
            ("five", 5, np.float32),
            ("table", [0], np.float32),
            ("there", 0, np.int64),
            ("nowhere", 100, np.int64),
        )
    ]
    nodes = [
        helper.make_node("MatMul", ["input", "weights"], ["product"]),
        helper.make_node("Equal", ["product", "five"], ["is_five"]),
        helper.make_node("Where", ["is_five", "nowhere", "there"], ["index"]),
        helper.make_node("Gather", ["table", "index"], ["zero"]),
        helper.make_node("Add", ["product", "zero"], ["value"]),
    ]
    return graph_of(nodes, constants)
