from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from secure_ml_api.runtimes.onnx_external import mentions_external_data
from support.interpreter import lets_others_run
from support.packages import weighing_graph


def outside_tensor() -> TensorProto:
    tensor = helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="elsewhere.bin")
    return tensor


def model_with(node_attribute: object = None, initializer: TensorProto | None = None) -> bytes:
    node = helper.make_node("Constant", [], ["out"])
    if node_attribute is not None:
        node.attribute.append(helper.make_attribute("value", node_attribute))
    graph = helper.make_graph([node], "g", [], [], [initializer] if initializer is not None else [])
    data: bytes = helper.make_model(graph).SerializeToString()
    return data


def test_a_graph_with_its_weights_inside_is_taken() -> None:
    assert not mentions_external_data(weighing_graph())


def test_weights_in_another_file_are_found() -> None:
    assert mentions_external_data(weighing_graph(external="weights.bin"))


def test_a_constant_in_another_file_is_found() -> None:
    assert mentions_external_data(model_with(node_attribute=outside_tensor()))


def test_weights_of_a_subgraph_in_another_file_are_found() -> None:
    inner = helper.make_graph([], "inner", [], [], [outside_tensor()])
    assert mentions_external_data(model_with(node_attribute=inner))


def test_a_sparse_tensor_in_another_file_is_found() -> None:
    sparse = helper.make_sparse_tensor(outside_tensor(), helper.make_tensor("i", TensorProto.INT64, [1], [0]), [1])
    assert mentions_external_data(model_with(node_attribute=sparse))


def test_weights_of_a_function_in_another_file_are_found() -> None:
    model = helper.make_model(helper.make_graph([], "g", [], []))
    node = helper.make_node("Constant", [], ["out"])
    node.attribute.append(helper.make_attribute("value", outside_tensor()))
    model.functions.append(helper.make_function("d", "f", [], ["out"], [node], [helper.make_opsetid("", 18)]))
    assert mentions_external_data(model.SerializeToString())


def test_requests_are_answered_while_a_large_model_is_searched() -> None:
    large = bytes(16 * 1024 * 1024)
    assert lets_others_run(lambda: mentions_external_data(large))


def test_the_word_alone_is_no_external_data() -> None:
    assert not mentions_external_data(weighing_graph(name="location"))


@pytest.mark.parametrize("data", [b"location", b"\xff\xff location", b"\x3a\xff\xff\xff\xff\x0flocation"])
def test_bytes_that_are_no_protobuf_and_hold_the_word_count_as_external(data: bytes) -> None:
    assert mentions_external_data(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_decided(data: bytes) -> None:
    assert mentions_external_data(data + b"location") in {True, False}


def test_graphs_nested_without_end_are_not_followed() -> None:
    data = field(2, b"location")
    for _ in range(3000):
        # graph.node → node.attribute → attribute.g
        data = field(1, field(5, field(6, data)))
    assert mentions_external_data(field(7, data))


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field, for messages that the protobuf library itself refuses to make."""
    length, size = b"", len(payload)
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + payload
