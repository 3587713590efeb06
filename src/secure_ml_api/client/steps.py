"""What a call does, step by step, for whoever can send and wait: the one logic behind both clients.

A call is a generator. It yields what it wants (a request to be sent, a pause, a token) and is sent what came of it.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar
from urllib.parse import quote, urlencode

from .errors import AuthenticationFailed, ClientError, DeadlineExceeded, Unavailable, error_of
from .policy import Retry

# A token is renewed so long before it ends: it may still be on its way then.
_LEEWAY_SECONDS = 30.0


class Request(NamedTuple):
    """What is sent, and for how many seconds its answer is waited for."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    timeout_seconds: float


class Reply(NamedTuple):
    """An answer; ``status`` 0 and a reason in ``body`` when none came. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after_seconds(self) -> float | None:
        told = self.headers.get("retry-after", "")
        return float(told) if told.isdecimal() else None


class Pause(NamedTuple):
    """A wait, on purpose."""

    seconds: float


class Authenticate(NamedTuple):
    """A token is needed: let one caller fetch it, by ``Session.fetch_token``, while the others wait."""

    until: float


T = TypeVar("T")
Steps = Generator[Request | Pause | Authenticate, Reply | None, T]


@dataclass(slots=True)
class Session:
    """Who calls, the token that they have, and how they behave; ``clock`` tells monotonic seconds."""

    client_id: str
    client_secret: str
    scope: str = ""
    retry: Retry = field(default_factory=Retry)
    clock: Callable[[], float] = time.monotonic
    _token: str = ""
    _token_until: float = 0.0

    @property
    def needs_token(self) -> bool:
        return self.clock() >= self._token_until

    def fetch_token(self, until: float) -> Steps[None]:
        """A new token, by the client credentials grant (RFC 6749 section 4.4); raises AuthenticationFailed."""
        form = {"grant_type": "client_credentials"} | ({"scope": self.scope} if self.scope else {})
        credentials = f"{quote(self.client_id, safe='')}:{quote(self.client_secret, safe='')}".encode()
        headers = {
            "Authorization": f"Basic {base64.b64encode(credentials).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        begun = self.clock()
        reply = yield from self._repeated("POST", "/oauth/token", headers, urlencode(form).encode(), until)
        if reply.status != 200:
            error = error_of(reply.status, reply.body, reply.retry_after_seconds)
            raise AuthenticationFailed(str(error), error.status, error.problem) if reply.status == 400 else error
        told = json.loads(reply.body)
        lifetime = float(told["expires_in"])
        self._token = told["access_token"]
        self._token_until = begun + max(lifetime - _LEEWAY_SECONDS, lifetime / 2)

    def call(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Steps[Reply]:
        """The answer to a guarded request; raises the ClientError for one that is none."""
        until = self.clock() + timeout_seconds
        for is_first in (True, False):
            yield Authenticate(until)
            bearer = {**headers, "Authorization": f"Bearer {self._token}"}
            reply = yield from self._repeated(method, path, bearer, body, until)
            if reply.status != 401 or not is_first:
                break
            self._token_until = 0.0  # revoked, or of a server that does not know it any more
        if reply.status != 200:
            raise error_of(reply.status, reply.body, reply.retry_after_seconds)
        return reply

    def _repeated(self, method: str, path: str, headers: Mapping[str, str], body: bytes, until: float) -> Steps[Reply]:
        attempt = 0
        while True:
            attempt += 1
            remaining = until - self.clock()
            if remaining <= 0:
                raise DeadlineExceeded("the call took longer than its time-out")
            # The server stops working on what nobody waits for any more.
            timed = {**headers, **_traced(), "Request-Timeout": f"{remaining:.3f}"}
            reply = yield Request(method, path, timed, body, remaining)
            if reply is None:
                raise TypeError("a request is answered, be it by a reply without a status")
            pause = self.retry.pause_seconds(attempt, reply.status, reply.retry_after_seconds, until - self.clock())
            if pause is None:
                return _answered(reply)
            yield Pause(pause)


def _traced() -> dict[str, str]:
    """``traceparent`` of the caller's current span, where the program traces with OpenTelemetry: none is imported."""
    opentelemetry = sys.modules.get("opentelemetry.trace")
    if opentelemetry is None:
        return {}
    span = opentelemetry.get_current_span().get_span_context()
    told = f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags & 0x03:02x}"
    return {"traceparent": told} if span.is_valid else {}


def _answered(reply: Reply) -> Reply:
    if reply.status == 0:
        raise _unanswered(reply.body.decode())
    return reply


def _unanswered(reason: str) -> ClientError:
    if "timeout" in reason.lower():
        return DeadlineExceeded(f"the server did not answer in time ({reason})")
    return Unavailable(f"the server cannot be reached ({reason})")
