"""Two doors, one truth: whatever is asked, the fast lane and Flask answer with the same status, headers and bytes.

And so does the lane in company, where a request is one of several that are answered together, by threads or without.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from support.application import Application
from support.bodies import GOOD, MALFORMED, OIP, ROWS, TENSORFLOW, UNFIT_ROWS, UNFIT_TENSORFLOW, UNFIT_TENSORS, tensor
from support.doors import JSON, Doors


@pytest.fixture(scope="module")
def doors(application: Application) -> Doors:
    return Doors(application)


GOOD_BODIES = {
    "one row": (ROWS, GOOD),
    "a row by name": (
        ROWS,
        json.dumps(
            {
                "features": {
                    "petal width (cm)": 0.2,
                    "petal length (cm)": 1.4,
                    "sepal width (cm)": 3.5,
                    "sepal length (cm)": 5.1,
                }
            }
        ).encode(),
    ),
    "a batch": (ROWS, b'{"instances": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}'),
    "a batch with everything": (ROWS, b'{"instances": [[5.1, 3.5, 1.4, 0.2]], "outputs": ["labels", "probabilities"]}'),
    "instances": (TENSORFLOW, b'{"instances": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}'),
    "inputs": (TENSORFLOW, b'{"inputs": [[5.1, 3.5, 1.4, 0.2]]}'),
    "a tensor": (OIP, tensor()),
    "an identified tensor": (OIP, json.dumps({**json.loads(tensor()), "id": "seven"}).encode()),
    "one output": (OIP, json.dumps({**json.loads(tensor()), "outputs": [{"name": "label"}]}).encode()),
}


@pytest.mark.parametrize(("path", "body"), GOOD_BODIES.values(), ids=GOOD_BODIES.keys())
def test_good_requests_are_answered_alike(doors: Doors, path: str, body: bytes) -> None:
    assert doors.ask(path, body, JSON).status_code == 200


BAD_BODIES = [
    *((path, name, body) for path in (ROWS, TENSORFLOW, OIP) for name, body in MALFORMED.items()),
    *((ROWS, name, body) for name, body in UNFIT_ROWS.items()),
    *((TENSORFLOW, name, body) for name, body in UNFIT_TENSORFLOW.items()),
    *((OIP, name, body) for name, body in UNFIT_TENSORS.items()),
]


@pytest.mark.parametrize(
    ("path", "body"), [(path, body) for path, _, body in BAD_BODIES], ids=[f"{p} {n}" for p, n, _ in BAD_BODIES]
)
def test_bad_bodies_are_refused_alike(doors: Doors, path: str, body: bytes) -> None:
    assert doors.ask(path, body, JSON).status_code in {400, 413, 422}


HEADERS: dict[str, tuple[dict[str, str], bytes]] = {
    "a form": ({"Content-Type": "application/x-www-form-urlencoded"}, GOOD),
    "no content type": ({"Content-Type": ""}, GOOD),
    "another charset": ({"Content-Type": "application/json; charset=latin-1"}, GOOD),
    "UTF-8 said": ({"Content-Type": "application/json; charset=UTF-8"}, GOOD),
    "nothing acceptable": ({**JSON, "Accept": "text/html"}, GOOD),
    "JSON refused": ({**JSON, "Accept": "application/json;q=0"}, GOOD),
    "anything": ({**JSON, "Accept": "text/*, */*;q=0.1"}, GOOD),
    "gzip": ({**JSON, "Content-Encoding": "gzip"}, gzip.compress(GOOD)),
    "no gzip": ({**JSON, "Content-Encoding": "gzip"}, GOOD),
    "an unknown encoding": ({**JSON, "Content-Encoding": "br"}, GOOD),
    "answers compressed": ({**JSON, "Accept-Encoding": "gzip, deflate"}, GOOD),
    "a binary header": ({**JSON, "Inference-Header-Content-Length": "12"}, GOOD),
    "a strange binary header": ({**JSON, "Inference-Header-Content-Length": "-1"}, GOOD),
    "a bomb": ({**JSON, "Content-Encoding": "gzip"}, gzip.compress(b" " * (16 * 1024 * 1024 + 1))),
    "too large": (JSON, b" " * (16 * 1024 * 1024 + 1)),
    "another method in a header": ({**JSON, "X-HTTP-Method-Override": "GET"}, GOOD),
    "an unwelcome request id": ({**JSON, "X-Forwarded-For": "10.0.0.1"}, GOOD),
}


@pytest.mark.parametrize("path", [ROWS, TENSORFLOW, OIP])
@pytest.mark.parametrize(("headers", "body"), HEADERS.values(), ids=HEADERS.keys())
def test_headers_mean_the_same(doors: Doors, path: str, headers: dict[str, str], body: bytes) -> None:
    doors.ask(path, body, headers)


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer a.b.c", "bearer  a.b.c ", "é", "Bearer a.b.c, d"]
)
@pytest.mark.parametrize("path", [ROWS, OIP])
def test_tokens_are_refused_alike(doors: Doors, path: str, authorization: str) -> None:
    headers = {**JSON, "Authorization": authorization} if authorization else JSON
    assert doors.ask(path, GOOD, headers, kind=None).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/nothing/predict",
        "/v1/models/iris/versions/1/predict",
        "/v1/models/iris/versions/9/predict",
        "/v1/models/iris/versions/production/predict",
        "/v1/models/iris/versions/1:predict",
        "/v2/models/nothing/infer",
        "/v2/models/iris/versions/1/infer",
        "/v1/models/iris/predict/",
        "/v1/models/%69ris/predict",
        "/v1/models/iris%2F/predict",
        "/v1/models//predict",
        "/v1//models/iris/predict",
        "/v1/models/../models/iris/predict",
        "/v1/models/iris/predict?a=b",
        "/v1/models/" + "x" * 101 + "/predict",
        "/v1/models/iris/predict%0a",
        "/v1/models/ïris/predict",
    ],
)
@pytest.mark.parametrize("kind", ["any model", "another model"])
def test_addresses_lead_to_the_same_place(doors: Doors, path: str, kind: str) -> None:
    doors.ask(path, GOOD, JSON, kind)


@pytest.mark.parametrize("kind", ["few requests", "few rows"])
def test_quotas_run_out_alike(doors: Doors, kind: str) -> None:
    two_rows = b'{"instances": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}'
    statuses = [doors.ask(ROWS, body, JSON, kind).status_code for body in (two_rows, b"{", two_rows, two_rows, GOOD)]
    assert statuses == ([200, 400, 200, 429, 429] if kind == "few requests" else [200, 400, 200, 429, 200])


def test_what_has_no_length_is_answered_alike(doors: Doors) -> None:
    for door in doors._doors:
        answer = Client(door).post(ROWS, headers={**JSON, "Transfer-Encoding": "chunked"})
        assert answer.status_code == 401


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
rows = st.lists(
    st.lists(st.floats(-1e6, 1e6) | st.integers() | st.none() | st.text(max_size=3), max_size=6), max_size=4
)
envelopes = st.one_of(
    json_values,
    st.fixed_dictionaries(
        {},
        optional={
            "features": rows.map(lambda r: r[0] if r else []),
            "instances": rows,
            "inputs": rows,
            "outputs": json_values,
        },
    ),
    st.fixed_dictionaries(
        {
            "inputs": st.lists(
                st.fixed_dictionaries(
                    {
                        "name": st.sampled_from(["input", "other"]),
                        "shape": st.lists(st.integers(-1, 5), max_size=3),
                        "datatype": st.sampled_from(["FP32", "FP64", "INT64", "BYTES", "BOOL"]),
                        "data": rows | st.lists(st.floats(-10, 10), max_size=8),
                    }
                ),
                max_size=2,
            )
        }
    ),
)
bodies = envelopes.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=64)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from([ROWS, TENSORFLOW, OIP]), body=bodies)
def test_whatever_is_sent_is_answered_alike_and_never_with_500(doors: Doors, path: str, body: bytes) -> None:
    assert doors.ask(path, body, JSON).status_code in {200, 400, 413, 422}


@pytest.mark.parametrize(("timeout", "status"), [("20", 200), ("0.5", 200), ("0", 504), ("soon", 400), ("-1", 400)])
@pytest.mark.parametrize("path", ["/v1/models/iris/predict", "/v2/models/iris/infer"])
def test_both_doors_hear_how_long_the_caller_waits(doors: Doors, path: str, timeout: str, status: int) -> None:
    body = GOOD if path == ROWS else tensor()
    assert doors.ask(path, body, {**JSON, "Request-Timeout": timeout}).status_code == status
