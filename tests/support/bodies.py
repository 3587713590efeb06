"""Bodies of predict requests for the example model iris: good ones, and bad ones of every kind."""

from __future__ import annotations

import json
from typing import Any

ROWS = "/v1/models/iris/predict"
TENSORFLOW = "/v1/models/iris:predict"
OIP = "/v2/models/iris/infer"

GOOD = b'{"features": [5.1, 3.5, 1.4, 0.2]}'


def tensor(**changes: Any) -> bytes:
    fields = {"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2], **changes}
    return json.dumps({"inputs": [fields]}).encode()


MALFORMED = {
    "nothing": b"",
    "half of it": b'{"features": [1,',
    "not UTF-8": b'{"features": [1, 2, 3, "\xff"]}',
    "UTF-16": '{"features": [1, 2, 3, 4]}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "NaN": b'{"features": [NaN, 1, 2, 3]}',
    "Infinity": b'{"features": [Infinity, 1, 2, 3]}',
    "a duplicate key": b'{"features": [1, 2, 3, 4], "features": [1, 2, 3, 4]}',
    "a hundred thousand brackets": b"[" * 100_000,
    "half a surrogate pair": b'{"features": ["\\ud800", 1, 2, 3]}',
    "a number of 5000 digits": b'{"features": [' + b"9" * 5000 + b", 1, 2, 3]}",
}


UNFIT_ROWS = {
    "a list": b"[1, 2, 3, 4]",
    "a number": b"3",
    "null": b"null",
    "no rows": b"{}",
    "an empty batch": b'{"instances": []}',
    "both forms": b'{"features": [1, 2, 3, 4], "instances": [[1, 2, 3, 4]]}',
    "an unknown field": b'{"features": [1, 2, 3, 4], "colour": "red"}',
    "too few features": b'{"features": [1, 2, 3]}',
    "too many features": b'{"features": [1, 2, 3, 4, 5]}',
    "a string": b'{"features": [1, 2, 3, "4"]}',
    "a boolean": b'{"features": [1, 2, 3, true]}',
    "null for a number": b'{"features": [1, 2, 3, null]}',
    "a number beyond double precision": b'{"features": [1, 2, 3, 1e400]}',
    "a number beyond FP32": b'{"features": [1, 2, 3, 1e39]}',
    "an unknown feature": b'{"features": {"a": 1, "b": 2, "c": 3, "d": 4}}',
    "a missing feature": b'{"features": {"sepal length (cm)": 1}}',
    "ragged rows": b'{"instances": [[1, 2, 3, 4], [1, 2]]}',
    "mixed rows": b'{"instances": [[1, 2, 3, 4], {"sepal length (cm)": 1}]}',
    "an output it does not have": b'{"instances": [[1, 2, 3, 4]], "outputs": ["scores"]}',
    "an unknown output": b'{"instances": [[1, 2, 3, 4]], "outputs": ["everything"]}',
    "a million rows too many": b'{"instances": [' + b"[1,2,3,4]," * 10_000 + b"[1,2,3,4]]}",
}


UNFIT_TENSORS = {
    "no inputs": b'{"inputs": []}',
    "another name": tensor(name="other"),
    "another datatype": tensor(datatype="INT64", data=[1, 2, 3, 4]),
    "an unknown datatype": tensor(datatype="FP8"),
    "FP16 in JSON": tensor(datatype="FP16"),
    "another shape": tensor(shape=[2, 2]),
    "a negative shape": tensor(shape=[-1, 4]),
    "more elements than the shape": tensor(data=[1, 2, 3, 4, 5]),
    "a shape without end": tensor(shape=[2**31, 2**31]),
    "ragged data": tensor(shape=[2, 4], data=[[1, 2, 3, 4], [1, 2, 3]]),
    "strings": tensor(data=["1", "2", "3", "4"]),
    "no data": tensor(data=None),
    "no rows": tensor(shape=[0, 4], data=[]),
    "a number beyond FP32": tensor(data=[1e39, 1, 2, 3]),
    "an unknown output": json.dumps({**json.loads(tensor()), "outputs": [{"name": "other"}]}).encode(),
}


UNFIT_TENSORFLOW = {
    "neither form": b"{}",
    "both forms": b'{"instances": [[1, 2, 3, 4]], "inputs": [[1, 2, 3, 4]]}',
    "another signature": b'{"signature_name": "other", "instances": [[1, 2, 3, 4]]}',
    "too few features": b'{"instances": [[1, 2, 3]]}',
    "an unknown input": b'{"inputs": {"other": [[1, 2, 3, 4]]}}',
    "no rows": b'{"instances": []}',
}
