"""When a call is repeated, and what it tells its caller when it is not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.client import (
    AuthenticationFailed,
    BadRequest,
    Client,
    ClientError,
    DeadlineExceeded,
    InvalidRows,
    ModelNotFound,
    PermissionDenied,
    QuotaExceeded,
    Retry,
    ServerError,
    Unavailable,
)
from secure_ml_api.client.errors import error_of

METADATA = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 2]}], "outputs": []}
ANSWER = {
    "model_name": "tiny",
    "model_version": "1",
    "outputs": [{"name": "value", "datatype": "FP32", "shape": [1], "data": [5.0]}],
}
ROW = [[1.0, 2.0]]
Handler = Callable[[httpx.Request], httpx.Response]


class Script:
    """A server that answers inferences with what it was told, one after the other, and counts tokens."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers: Iterator[httpx.Response | Exception] = iter(answers)
        self.tokens = 0
        self.bearers: list[str] = []
        self.headers: list[httpx.Headers] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/token":
            self.tokens += 1
            return httpx.Response(200, json={"access_token": f"token-{self.tokens}", "expires_in": 900})
        self.bearers.append(request.headers["authorization"])
        self.headers.append(request.headers)
        if request.method == "GET":
            return httpx.Response(200, json=METADATA)
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def good() -> httpx.Response:
    return httpx.Response(200, json=ANSWER)


def refusal(status: int, **headers: str) -> httpx.Response:
    problem = {"title": "No", "detail": "not now", "request_id": "r-1"}
    return httpx.Response(
        status, json=problem, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


def client(script: Handler, retry: Retry = Retry(first_seconds=0.001), **options: Any) -> Client:  # noqa: B008 - frozen
    return Client("http://server", "id", "secret", retry=retry, transport=httpx.MockTransport(script), **options)


@pytest.mark.parametrize(
    "trouble", [refusal(503), refusal(502), refusal(504), httpx.ConnectError("refused"), httpx.ReadError("reset")]
)
def test_what_may_pass_is_tried_again(trouble: httpx.Response | Exception) -> None:
    with client(Script(trouble, good())) as asked:
        assert asked.predict("tiny", ROW)["value"].tolist() == [5.0]


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (refusal(400), BadRequest),
        (refusal(403), PermissionDenied),
        (refusal(404), ModelNotFound),
        (refusal(422), InvalidRows),
        (refusal(500), ServerError),
    ],
)
def test_what_will_not_pass_is_told_at_once(trouble: httpx.Response, kind: type[ClientError]) -> None:
    with client(Script(trouble)) as asked, pytest.raises(kind, match="not now") as told:
        asked.predict("tiny", ROW)
    assert (told.value.status, told.value.request_id) == (trouble.status_code, "r-1")


def test_server_that_stays_away_is_given_up_after_the_attempts() -> None:
    script = Script(*[httpx.ConnectError("refused")] * 9)
    with client(script, Retry(attempts=3, first_seconds=0.001)) as asked, pytest.raises(Unavailable, match="refused"):
        asked.predict("tiny", ROW)
    assert len(script.bearers) == 1 + 3


def test_who_could_not_come_back_in_time_is_told_at_once_and_when_to_come() -> None:
    with client(Script(refusal(429, Retry_After="60"))) as asked, pytest.raises(QuotaExceeded) as told:
        asked.predict("tiny", ROW, timeout_seconds=5)
    assert told.value.retry_after_seconds == 60


def test_answer_that_does_not_come_in_time_is_a_deadline() -> None:
    script = Script(httpx.ReadTimeout("timeout"))
    with client(script, Retry(attempts=1)) as asked, pytest.raises(DeadlineExceeded):
        asked.predict("tiny", ROW)


def test_server_is_told_how_long_the_caller_waits() -> None:
    script = Script(good())
    with client(script) as asked:
        asked.predict("tiny", ROW, timeout_seconds=7)
    assert 6 < float(script.headers[-1]["request-timeout"]) <= 7


def test_server_is_told_the_trace_of_a_program_that_traces() -> None:
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

    script = Script(good(), good())
    with client(script) as asked:
        asked.predict("tiny", ROW)
        assert "traceparent" not in script.headers[-1]
        with use_span(NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1)))):
            asked.predict("tiny", ROW)
    assert script.headers[-1]["traceparent"] == f"00-{0xABC:032x}-{0xDEF:016x}-01"


def test_one_token_serves_many_calls_and_a_refused_one_is_fetched_once_more() -> None:
    script = Script(good(), refusal(401), good())
    with client(script) as asked:
        asked.predict("tiny", ROW)
        assert script.tokens == 1
        asked.predict("tiny", ROW)
    assert script.tokens == 2
    assert script.bearers[-1] == "Bearer token-2"


def test_token_that_is_refused_twice_is_not_fetched_for_ever() -> None:
    script = Script(refusal(401), refusal(401), refusal(401))
    with client(script) as asked, pytest.raises(AuthenticationFailed):
        asked.predict("tiny", ROW)
    assert script.tokens == 2


def test_credentials_that_are_refused_are_told_apart() -> None:
    def closed(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"error": "invalid_client", "error_description": "the client is unknown"})

    with client(closed) as asked, pytest.raises(AuthenticationFailed, match="the client is unknown"):
        asked.metadata("tiny")


def test_batch_that_is_too_large_for_the_server_is_sent_in_smaller_pieces() -> None:
    def answers(rows: int) -> httpx.Response:
        output = {"name": "value", "datatype": "FP32", "shape": [rows], "data": [1.0] * rows}
        return httpx.Response(200, json={**ANSWER, "outputs": [output]})

    script, seen = Script(refusal(413), answers(2), answers(2), answers(1)), []
    with client(script) as asked:
        found = asked.predict("tiny", ROW * 5, progress=lambda done, of: seen.append((done, of)))
    assert found["value"].shape == (5,)
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_bad_rows_of_a_later_piece_are_counted_in_all_that_was_sent() -> None:
    wrong = httpx.Response(422, json={"detail": "bad", "errors": [{"row": 1, "feature": "x", "detail": "too large"}]})
    two = {**ANSWER, "outputs": [{"name": "value", "datatype": "FP32", "shape": [2], "data": [1.0, 2.0]}]}
    with client(Script(httpx.Response(200, json=two), wrong), most_rows=2) as asked, pytest.raises(InvalidRows) as told:
        asked.predict("tiny", ROW * 4)
    assert [tuple(row) for row in told.value.rows] == [(3, "x", "too large")]


@pytest.mark.parametrize("rows", [[], [1.0, 2.0], 5])
def test_rows_that_are_none_are_refused_here(rows: object) -> None:
    with client(Script()) as asked, pytest.raises(BadRequest, match=r"an array \[rows, features\]"):
        asked.predict("tiny", rows)


@given(
    st.integers(1, 10), st.sampled_from([0, 429, 502, 503, 504]), st.floats(0, 30), st.floats(0, 30), st.floats(0, 1)
)
def test_pause_is_never_shorter_than_asked_and_never_longer_than_is_left(
    attempt: int, status: int, asked: float, left: float, drawn: float
) -> None:
    pause = Retry(attempts=20).pause_seconds(attempt, status, asked, left, lambda: drawn)
    assert pause is None or asked <= pause < left
    assert pause is None or pause <= max(asked, Retry().longest_seconds)


@given(st.binary(max_size=80), st.integers(400, 599))
def test_whatever_stands_in_an_answer_becomes_an_error(body: bytes, status: int) -> None:
    assert error_of(status, body, None).status == status


def test_problem_that_is_a_list_is_survived() -> None:
    assert error_of(500, json.dumps([1]).encode(), None).problem == {}


def test_client_needs_nothing_of_the_server() -> None:
    code = (
        "import sys\n"
        "for name in ('flask', 'pydantic', 'sqlalchemy', 'gunicorn', 'onnxruntime', 'prometheus_client'):\n"
        "    sys.modules[name] = None\n"
        "import secure_ml_api.client\n"
        "rooms = {name.split('.')[1] for name in sys.modules if name.startswith('secure_ml_api.')}\n"
        "assert rooms == {'client'}, rooms\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
