"""The quick readers of tensors and the general ones give one verdict about every body, in both tensor protocols."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secure_ml_api.tensors import NUMPY_DTYPES, Column, Datatype, Signature
from secure_ml_api.wire.quick_infer import quick_infer
from secure_ml_api.wire.tfserving import _read_quickly
from support.json_bodies import BAD_NUMBERS, GAPS, GOOD_NUMBERS, row_of, rows_of, soups, spoilt
from support.judged_bodies import check_infer, check_tensorflow
from support.number_readers import by_every_reader
from support.signatures import ALL, IMAGE, IRIS, MIXED


def numbers(datatype: Datatype, width: int = 2, **bounds: Any) -> Signature:
    columns = tuple(Column(name=f"c{index}", datatype=datatype, **bounds) for index in range(width))
    return Signature(task="regression", columns=columns)


SIGNATURES = (
    *ALL,
    IMAGE,
    *(numbers(datatype) for datatype in ("FP64", "FP16", "INT8", "UINT8", "INT64", "UINT64")),
    numbers("FP32", minimum=0.1, maximum=100),
    numbers("FP64", minimum=-(2.0**53), maximum=2.0**53),
    numbers("INT16", minimum=-5, maximum=5),
    numbers("FP32", minimum=1e300),
    numbers("FP32", maximum=1e300, minimum=-1e300),
)

BESIDE_A_TENSOR: tuple[list[str], ...] = (
    [],
    [],
    ['"parameters": {"content_type": "np"}'],
    ['"parameters": {"data": [1, 2]}'],
    ['"x": {"data": []}'],
    ['"parameters": {"binary_data_size": 4}'],
    ['"parameters": {"binary_data_size": 0}'],
    ['"data": null'],
)
BESIDE_THE_INPUTS: tuple[list[str], ...] = (
    [],
    [],
    ['"id": "a"'],
    ['"id": "\u00e9"'],
    ['"id": "\\u00e9"'],
    ['"data": [1]'],
    ['"model_name": "x"'],
    ['"outputs": [{"name": "label"}]'],
    ['"outputs": [{"name": "value", "parameters": {"binary_data": true}}]'],
    ['"parameters": {"timeout": 5, "binary_data_output": true}'],
    ['"id": "\x7f0"'],
    ['"id": 1'],
)
AFTER_THE_INSTANCES = (
    "",
    "",
    ', "signature_name": "serving_default"',
    ', "signature_name": "x"',
    ', "inputs": null',
    ', "inputs": [[1]]',
    ', "instances": [[1]]',
    ', "x": 1',
)


@st.composite
def tensors(draw: st.DrawFn, name: str, datatype: str, width: int) -> str:
    rows = draw(st.integers(1, 3))
    kind = draw(st.sampled_from(["flat", "nested", "vector", "image"]))
    data = draw(rows_of(width, GAPS, most=3)) if kind == "nested" else draw(row_of(rows * width, GAPS))
    if kind == "nested":
        rows = max(1, data.count("[") - 1)
    shape = [rows * width] if kind == "vector" and width == 1 else [rows, width]
    if kind == "image":
        shape = draw(st.sampled_from([[rows, 1, width], [rows, width, 1], [rows, 1, 1, width]]))
    fields = [f'"name": "{name}"', f'"shape": {shape}', f'"datatype": "{datatype}"', f'"data"{draw(GAPS)}: {data}']
    fields += draw(st.sampled_from(BESIDE_A_TENSOR))
    return "{" + ", ".join(draw(st.permutations(fields))) + "}"


@st.composite
def requests(draw: st.DrawFn, signature: Signature) -> str:
    by_column = draw(st.booleans())
    datatypes = st.just(None) | st.sampled_from(sorted(NUMPY_DTYPES))
    if by_column:
        inputs = [draw(tensors(column.name, draw(datatypes) or column.datatype, 1)) for column in signature.columns]
    else:
        spec = signature.inputs[0]
        inputs = [draw(tensors(spec.name, draw(datatypes) or spec.datatype, spec.shape[-1]))]
    fields = [f'"inputs": [{", ".join(inputs)}]']
    fields += draw(st.sampled_from(BESIDE_THE_INPUTS))
    return "{" + ", ".join(draw(st.permutations(fields))) + "}"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data(), st.sampled_from(SIGNATURES))
def test_any_inference_request_gets_the_verdict_of_the_general_reader(
    data: st.DataObject, signature: Signature
) -> None:
    check_infer(data.draw(spoilt(requests(signature)) | soups()), signature)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data(), st.sampled_from(SIGNATURES))
def test_any_tensorflow_request_gets_the_verdict_of_the_general_reader(
    data: st.DataObject, signature: Signature
) -> None:
    width = len(signature.columns)
    more = st.sampled_from(AFTER_THE_INSTANCES)
    rows = rows_of(width, GAPS) | row_of(width, GAPS)
    body = st.tuples(rows, more).map(lambda parts: f'{{"instances": {parts[0]}{parts[1]}}}')
    check_tensorflow(data.draw(spoilt(body) | soups()), signature)


@pytest.mark.parametrize("signature", SIGNATURES, ids=range(len(SIGNATURES)))
def test_each_way_to_write_a_number_gets_the_verdict_of_the_general_readers(signature: Signature) -> None:
    spec = signature.inputs[0]
    width = spec.shape[-1]
    for text in (*GOOD_NUMBERS, *BAD_NUMBERS):
        row = ", ".join([text] * width)
        check_tensorflow(f'{{"instances": [[{row}]]}}'.encode(), signature)
        for data, datatype in ((f"[{row}]", spec.datatype), (f"[[{row}]]", spec.datatype), (f"[{row}]", "FP64")):
            described = f'"name": "{spec.name}", "shape": [1, {width}], "datatype": "{datatype}"'
            check_infer(f'{{"inputs": [{{{described}, "data": {data}}}]}}'.encode(), signature)


@pytest.mark.parametrize(
    "shape", ["[1,4]", "[4,1]", "[4]", "[2,2]", "[1,1,4]", "[1,2,2]", "[0]", "[]", "[0,4]", "[2147483648,4]", "[1,-4]"]
)
@pytest.mark.parametrize(
    "data",
    ["[1,2,3,4]", "[[1,2,3,4]]", "[[1],[2],[3],[4]]", "[[1,2],[3,4]]", "[[1,2],[3],[4]]", "[1,2,[3,4]]",
     "[[[1,2,3,4]]]", "[]", "[[]]", "[[],[1,2,3,4]]", "[1,2,3]", "[[1,2,3,4],[5,6,7,8]]", "null", "[null]",
     '["1"]', "{}", "[1,2,3,4"]
)  # fmt: skip
def test_any_shape_and_nesting_gets_the_verdict_of_the_general_reader(shape: str, data: str) -> None:
    for datatype in ("FP32", "INT64", "BYTES"):
        body = f'{{"inputs": [{{"name":"input","shape":{shape},"datatype":"{datatype}","data":{data}}}]}}'
        check_infer(body.encode(), IRIS)
        check_infer(body.encode(), numbers("INT64", 4))


def test_more_parts_than_any_request_needs_are_refused_by_both() -> None:
    junk = "[" * 200 + "]" * 200
    tensor = '{"name":"input","shape":[4,1],"datatype":"FP64","data":[[1],[2],[3],[4]]}'
    for times in range(4):
        more = "".join(f', "x{index}": {junk}' for index in range(times))
        check_infer(f'{{"inputs": [{tensor}]{more}}}'.encode(), numbers("FP64", 1))


def test_good_requests_take_the_quick_way() -> None:
    tensor = b'{"name":"input","shape":[2,4],"datatype":"FP32","data":%b}'
    columns = b",".join(
        b'{"name":"%b","shape":[1],"datatype":"FP64","data":[1]}' % name.encode() for name in IRIS.column_names
    )
    for inputs in (tensor % b"[1,2,3,4,5,6,7,8]", tensor % b"[[1,2,3,4],[5,6,7,8]]", columns):
        body = b'{"id":"a","inputs":[' + inputs + b"]}"
        assert by_every_reader(lambda: quick_infer(body, IRIS, 4) is not None)  # noqa: B023
    rows = b'{"instances":[[1,2,3,4]]}'
    assert by_every_reader(lambda: _read_quickly(rows, IRIS, 4) is not None)
    assert _read_quickly(rows, MIXED, 4) is None
