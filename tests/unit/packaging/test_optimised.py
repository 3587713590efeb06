"""Graphs with less in them give the same tensors, and stay portable."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from secure_ml_api.packaging import optimised as room
from secure_ml_api.packaging.optimised import optimised
from secure_ml_api.runtimes.onnx import open_graph
from support.forms import Form

ROWS = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
CLASSES = np.where(ROWS[:, 0] > 0, "a", "b")


@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeClassifier().fit(ROWS, CLASSES == "a"),
        RandomForestClassifier(5).fit(ROWS, CLASSES),
        make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, CLASSES),
        LinearRegression().fit(ROWS, ROWS[:, 0]),
    ],
    ids=["tree", "forest", "pipeline", "linear"],
)
def test_a_graph_with_less_in_it_answers_bit_for_bit_the_same(model: Any) -> None:
    form = Form("skl2onnx float32", model, ROWS)
    smaller = optimised(form.model)
    assert smaller is not None
    before, after = onnx.load_from_string(form.model), onnx.load_from_string(smaller)
    assert len(after.graph.node) < len(before.graph.node)
    assert {node.domain for node in after.graph.node} <= {"", "ai.onnx.ml"}
    assert {opset.domain for opset in after.opset_import} <= {"", "ai.onnx.ml"}
    assert after.ir_version == before.ir_version
    outputs = [spec.name for spec in form.signature.outputs]
    answers = open_graph(smaller, form.signature).run({"input": ROWS}, outputs)
    for name, tensor in form(ROWS).items():
        assert answers[name].dtype == tensor.dtype
        assert answers[name].shape == tensor.shape
        assert answers[name].tobytes() == tensor.tobytes()


def plain_graph(*nodes: Any) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "plain",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["rows", 3])],
    )
    data: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    ).SerializeToString()
    return data


def test_a_graph_with_nothing_to_leave_out_is_left_alone() -> None:
    assert optimised(plain_graph(helper.make_node("Exp", ["input"], ["value"]))) is None


def test_a_graph_of_thousands_of_nodes_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_MOST_NODES", 1)
    identity = helper.make_node("Identity", ["input"], ["same"])
    assert optimised(plain_graph(identity, helper.make_node("Exp", ["same"], ["value"]))) is None


def test_a_result_with_operators_of_one_runtime_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    fused = plain_graph(helper.make_node("FusedGemm", ["input"], ["value"], domain="com.microsoft"))
    monkeypatch.setattr(room, "_basically_optimised", lambda model: fused)
    identity = helper.make_node("Identity", ["input"], ["same"])
    assert optimised(plain_graph(identity, helper.make_node("Exp", ["same"], ["value"]))) is None
