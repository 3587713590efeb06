"""CSV batches: names in any order, numbers read strictly, every bad cell named, and answers that any reader takes."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secure_ml_api.errors import MalformedBody
from secure_ml_api.tensors import Column, Signature, Tensors
from secure_ml_api.wire.csv_rows import quick_csv, read_csv
from secure_ml_api.wire.question import Answer, Payload
from secure_ml_api.wire.rows import decode_rows
from support.json_bodies import BAD_NUMBERS, GOOD_NUMBERS, NUMBERS, spoilt
from support.judged_bodies import check_csv
from support.signatures import (
    ALL,
    COUNTS,
    FLAGS,
    GAPS,
    IRIS,
    MIXED,
    ONE,
    TEXT,
    column_of,
    mismatch,
    places,
    tables,
    words,
)

HEADER = ",".join(IRIS.column_names)


def table(signature: Signature, rows: list[list[Any]], order: list[int] | None = None, **dialect: Any) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, **dialect)
    order = order or list(range(len(signature.columns)))
    writer.writerow([signature.column_names[index] for index in order])
    for row in rows:
        writer.writerow(["" if row[index] is None else row[index] for index in order])
    return out.getvalue().encode()


def answered(signature: Signature, outputs: Tensors, body: bytes = b"", accept: str = "text/csv") -> Answer:
    body = body or table(signature, [[1] * len(signature.columns)] * 2)
    return decode_rows(Payload(body, "text/csv", accept), signature, 10).answer(outputs, "m", "1")


@given(
    st.data(),
    st.sampled_from(ALL),
    st.sampled_from(["\r\n", "\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_tables_that_fit_arrive_exactly(data: st.DataObject, signature: Signature, end: str, quoting: int) -> None:
    rows = data.draw(tables(signature))
    order = data.draw(st.permutations(range(len(signature.columns))))
    if any("\r" in str(cell) for row in rows for cell in row):
        quoting = csv.QUOTE_ALL  # the writer quotes what ends its own lines, and a lone CR ends one too
    body = table(signature, rows, order, lineterminator=end, quoting=quoting)
    if not signature.is_matrix or len(signature.columns) > 1:  # one empty cell alone is an empty line
        body = data.draw(st.sampled_from([body, b"\xef\xbb\xbf" + body, body + end.encode()]))
    inputs, count = read_csv(body, signature, 5)
    assert count == len(rows)
    for index in range(len(signature.columns)):
        assert column_of(inputs, signature, index) == [row[index] for row in rows]


def _tables(signature: Signature) -> st.SearchStrategy[str]:
    width = len(signature.columns)
    cells = st.lists(NUMBERS | st.sampled_from([" 1", "1\t", "", "x"]), min_size=width, max_size=width)
    ends = st.sampled_from(["\n", "\r\n", "\r", "\n\n"])
    lines = st.lists(st.tuples(cells.map(",".join), ends).map("".join), max_size=4).map("".join)
    headers = st.permutations(signature.column_names).map(",".join) | st.sampled_from(
        ["", "a,b", HEADER, f'"{HEADER}"']
    )
    return st.tuples(headers, ends, lines).map("".join)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from([*ALL, Signature(task="regression", columns=(Column(name="u", datatype="UINT8"),))]))
def test_the_quick_reader_gives_the_verdict_of_the_one_that_reads_cell_by_cell(
    data: st.DataObject, signature: Signature
) -> None:
    body = data.draw(spoilt(_tables(signature)))
    check_csv(body, signature)


@pytest.mark.parametrize("text", [*GOOD_NUMBERS, *BAD_NUMBERS])
def test_each_way_to_write_a_number_gets_one_verdict(text: str) -> None:
    for signature in (IRIS, ONE, COUNTS):
        body = ",".join(signature.column_names) + "\n" + ",".join([text] * len(signature.columns)) + "\n"
        check_csv(body.encode(), signature)


def test_a_plain_table_takes_the_quick_way() -> None:
    assert quick_csv(f"{HEADER}\r\n1,2,3,4\r\n5,6,7,8\r\n".encode(), IRIS, 10) is not None
    assert quick_csv(b"must,may\n1,2", GAPS, 10) is not None


@pytest.mark.parametrize(
    "cell", ["x", "nan", "NaN", "inf", "1_0", "+1", ".5", "1.", "0x1", "1,5", "٣", "1e400", "true", ""]
)
def test_a_bad_cell_is_named_by_row_and_feature(cell: str) -> None:
    body = table(IRIS, [[1, 2, 3, 4], [1, cell, 3, 4]])
    refusal = mismatch(lambda: read_csv(body, IRIS, 10))
    assert places(refusal) == [(1, "sepal width")]


def test_an_empty_cell_is_a_missing_value_where_the_column_allows_it() -> None:
    inputs, _ = read_csv(b"may,must\n,1\n2,3\n", GAPS, 10)
    assert np.isnan(inputs["input"]).tolist() == [[True, False], [False, False]]
    assert places(mismatch(lambda: read_csv(b"may,must\n1,\n", GAPS, 10))) == [(0, "must")]


def test_texts_are_taken_as_they_are() -> None:
    body = b'text\r\n" a, ""b""\r\nc "\r\nham\r\n""\r\n'
    assert read_csv(body, TEXT, 10)[0]["text"].tolist() == [[' a, "b"\r\nc '], ["ham"], [""]]


@pytest.mark.parametrize(("cell", "value"), [("true", True), ("False", False), ("TRUE", True)])
def test_truth_values_are_words(cell: str, value: bool) -> None:
    assert read_csv(f"on,off\n{cell},{cell}\n".encode(), FLAGS, 10)[0]["input"].tolist() == [[value, value]]
    assert len(places(mismatch(lambda: read_csv(b"on,off\n1,yes\n", FLAGS, 10)))) == 2


def test_bounds_and_choices_hold() -> None:
    body = table(MIXED, [[-1, "Zug", 1, "", 1.5]])
    assert places(mismatch(lambda: read_csv(body, MIXED, 10))) == [(0, "age"), (0, "city"), (0, "visits")]


@pytest.mark.parametrize("cells", ["1,2,3", "1,2,3,4,5", "1"])
def test_a_row_of_another_length_is_named(cells: str) -> None:
    assert places(mismatch(lambda: read_csv(f"{HEADER}\n1,2,3,4\n{cells}\n".encode(), IRIS, 10))) == [(1, None)]


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("sepal length,sepal width,petal length", ["petal width"]),
        (f"{HEADER},secret", [None]),
        (f"{HEADER},petal width", ["petal width"]),
        (HEADER.upper(), [*IRIS.column_names, None]),
        (HEADER.replace(",", ", "), ["sepal width", "petal length", "petal width", None]),
        (HEADER.replace(",", ";"), [*IRIS.column_names, None]),
    ],
)
def test_the_header_names_each_feature_once_and_exactly(header: str, named: list[str | None]) -> None:
    refusal = mismatch(lambda: read_csv(f"{header}\n1,2,3,4\n".encode(), IRIS, 10))
    assert [misfit.feature for misfit in refusal.misfits] == named
    assert "secret" not in words(refusal)


@pytest.mark.parametrize("body", [b"", b"\n", b"\r\n\r\n"])
def test_a_body_without_a_header_does_not_fit(body: bytes) -> None:
    mismatch(lambda: read_csv(body, IRIS, 10))


@pytest.mark.parametrize("body", [HEADER.encode(), f"{HEADER}\n".encode(), f"{HEADER}\n\n\n".encode()])
def test_a_header_alone_has_no_rows(body: bytes) -> None:
    assert mismatch(lambda: read_csv(body, IRIS, 10)).detail == "the request has no rows"


@pytest.mark.parametrize(
    "body",
    [b"\xff", f"{HEADER}\n1,2,3,\xe9".encode("latin-1"), b'text\n"open', b'text\n"a"b', b'text\n"' + b"x" * 200_000],
)
def test_what_is_not_csv_in_utf_8_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        read_csv(body, TEXT, 10)


def test_more_rows_than_the_server_takes_do_not_fit() -> None:
    body = table(IRIS, [[1, 2, 3, 4]] * 6)
    assert read_csv(body, IRIS, 6)[1] == 6
    assert "5 rows" in mismatch(lambda: read_csv(body, IRIS, 5)).detail


def test_classes_are_answered_with_label_and_probabilities() -> None:
    outputs = {"label": np.array([2, 0]), "probabilities": np.array([[0.1, 0.2, 0.7], [1, 0, 0]], dtype=np.float32)}
    answer = answered(IRIS, outputs)
    assert answer.content_type == "text/csv"
    assert answer.body.decode() == (
        "prediction,label,probability_setosa,probability_versicolor,probability_virginica\r\n"
        "2,virginica,0.1,0.2,0.7\r\n"
        "0,setosa,1.0,0.0,0.0\r\n"
    )


def test_anomalies_are_answered_with_their_score_and_values_with_themselves() -> None:
    anomalies = answered(ONE, {"label": np.array([-1, 1]), "score": np.array([-0.25, 0.5])})
    assert anomalies.body == b"prediction,is_anomaly,score\r\n-1,true,-0.25\r\n1,false,0.5\r\n"
    values = answered(COUNTS, {"value": np.array([1.5, np.nan], dtype=np.float32)})
    assert values.body == b"prediction\r\n1.5\r\n\r\n"


def test_words_that_csv_reads_otherwise_are_quoted() -> None:
    labels = ('a "b", c', "d\ne")
    signature = Signature(
        task="classification", columns=(Column(name="x"),), classes=(0, 1), labels=labels, has_probabilities=True
    )
    outputs = {"label": np.array([1, 0]), "probabilities": np.zeros((2, 2))}
    read = list(csv.reader(io.StringIO(answered(signature, outputs).body.decode(), newline="")))
    assert read[0] == ["prediction", "label", 'probability_a "b", c', "probability_d\ne"]
    assert [row[1] for row in read[1:]] == ["d\ne", 'a "b", c']


def test_a_table_is_answered_with_predictions_alone_in_json() -> None:
    body = table(IRIS, [[1, 2, 3, 4]] * 2)
    question = decode_rows(Payload(body, "text/csv; charset=utf-8"), IRIS, 10)
    assert question.wanted == ("label",)
    answer = json.loads(question.answer({"label": np.array([1, 2])}, "iris", "1").body)
    assert answer == {"model": "iris", "version": "1", "predictions": [1, 2]}


def test_json_is_answered_as_csv_with_what_it_lists_and_one_row_with_everything() -> None:
    outputs = {"label": np.array([2]), "probabilities": np.zeros((1, 3))}
    listed = b'{"instances": [[1, 2, 3, 4]], "outputs": ["labels"]}'
    answer = decode_rows(Payload(listed, accept="text/csv"), IRIS, 10).answer(outputs, "iris", "1")
    assert answer.body == b"prediction,label\r\n2,virginica\r\n"
    one = decode_rows(Payload(b'{"features": [1, 2, 3, 4]}', accept="text/csv"), IRIS, 10)
    assert one.answer(outputs, "iris", "1").body.startswith(b"prediction,label,probability_setosa")
