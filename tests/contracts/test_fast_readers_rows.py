"""The quick reader of rows and the general one give one verdict about every body: same bits, or the same refusal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secure_ml_api.tensors import Column, Datatype, Signature
from secure_ml_api.wire.quick_named import quick_named
from secure_ml_api.wire.quick_rows import quick_row, quick_rows
from support.json_bodies import BAD_NUMBERS, GAPS, GOOD_NUMBERS, NUMBERS, row_of, rows_of, soups, spoilt
from support.judged_bodies import check_rows
from support.number_readers import by_every_reader
from support.signatures import ALL, IMAGE, IRIS, ONE
from support.signatures import GAPS as GAPPED


def numbers(datatype: Datatype, width: int = 2, **bounds: Any) -> Signature:
    columns = tuple(Column(name=f"c{index}", datatype=datatype, **bounds) for index in range(width))
    return Signature(task="regression", columns=columns)


SIGNATURES = (
    *ALL,
    IMAGE,
    *(numbers(datatype) for datatype in ("FP64", "FP16", "INT8", "UINT8", "INT64", "UINT64", "INT32")),
    numbers("FP32", minimum=0, maximum=100),
    numbers("FP64", minimum=-(2.0**53), maximum=2.0**53),
    numbers("INT64", minimum=-(2.0**53), maximum=2.0**53),
    numbers("UINT64", minimum=0.5, maximum=2.5),
    numbers("INT8", minimum=300),
    numbers("UINT8", maximum=-1),
    numbers("INT32", minimum=0.25, maximum=0.75),
    numbers("FP32", minimum=1e300),
    numbers("FP64", width=1, maximum=0.1),
)


def envelopes(width: int, gaps: st.SearchStrategy[str] = GAPS) -> st.SearchStrategy[str]:
    outputs = st.sampled_from(["", "", ', "outputs": []', ', "outputs": ["labels"]', ', "features": null', ', "x": 1',
                               ', "outputs": ["scores"]', ', "instances": []', ', "instances": null'])  # fmt: skip
    one = st.tuples(gaps, gaps, row_of(width, gaps), outputs).map(lambda p: f'{p[0]}{{{p[1]}"features":{p[2]}{p[3]}}}')
    many = st.tuples(gaps, gaps, rows_of(width, gaps), outputs).map(
        lambda p: f'{p[0]}{{"instances"{p[1]}:{p[2]}{p[3]}}}'
    )
    last = rows_of(width, gaps).map(lambda rows: f'{{"outputs": ["labels"], "instances": {rows}}}')
    return one | many | last


@st.composite
def named(draw: st.DrawFn, signature: Signature) -> str:
    """Rows by name, now and then with one too many, one too few or one twice."""

    def record() -> str:
        names = list(draw(st.permutations(signature.column_names)))
        names += draw(st.sampled_from([[], [], [], names[:1], ["x"]]))
        names = names[draw(st.sampled_from([0, 0, 0, 0, 1])) :]
        cells = [f'{draw(GAPS)}"{name}"{draw(GAPS)}:{draw(NUMBERS | OTHER_VALUES)}' for name in names]
        return "{" + ",".join(cells) + "}"

    rows = [record() for _ in range(draw(st.integers(1, 5)))]
    more = draw(
        st.sampled_from(["", "", ', "outputs": ["labels"]', ', "outputs": []', ', "x": 1', ', "instances": []'])
    )
    return f'{{"features": {rows[0]}{more}}}' if draw(st.booleans()) else f'{{"instances": [{",".join(rows)}]{more}}}'


OTHER_VALUES = st.sampled_from(["null", "true", "[1]", "{}", '"1"', '{"a": 1}', "1", "2", "3"])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data(), st.sampled_from(SIGNATURES))
def test_any_named_rows_get_the_verdict_of_the_general_reader(data: st.DataObject, signature: Signature) -> None:
    body = data.draw(spoilt(named(signature)))
    check_rows(body, signature)


@pytest.mark.parametrize("value", ["[1]", "[]", "[[1]]", "{}", "null", "true", '"1"', "1e400", "NaN", "-0", "1"])
def test_named_rows_whose_values_are_all_alike_get_the_verdict_of_the_general_reader(value: str) -> None:
    for signature in (numbers("FP32"), numbers("FP64"), IRIS, GAPPED, numbers("INT64"), numbers("FP32", 1)):
        row = "{" + ", ".join(f'"{name}": {value}' for name in signature.column_names) + "}"
        for body in (f'{{"instances": [{row}, {row}]}}', f'{{"instances": [{row}]}}', f'{{"features": {row}}}'):
            check_rows(body.encode(), signature)


@pytest.mark.parametrize("more", ["", ', "outputs": ["labels"]', ', "outputs": ["labels", "probabilities"]'])
def test_good_named_rows_take_the_quick_way(more: str) -> None:
    row = "{" + ", ".join(f'"{name}": 1.5' for name in reversed(IRIS.column_names)) + "}"
    assert quick_named(f'{{"instances": [{row}, {row}]{more}}}'.encode(), IRIS, 4) is not None
    assert quick_named(f'{{"features": {row}}}'.encode(), IRIS, 4) is not None


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data(), st.sampled_from(SIGNATURES), st.integers(-1, 1))
def test_any_body_gets_the_verdict_of_the_general_reader(data: st.DataObject, signature: Signature, off: int) -> None:
    body = data.draw(
        spoilt(envelopes(max(1, len(signature.columns) + (off if data.draw(st.booleans()) else 0)))) | soups()
    )
    check_rows(body, signature)


@pytest.mark.parametrize("signature", SIGNATURES, ids=range(len(SIGNATURES)))
@pytest.mark.parametrize("form", ['{"features": [%s]}', '{"instances": [[%s]]}', '{"instances": [[0], [%s]]}'])
def test_each_way_to_write_a_number_gets_the_verdict_of_the_general_reader(signature: Signature, form: str) -> None:
    for text in (*GOOD_NUMBERS, *BAD_NUMBERS):
        body = (form % ", ".join([text] * len(signature.columns))).encode()
        check_rows(body, signature)


@pytest.mark.parametrize(
    "rows",
    ["[[1,2],[3]]", "[[1],[2,3]]", "[[1,2,3],[4]]", "[[1,2],3]", "[3,[1,2]]", "[[[1,2]]]", "[[1,2],[]]",
     "[[],[1,2,3,4]]", "[[[1],[2]]]", "[[1,[2]]]", "[[],[]]", "[[]]", "[]", "[1,2]", "[[1,2]],[[3,4]]",
     "[[1,2],[3,4]", "[[1,2],[3,4]]]", "[[1,2],]", "[[1,2,],[3,4]]", "[,[1,2]]", "[[1,2][3,4]]", "[[1 2]]",
     "[[[]],[1,2]]", "[[[1,2],[]]]", "[[1],[2]]", "[[1]]", "[[[1]],[[2]]]", "[[],[1]]", "[[[],1],[[2],[3]]]",
     "[[1,2],{}]", '[[1,2],"a"]', "[[1,2],null]", "[[1,true]]", "[[[[[["]
)  # fmt: skip
@pytest.mark.parametrize("width", [1, 2])
def test_the_shape_is_proved_whatever_the_nesting(rows: str, width: int) -> None:
    for datatype in ("FP32", "INT64"):
        signature = numbers(datatype, width)
        for body in (f'{{"instances": {rows}}}'.encode(), f'{{"features": {rows}}}'.encode()):
            check_rows(body, signature)


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [[1,2,3,4]], "instances": [[1,2,3,4]]}',
        b'{"instances": [[1,2,3,4]], "\\u0069nstances": [[5,6,7,8]]}',
        b'{"\\u0069nstances": [[5,6,7,8]]}',
        b'{"instances": [[1,2,3,4]], "outputs": ["labels"], "outputs": []}',
        b'{"instances": "\x7f0"}',
        b'{"instances": "\x7f0", "x": [[1,2,3,4]]}',
        b'{"features": "\x7f0", "instances": [[1,2,3,4]]}',
        b'{"x": "\\"instances\\":[[1,2,3,4]]"}',
        b'{"a":"instances":[[1,2,3,4]]}',
        b'{"instances":[[1,2,3,4]]:1}',
        b'{[[1,2,3,4]]}',
        b'{"instances"[[1,2,3,4]]}',
        b'["instances":[[1,2,3,4]]]',
        b'[{"instances":[[1,2,3,4]]}]',
        b'{"x": {"instances":[[1,2,3,4]]}}',
        b'{"instances":[[1,2,3,4]]}{"instances":[[1,2,3,4]]}',
        b'{"instances":[[1,2,3,4]]}\x00',
        b'{"instances":[[1,2,3,4]]',
        b'"instances":[[1,2,3,4]]}',
        b'{"instances":[[1,2,3,4]]\x7f}',
        b'{"instances":[[1,2,3,4]], "outputs": ["\x7f0"]}',
        b'{"instances":[[1,2,3,4]], "outputs": ["\x7f1"]}',
        b'{"instances":[[1,2,3,4]], "outputs": "labels"}',
        b'{"instances":[[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4]]}',
    ],
)  # fmt: skip
def test_envelopes_that_try_to_pass_for_others(body: bytes) -> None:
    check_rows(body, IRIS)


def test_good_rows_take_the_quick_way() -> None:
    for signature in (IRIS, ONE, GAPPED, numbers("UINT8"), numbers("UINT64"), numbers("FP16")):
        row = "[" + ",".join(["1"] * len(signature.columns)) + "]"
        body = f'{{"instances": [{row}, {row}]}}'.encode()
        assert by_every_reader(lambda: quick_rows(body, signature, 4) is not None)  # noqa: B023
        if signature.columns[0].datatype.startswith("FP"):
            assert quick_row(f'{{"features": {row}}}'.encode(), signature) is not None


def test_a_large_body_arrives_to_the_last_bit_and_stays_when_the_next_one_is_read() -> None:
    signature = numbers("FP64", 30)
    rows = np.random.default_rng(7).normal(size=(500, 30))
    body = f'{{"instances": {rows.tolist()}}}'.encode()

    def stays() -> bool:
        first = quick_rows(body, signature, 500)
        other = quick_rows(body.replace(b"0.", b"9."), signature, 500)
        return first is not None and other is not None and np.array_equal(first[1]["input"], rows)

    assert by_every_reader(stays)
