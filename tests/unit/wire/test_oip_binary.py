"""The binary tensor extension: elements after the JSON arrive exactly, or are refused by row and feature."""

from __future__ import annotations

import json
import struct
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import Refusal
from secure_ml_api.tensors import NUMPY_DTYPES, Column, Datatype, Signature
from secure_ml_api.wire.oip import OipQuestion, decode_oip
from secure_ml_api.wire.question import Payload
from support.oip_binary_requests import ROW, decode, iris, payload, tensor
from support.signatures import ALL, COUNTS, GAPS, IRIS, ONE, column_of, mismatch, places, read_or_refused, tables, words


def written(cells: list[Any], datatype: Datatype) -> bytes:
    """``cells`` as the extension writes them."""
    if datatype == "BYTES":
        texts = [cell.encode() for cell in cells]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    return np.array(cells, dtype=NUMPY_DTYPES[datatype].newbyteorder("<")).tobytes()


@given(st.data(), st.sampled_from(ALL))
def test_tensors_that_fit_arrive_exactly(data: st.DataObject, signature: Signature) -> None:
    rows = data.draw(tables(signature))
    inputs, tails = [], []
    for index, spec in enumerate(signature.inputs):
        cells = [cell for row in rows for cell in row] if signature.is_matrix else [row[index] for row in rows]
        tails.append(written(cells, spec.datatype))
        inputs.append(tensor(spec.name, [len(rows), spec.shape[1]], spec.datatype, len(tails[-1])))
    order = data.draw(st.permutations(range(len(inputs))))
    question = decode([inputs[at] for at in order], b"".join(tails[at] for at in order), signature)
    assert question.rows == len(rows)
    for index in range(len(signature.columns)):
        assert column_of(question.inputs, signature, index) == [row[index] for row in rows]


@given(
    st.binary(max_size=80),
    st.sampled_from(["0", "1", "2", "79", "80", "81", "-1", "x", " 2", "1e1", "9" * 30, "٣", "+2"]),
    st.sampled_from(ALL),
)
def test_any_bytes_are_a_question_or_a_refusal(body: bytes, length: str, signature: Signature) -> None:
    question = read_or_refused(lambda: decode_oip(Payload(body, inference_header_length=length), signature, 4))
    if not isinstance(question, Refusal):
        assert 1 <= question.rows <= 4


@given(
    st.lists(
        st.builds(
            tensor,
            st.sampled_from(["input", "age", "city", "a", "b", "text", "reading", "secret"]),
            st.lists(st.integers(0, 3) | st.sampled_from([2**31, 2**16]), max_size=8),
            st.sampled_from(sorted(NUMPY_DTYPES)),
            st.integers(-1, 40) | st.sampled_from([2**31, 2**63, True, "4", None, 4.0]),
            data=st.none() | st.just([]) | st.just([1]),
        ),
        max_size=3,
    ),
    st.binary(max_size=60),
    st.sampled_from(ALL),
)
def test_any_description_of_any_bytes_is_a_question_or_a_refusal_that_repeats_nothing(
    inputs: list[dict[str, Any]], tail: bytes, signature: Signature
) -> None:
    question = read_or_refused(lambda: decode_oip(payload(inputs, tail), signature, 4))
    if isinstance(question, Refusal):
        assert "secret" not in words(question)


@pytest.mark.parametrize("rest", range(8))
def test_memory_is_shared_with_the_body_where_it_is_aligned_and_runtimes_get_aligned_arrays(rest: int) -> None:
    inputs = [tensor("input", [1, 4], "FP32", 16)]
    head = json.dumps({"inputs": inputs}).encode()
    head += b" " * (-(len(head) + 32) % 8 + rest)
    body = head + ROW
    array = decode_oip(Payload(body, inference_header_length=str(len(head))), IRIS, 10).inputs["input"]
    assert array.tolist() == [[1, 2, 3, 4]]
    assert array.flags.aligned
    shares = np.shares_memory(array, np.frombuffer(body, dtype=np.uint8))
    address = np.frombuffer(body, dtype=np.uint8).ctypes.data + len(head)
    assert shares is (address % 4 == 0)


def test_a_head_that_comes_again_is_read_with_the_bytes_that_follow_it_now() -> None:
    other = struct.pack("<4f", 5, 6, 7, 8)
    assert [iris(tail).inputs["input"].tolist() for tail in (ROW, other, ROW)] == [
        [[1, 2, 3, 4]],
        [[5, 6, 7, 8]],
        [[1, 2, 3, 4]],
    ]
    for _ in range(2):  # a refusal is not kept, and not forgotten either
        assert isinstance(read_or_refused(lambda: iris(ROW[:8], size=16)), Refusal)


def test_some_tensors_may_stand_in_the_json() -> None:
    inputs = [
        {"name": "b", "shape": [2], "datatype": "INT64", "data": [3, 4]},
        tensor("a", [2, 1], "INT64", 16),
    ]
    assert decode(inputs, struct.pack("<2q", 1, 2), COUNTS).inputs["input"].tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize(("datatype", "kind"), [("FP16", "e"), ("FP64", "d"), ("INT8", "b"), ("UINT32", "I")])
def test_columns_of_other_datatypes_are_converted(datatype: str, kind: str) -> None:
    inputs = [tensor(name, [1], datatype, struct.calcsize(kind)) for name in IRIS.column_names]
    assert decode(inputs, struct.pack(f"<4{kind}", 1, 2, 3, 4)).inputs["input"].tolist() == [[1, 2, 3, 4]]


def test_fp16_is_read_where_the_model_takes_it() -> None:
    signature = Signature(task="regression", columns=(Column(name="x", datatype="FP16"),))
    question = decode([tensor("input", [2, 1], "FP16", 4)], struct.pack("<2e", 0.5, -2), signature)
    assert question.inputs["input"].tolist() == [[0.5], [-2]]


def test_the_matrix_has_the_models_datatype() -> None:
    refusal = mismatch(lambda: decode([tensor("input", [1, 4], "FP64", 32)], struct.pack("<4d", 1, 2, 3, 4)))
    assert places(refusal) == [(None, "input")]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_named_by_row_and_feature(value: float) -> None:
    refusal = mismatch(lambda: iris(struct.pack("<8f", 1, 2, 3, 4, 1, value, 3, 4), rows=2))
    assert places(refusal) == [(1, "sepal width")]
    assert refusal.misfits[0].detail == "expected a finite number"
    inputs = [tensor(name, [1], "FP64", 8) for name in IRIS.column_names]
    assert places(mismatch(lambda: decode(inputs, struct.pack("<4d", 1, 2, 3, value)))) == [(0, "petal width")]


@pytest.mark.parametrize("signature", [IRIS, GAPS, ONE])
def test_signalling_nan_is_nan_and_nothing_is_said_to_the_log(signature: Signature) -> None:
    """Warnings are errors here; casting or comparing such a value raises one in NumPy unless told not to."""
    sizes = {"FP32": (b"\x01\x00\xa0\x7f", 4), "FP64": (b"\x01\x00\x00\x00\x00\x00\xf4\x7f", 8)}
    width = len(signature.columns)
    for datatype, (value, size) in sizes.items():
        columns = [tensor(name, [1], datatype, size) for name in signature.column_names]
        matrix = [tensor("input", [1, width], datatype, size * width)]
        for inputs in (columns, matrix):
            assert isinstance(read_or_refused(partial(decode, inputs, value * width, signature)), Refusal)


def test_nan_is_a_missing_value_where_the_model_allows_one_and_infinity_never_is() -> None:
    def read(*values: float) -> OipQuestion:
        return decode([tensor("input", [1, 2], "FP32", 8)], struct.pack("<2f", *values), GAPS)

    assert np.isnan(read(np.nan, 1).inputs["input"]).tolist() == [[True, False]]
    assert places(mismatch(lambda: read(1, np.nan))) == [(0, "must")]
    assert places(mismatch(lambda: read(np.inf, 1))) == [(0, "may")]


def test_bounds_hold() -> None:
    refusal = mismatch(lambda: decode([tensor("input", [2, 1], "FP64", 16)], struct.pack("<2d", 0, -6), ONE))
    assert places(refusal) == [(1, "reading")]
