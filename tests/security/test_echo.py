"""What a caller sends comes back in no refusal: not in a body, not in a header, at either door."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from support.application import Application
from support.bodies import OIP, ROWS, TENSORFLOW

CANARY = "sesame<script>"
JSON = {"Content-Type": "application/json"}
ROW = b'{"features": [5.1, 3.5, 1.4, 0.2]}'


def said(answer: TestResponse) -> str:
    """Everything of an answer that a caller, or a program on its way, could take for more than data."""
    return f"{answer.status} {answer.headers} {answer.get_data(as_text=True)}".lower()


def ask(door: Client, path: str, body: bytes, headers: Mapping[str, str], query: str = "") -> TestResponse:
    environ = {"PATH_INFO": path.encode().decode("latin-1"), "QUERY_STRING": query.encode().decode("latin-1")}
    environ |= {
        "CONTENT_TYPE" if name == "Content-Type" else f"HTTP_{name.upper().replace('-', '_')}": value
        for name, value in headers.items()
    }
    return door.post("/", data=body, environ_overrides=environ)


def named(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def tensor(**changed: object) -> bytes:
    given: dict[str, object] = {"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}
    return named(inputs=[given | changed])


BODIES: dict[str, tuple[str, bytes]] = {
    "no JSON": (ROWS, CANARY.encode()),
    "JSON that breaks off": (ROWS, b'{"features": "' + CANARY.encode()),
    "an unknown field": (ROWS, named(**{CANARY: 1})),
    "an unknown field beside a good one": (ROWS, named(features=[5.1, 3.5, 1.4, 0.2], **{CANARY: 1})),
    "text for a row": (ROWS, named(features=CANARY)),
    "text in a row": (ROWS, named(features=[CANARY, 3.5, 1.4, 0.2])),
    "text in a batch": (ROWS, named(instances=[[5.1, 3.5, 1.4, CANARY]])),
    "an unknown feature": (ROWS, named(features={CANARY: 1})),
    "an unknown feature in a batch": (ROWS, named(instances=[{CANARY: 1}])),
    "an unknown output": (ROWS, named(instances=[[5.1, 3.5, 1.4, 0.2]], outputs=[CANARY])),
    "a key twice": (ROWS, f'{{"{CANARY}": 1, "{CANARY}": 2}}'.encode()),
    "half a surrogate pair": (ROWS, f'{{"{CANARY}": "\\ud800"}}'.encode()),
    "bytes that are no UTF-8": (ROWS, CANARY.encode() + b"\xff"),
    "an unknown tensor": (OIP, tensor(name=CANARY)),
    "an unknown datatype": (OIP, tensor(datatype=CANARY)),
    "text in a tensor": (OIP, tensor(data=[CANARY, 3.5, 1.4, 0.2])),
    "an unknown output tensor": (OIP, named(**{**json.loads(tensor()), "outputs": [{"name": CANARY}]})),
    "an id that is too long": (OIP, named(**{**json.loads(tensor()), "id": CANARY * 100})),
    "an unknown signature": (TENSORFLOW, named(signature_name=CANARY, instances=[[5.1, 3.5, 1.4, 0.2]])),
    "text in an instance": (TENSORFLOW, named(instances=[CANARY])),
    "an unknown input": (TENSORFLOW, named(inputs={CANARY: [1]})),
    "bad base64": (TENSORFLOW, named(instances=[{"b64": CANARY}])),
}


@pytest.mark.parametrize(("path", "body"), BODIES.values(), ids=BODIES.keys())
def test_no_refusal_repeats_what_stood_in_the_body(
    door: Client, application: Application, path: str, body: bytes
) -> None:
    for headers, sent in ((JSON, body), (JSON | {"Content-Encoding": "gzip"}, gzip.compress(body))):
        answer = ask(door, path, sent, headers | application.headers())
        assert answer.status_code in {400, 422}
        assert "sesame" not in said(answer)


HEADERS = [
    "Content-Type",
    "Content-Encoding",
    "Accept",
    "Accept-Encoding",
    "Authorization",
    "X-Request-Id",
    "Inference-Header-Content-Length",
    "Host",
    "Cookie",
    "Origin",
    "Referer",
    "User-Agent",
    "Range",
    "If-None-Match",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "Forwarded",
    "Sesame",
]


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("value", ["{}", "application/json; charset={}", "Bearer {}", "a\x00{}", "{}\x7f\xff"])
def test_no_answer_repeats_a_header(door: Client, application: Application, name: str, value: str) -> None:
    for path, body in ((ROWS, b"{"), (OIP, b"{"), ("/nothing", b""), ("/oauth/token", b"a=b"), (ROWS, ROW)):
        headers = {**JSON, **application.headers(), name: value.format(CANARY)}
        answer = ask(door, path, body, headers)
        assert answer.status_code != 500
        assert "sesame" not in said(answer), (path, said(answer))


@pytest.mark.parametrize("query", [f"a={CANARY}", CANARY, quote(CANARY), f"{CANARY}=\xff", "%", "a=%ff&" + CANARY])
def test_no_answer_repeats_the_query(door: Client, application: Application, query: str) -> None:
    for path, body in ((ROWS, b"{"), (ROWS, ROW), ("/nothing", b""), ("/oauth/token", b"a=b"), ("/docs", b"")):
        answer = ask(door, path, body, JSON | application.headers(), query)
        assert answer.status_code != 500
        assert "sesame" not in said(answer)


@pytest.mark.parametrize(
    "path",
    [
        "/sesame",
        "/sesame\r\nSet-Cookie: sesame=1",
        "/v1/models/sesame\n/predict",
        "/v1/models/sesame<script>/predict",
        '/v2/models/"sesame"/infer',
        "/v2/models/sesame\x00/infer",
        "/v1/models/iris/versions/sesame é/predict",
        "/v1/models/iris/versions/sesame/predict",
        "/docs/sesame",
    ],
)
def test_no_answer_repeats_an_address_that_leads_nowhere(door: Client, application: Application, path: str) -> None:
    answer = ask(door, path, ROW, JSON | application.headers())
    assert answer.status_code == 404
    assert "sesame" not in said(answer)


def test_the_one_word_of_the_address_that_a_refusal_says_is_a_scope(door: Client, application: Application) -> None:
    """403 names the scope that is needed, which holds the model's name: letters, digits, dot, dash and underscore."""
    answer = ask(door, "/v1/models/outliers/predict", ROW, JSON | application.headers("predict:iris"))
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="predict:outliers"'
    for name in ('a"b', "a b", "a\r\nb", "a<b>", "a;b", "a" * 101):
        answer = ask(door, f"/v1/models/{name}/predict", ROW, JSON | application.headers("predict:iris"))
        assert answer.status_code == 404


def test_only_a_harmless_request_id_is_repeated(door: Client, application: Application) -> None:
    for sent, kept in (
        ("a-1.b_2", True),
        ("a b", False),
        ("é", False),
        ("a\tb", False),
        ("x" * 65, False),
        ("", False),
    ):
        answer = ask(door, ROWS, ROW, {**JSON, **application.headers(), "X-Request-Id": sent})
        assert (answer.headers["X-Request-Id"] == sent) is kept


def test_no_answer_may_be_kept_by_anything_on_its_way(door: Client, application: Application) -> None:
    """So nothing that a header or a query changes can be served to another caller out of a cache."""
    odd = {
        "X-Forwarded-Host": "evil",
        "X-Original-URL": "/docs",
        "X-Forwarded-Proto": "javascript",
        "Range": "bytes=0-1",
    }
    for path, body in ((ROWS, ROW), (ROWS, b"{"), ("/nothing", b""), ("/oauth/token", b"a=b")):
        for headers in ({**JSON, **application.headers()}, {**JSON, **application.headers(), **odd}):
            assert ask(door, path, body, headers).headers["Cache-Control"] == "no-store"
    plain = application.client.get("/.well-known/jwks.json")
    changed = application.client.get("/.well-known/jwks.json?a=b", headers=odd)
    assert (plain.get_data(), plain.status) == (changed.get_data(), changed.status)


header_text = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=40)
wild_headers = st.dictionaries(st.sampled_from([name for name in HEADERS if name != "Authorization"]), header_text)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from([ROWS, OIP, TENSORFLOW, "/oauth/token", "/docs", "/nothing"]),
    headers=wild_headers,
    query=header_text,
)
def test_whatever_stands_in_headers_and_query_no_header_of_the_answer_ends_early_and_nothing_fails(
    application: Application, path: str, headers: dict[str, str], query: str
) -> None:
    lane = application.house.lane
    assert lane is not None
    for client in (Client(lane), Client(lane.behind)):
        answer = ask(client, path, ROW, {**application.headers(), **headers}, query)
        assert answer.status_code < 500
        for name, value in answer.headers.to_wsgi_list():
            assert not set("\r\n\x00") & set(name + value)
