"""How simulated callers come by their tokens; locust patches the process it is in, so each has one of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import monotonic

import pytest

pytestmark = pytest.mark.slow  # importing locust takes seconds

Answer = tuple[int, dict[str, str]]

_CALLER = """
import sys
from locust.env import Environment
from locust.exception import StopUser
from loadtests.callers import Caller, Token

class Client(Caller):
    host = sys.argv[1]

caller = Client(Environment(user_classes=[Client]))
caller._token = Token()
try:
    print(caller.token())
except StopUser:
    print("stopped")
"""


@contextmanager
def tokens_behind(*answers: Answer) -> Iterator[tuple[str, list[float]]]:
    """The URL of a server that gives these answers, then tokens; and when it was asked."""
    left, asked_at = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked_at.append(monotonic())
            self.rfile.read(int(self.headers["Content-Length"]))
            status, headers = left.pop(0) if left else (200, {})
            body = json.dumps({"access_token": "the-token", "expires_in": 600}).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked_at
        server.shutdown()


def said(url: str) -> str:
    """What becomes of a caller of ``url``: its token, or that it stopped."""
    environ = {"LOADTEST_CLIENT_ID": "c", "LOADTEST_CLIENT_SECRET": "s", "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-W", "ignore", "-c", _CALLER, url]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_a_caller_whose_token_is_refused_for_now_comes_back_when_it_is_told_to() -> None:
    with tokens_behind((503, {"Retry-After": "1"}), (429, {"Retry-After": "0"})) as (url, asked_at):
        assert said(url) == "the-token"
    first, second, _ = asked_at
    assert second - first >= 1.0


@pytest.mark.parametrize("answers", [[(401, {})], [(503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})]])
def test_a_caller_whose_token_is_refused_for_good_stops(answers: Sequence[Answer]) -> None:
    with tokens_behind(*answers) as (url, asked_at):
        assert said(url) == "stopped"
    assert len(asked_at) == 1
