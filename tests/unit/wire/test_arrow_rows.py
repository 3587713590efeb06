"""Arrow streams: exact in both directions, bounded by their own bytes, and refused, never failed on, when broken."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secure_ml_api.errors import MalformedBody, NotAcceptable, Refusal, UnsupportedContent
from secure_ml_api.tensors import NUMPY_DTYPES, Column, Signature
from secure_ml_api.wire import row_formats
from secure_ml_api.wire.arrow_rows import read_arrow
from secure_ml_api.wire.question import ARROW, CSV, Payload
from secure_ml_api.wire.rows import decode_rows
from support.signatures import (
    ALL,
    COUNTS,
    GAPS,
    IRIS,
    MIXED,
    ONE,
    TEXT,
    column_of,
    mismatch,
    places,
    read_or_refused,
    tables,
    words,
)


def arrow_type(column: Column) -> pa.DataType:
    return pa.string() if column.is_text else pa.from_numpy_dtype(NUMPY_DTYPES[column.datatype])


def stream(batches: list[pa.RecordBatch], **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def batch(signature: Signature, rows: list[list[Any]], order: list[int] | None = None) -> pa.RecordBatch:
    order = list(range(len(signature.columns))) if order is None else order
    columns = [signature.columns[index] for index in order]
    arrays = [pa.array([row[i] for row in rows], arrow_type(column)) for i, column in zip(order, columns, strict=True)]
    return pa.record_batch(arrays, names=[column.name for column in columns])


def iris(*columns: Any) -> bytes:
    return stream([pa.record_batch([pa.array(column) for column in columns], names=list(IRIS.column_names))])


def malformed(body: bytes, signature: Signature = IRIS) -> MalformedBody:
    with pytest.raises(MalformedBody) as caught:
        read_arrow(body, signature, 100)
    return caught.value


GOOD = iris([1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [4.0, 8.0])


@given(st.data(), st.sampled_from(ALL), st.booleans())
def test_tables_that_fit_arrive_exactly(data: st.DataObject, signature: Signature, split: bool) -> None:
    rows = data.draw(tables(signature))
    order = data.draw(st.permutations(range(len(signature.columns))))
    parts = [rows[:1], rows[1:]] if split else [rows]
    inputs, count = read_arrow(stream([batch(signature, part, order) for part in parts]), signature, 5)
    assert count == len(rows)
    for index in range(len(signature.columns)):
        assert column_of(inputs, signature, index) == [row[index] for row in rows]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_damage_is_a_table_or_a_refusal(data: st.DataObject) -> None:
    signature = data.draw(st.sampled_from([IRIS, MIXED, TEXT, GAPS]))
    body = bytearray(stream([batch(signature, data.draw(tables(signature)))] * data.draw(st.integers(1, 2))))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body) - 1))
        kind = data.draw(st.sampled_from(["flip", "set", "cut", "insert"]))
        if kind == "flip":
            body[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "set":
            body[at : at + 4] = data.draw(st.sampled_from([b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0" * 4, b"\0\0\0\x80"]))
        elif kind == "cut":
            del body[at:]
        else:
            body[at:at] = data.draw(st.binary(min_size=1, max_size=8))
        if not body:
            break
    found = read_or_refused(lambda: read_arrow(bytes(body), signature, 10))
    if not isinstance(found, Refusal):
        assert 1 <= found[1] <= 10
        assert all(len(tensor) == found[1] for tensor in found[0].values())


@given(st.binary(max_size=100))
def test_any_bytes_are_refused(body: bytes) -> None:
    assert isinstance(read_or_refused(lambda: read_arrow(body, IRIS, 10)), Refusal)


@pytest.mark.parametrize("length", [0, 1, 4, 8, 100, len(GOOD) // 2, len(GOOD) - 20])
def test_a_stream_cut_short_is_malformed(length: int) -> None:
    malformed(GOOD[:length])


def test_bytes_after_the_end_are_malformed() -> None:
    malformed(GOOD + b"\0" * 8)
    malformed(GOOD + GOOD)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_buffers_are_refused_before_they_are_unpacked(compression: str) -> None:
    zeros = pa.record_batch([pa.array(np.zeros(50)) for _ in range(4)], names=list(IRIS.column_names))
    assert "uncompressed" in malformed(stream([zeros], compression=compression)).detail


@pytest.mark.parametrize(
    "make",
    [
        lambda values: values.dictionary_encode(),
        lambda values: pa.array([[1.0], [2.0]]),
        lambda values: pa.array([{"a": 1.0}, {"a": 2.0}]),
        lambda values: pa.array([None, None]),
        lambda values: pa.array([b"1", b"2"]),
        lambda values: pa.array([1, 2], pa.timestamp("s")),
        lambda values: pa.array([1, 2], pa.decimal128(5)),
        lambda values: pa.RunEndEncodedArray.from_arrays([2], [1.0]),
    ],
)
def test_types_that_are_not_flat_numbers_or_texts_do_not_fit(make: Callable[[pa.Array], pa.Array]) -> None:
    values = pa.array([1.0, 2.0])
    body = iris(values, make(values), values, values)
    refusal = read_or_refused(lambda: read_arrow(body, IRIS, 10))
    assert isinstance(refusal, Refusal)
    assert "sepal width" in words(refusal) or isinstance(refusal, MalformedBody)


def test_rows_are_bounded_before_they_are_read() -> None:
    assert read_arrow(GOOD, IRIS, 2)[1] == 2
    assert "1 rows" in mismatch(lambda: read_arrow(GOOD, IRIS, 1)).detail
    empty = batch(IRIS, [])
    assert mismatch(lambda: read_arrow(stream([empty]), IRIS, 1)).detail == "the request has no rows"
    mismatch(lambda: read_arrow(stream([empty] * 1001), IRIS, 1))


FIRST = IRIS.column_names[:3]


@pytest.mark.parametrize(
    "names",
    [["a", "b", "c", "d"], [*FIRST, "secret"], list(FIRST), [*FIRST, "sepal width"], [*IRIS.column_names, "secret"]],
)
def test_other_columns_do_not_fit_and_are_not_repeated(names: list[str]) -> None:
    body = stream([pa.record_batch([pa.array([1.0])] * len(names), names=names)])
    assert "secret" not in words(mismatch(lambda: read_arrow(body, IRIS, 10)))


def test_null_is_a_missing_value_where_the_column_allows_it() -> None:
    def body(may: Any, must: Any) -> bytes:
        return stream([pa.record_batch([pa.array(may), pa.array(must)], names=["may", "must"])])

    assert np.isnan(read_arrow(body([None, 1.0], [1.0, 2.0]), GAPS, 10)[0]["input"][0, 0])
    refusal = mismatch(lambda: read_arrow(body([None, 1.0], [1.0, None]), GAPS, 10))
    assert places(refusal) == [(1, "must")]
    counts = stream([pa.record_batch([pa.array([1, None]), pa.array([1, 2])], names=["a", "b"])])
    assert places(mismatch(lambda: read_arrow(counts, COUNTS, 10))) == [(1, "a")]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_what_is_no_number_of_the_models_type_is_named(value: float) -> None:
    body = iris([1.0, 1.0], [1.0, value], [1.0, 1.0], [1.0, 1.0])
    assert places(mismatch(lambda: read_arrow(body, IRIS, 10))) == [(1, "sepal width")]


def test_integers_become_the_models_numbers_and_truth_or_text_does_not() -> None:
    one = [1, 2]
    assert read_arrow(iris(one, one, one, one), IRIS, 10)[0]["input"].tolist() == [[1] * 4, [2] * 4]
    for other, remedy in (([True, False], "; for true send 1, and 0 for false"), (["1", "2"], "")):
        refusal = mismatch(partial(read_arrow, iris(one, other, one, one), IRIS, 10))
        assert places(refusal) == [(None, "sepal width")]
        assert refusal.misfits[0].detail == f"expected datatype FP32{remedy}"


def test_columns_of_a_mixed_model_are_converted_each_on_its_own() -> None:
    rows = pa.record_batch(
        [
            pa.array([1]),
            pa.array(["Bern"], pa.large_string()),
            pa.array([None], pa.float32()),
            pa.array(["x"]),
            pa.array([7]),
        ],
        names=list(MIXED.column_names),
    )
    inputs, _ = read_arrow(stream([rows]), MIXED, 10)
    assert {name: tensor.dtype for name, tensor in inputs.items()} == {
        column.name: NUMPY_DTYPES[column.datatype] for column in MIXED.columns
    }


def test_predictions_go_out_as_a_stream() -> None:
    question = decode_rows(Payload(GOOD, ARROW, ARROW), IRIS, 10)
    outputs = {"label": np.array([2, 0]), "probabilities": np.array([[0.1, 0.2, 0.7], [1, 0, 0]], dtype=np.float32)}
    answer = question.answer(outputs, "iris", "1")
    assert answer.content_type == ARROW
    table = pa.ipc.open_stream(answer.body).read_all()
    assert table.schema.names == ["prediction", "label", *(f"probability_{label}" for label in IRIS.labels)]
    assert table.column("label").to_pylist() == ["virginica", "setosa"]
    np.testing.assert_array_equal(table.column("probability_virginica"), outputs["probabilities"][:, 2])


def test_anomalies_go_out_with_truth_values() -> None:
    body = stream([pa.record_batch([pa.array([1.0])], names=["reading"])])
    answer = decode_rows(Payload(body, ARROW, ARROW), ONE, 10).answer(
        {"label": np.array([-1]), "score": np.array([-0.5])}, "m", "1"
    )
    expected = [{"prediction": -1, "is_anomaly": True, "score": -0.5}]
    assert pa.ipc.open_stream(answer.body).read_all().to_pylist() == expected


def test_without_pyarrow_the_format_is_not_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_formats, "has_arrow", lambda: False)
    with pytest.raises(UnsupportedContent) as caught:
        row_formats.check_rows(ARROW, "")
    assert caught.value.accepted == ("application/json", CSV)
    with pytest.raises(NotAcceptable):
        row_formats.check_rows("", ARROW)
