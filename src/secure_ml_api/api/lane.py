"""The fast lane: predict routes answered in front of Flask, over the same spine, byte for byte as Flask answers them.

Flask and Werkzeug cost more per request than everything that guards a prediction. Whatever the lane does not fully
recognise (another route, another method, a query, a body without a length) it hands to Flask untouched.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any, NamedTuple

from werkzeug.http import HTTP_STATUS_CODES

from ..errors import BodyTooLarge, MalformedBody, Refusal
from ..inference.call import Call
from ..inference.deadline import Deadline
from ..inference.services import Services
from ..telemetry.client_certificates import current_client_certificate
from ..telemetry.request_ids import current_request_id, request_id_from
from ..tensors import Signature
from ..wire.oip import OIP
from ..wire.question import Answer, Dialect
from ..wire.rows import ROWS
from ..wire.tfserving import TENSORFLOW
from .addresses import Addresses
from .answering import Headers, Seen, answer_call, count, headers_of, log_seen

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]

_OF_ONE_BYTE = frozenset({"BOOL", "INT8", "UINT8", "BYTES"})

NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
ARRIVED_AT = "secure_ml_api.arrived_at"
"""In a WSGI environment: the monotonic second in which the request's first byte came, where the server tells it."""
AFTERWARDS = "secure_ml_api.afterwards"
"""In a WSGI environment: takes a function that the server calls once it has sent the answers that it is at.

Logging one request after another, in one go, costs a third of what it costs between two requests.
"""

_ROUTES = tuple(
    (
        re.compile(rule.replace("{name}", f"(?P<name>{NAME})").replace("{version}", f"(?P<version>{NAME})")),
        rule,
        dialect,
    )
    for rule, dialect in (
        ("/v1/models/{name}/predict", ROWS),
        ("/v1/models/{name}/versions/{version}/predict", ROWS),
        ("/v1/models/{name}:predict", TENSORFLOW),
        ("/v1/models/{name}/versions/{version}:predict", TENSORFLOW),
        ("/v2/models/{name}/infer", OIP),
        ("/v2/models/{name}/versions/{version}/infer", OIP),
    )
)
_STATUS_LINES = {code: f"{code} {phrase.upper()}" for code, phrase in HTTP_STATUS_CODES.items()}  # as Flask writes them


class Route(NamedTuple):
    """Where a path leads on the lane."""

    template: str
    dialect: Dialect
    name: str
    version: str | None
    oip: bool


@lru_cache(maxsize=4096)
def route_of(path: str) -> Route | None:
    """The predict route of ``path``, if it is one exactly."""
    for pattern, template, dialect in _ROUTES:
        match = pattern.fullmatch(path)
        if match is not None:
            found = match.groupdict()
            return Route(template, dialect, found["name"], found.get("version"), template.startswith("/v2"))
    return None


@lru_cache(maxsize=1024)
def target_of(path: str) -> tuple[str, str | None] | None:
    """The name and the version, if one is named, of the model that a path of a predict route is about."""
    route = route_of(path)
    return (route.name, route.version) if route is not None else None


class FastLane:
    """A WSGI application in front of the one ``behind`` it."""

    def __init__(self, behind: Wsgi, services: Services, addresses: Addresses, deadline_seconds: float) -> None:
        self.behind = behind
        self.services = services
        self._addresses = addresses
        self._deadline_seconds = deadline_seconds

    def is_quick(self, method: str, path: str, body_bytes: int) -> bool:
        """Whether the lane answers such a request, of any content, without waiting for a place to run a model.

        A body bounds the rows in it, unless it is compressed.
        """
        route = route_of(path) if method == "POST" else None
        if route is None:
            return False
        try:
            model = self.services.registry.resolve(route.name, route.version)
        except Refusal:
            return True
        most_rows = 1 + body_bytes // _least_row_bytes(model.signature)
        is_quick = self.services.runner.batching.is_quick
        canary = self.services.registry.canary(route.name)  # who calls is not known yet
        return is_quick(model, most_rows) and (canary is None or is_quick(canary.model, most_rows))

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        route = route_of(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None
        length = environ.get("CONTENT_LENGTH", "")
        is_plain = length.isascii() and length.isdigit() and not environ.get("QUERY_STRING")
        if route is None or not is_plain or "HTTP_TRANSFER_ENCODING" in environ:
            return self.behind(environ, start_response)
        started_at = time.perf_counter()
        services = self.services
        services.metrics.in_flight_changed(1)
        try:
            call = self.call_of(environ, route, int(length))
            current_request_id.set(call.request_id)
            answer = answer_call(call, services, oip=route.oip)
            seen = seen_of(call, route, environ["PATH_INFO"], answer.status, started_at)
        finally:
            services.metrics.in_flight_changed(-1)
        count(services, seen)
        environ.get(AFTERWARDS, at_once)(partial(log_seen, seen))
        start_response(*head_of(answer, call))
        return [answer.body]

    def call_of(self, environ: Environ, route: Route, length: int) -> Call:
        """The request as a call."""
        get = environ.get
        arrived_at = arrival_of(environ)
        return Call(
            authorization=get("HTTP_AUTHORIZATION"),
            address=self._addresses.client(get("REMOTE_ADDR", ""), get("HTTP_X_FORWARDED_FOR")),
            request_id=request_id_from(get("HTTP_X_REQUEST_ID")),
            model_name=route.name,
            version=route.version,
            dialect=route.dialect,
            read_body=partial(_read, environ["wsgi.input"], length, self.services.body_limit_bytes),
            content_type=get("CONTENT_TYPE", ""),
            content_encoding=get("HTTP_CONTENT_ENCODING", ""),
            accept=get("HTTP_ACCEPT", ""),
            accept_encoding=get("HTTP_ACCEPT_ENCODING", ""),
            inference_header_length=get("HTTP_INFERENCE_HEADER_CONTENT_LENGTH", ""),
            deadline=Deadline(arrived_at + self._deadline_seconds),
            arrived_at=arrived_at,
            request_timeout=get("HTTP_REQUEST_TIMEOUT", ""),
        )


def arrival_of(environ: Environ) -> float:
    """The monotonic second of the request's first byte, or of now where the server does not tell when that came."""
    arrived_at: float | None = environ.get(ARRIVED_AT)
    return time.monotonic() if arrived_at is None else arrived_at


@lru_cache(maxsize=4096)
def _least_row_bytes(signature: Signature) -> int:
    """The shortest row in any format but Arrow: a digit and what parts it from the next, or two bytes of a tensor.

    A byte alone may be a value of the shortest types, an empty text, or a missing number in CSV.
    """
    return sum(1 if column.datatype in _OF_ONE_BYTE or column.allow_missing else 2 for column in signature.columns)


def head_of(answer: Answer, call: Call) -> tuple[str, Headers]:
    """Status line and header fields."""
    headers = headers_of(answer, call)
    headers.append(("Content-Length", str(len(answer.body))))
    return _STATUS_LINES[answer.status], headers


def seen_of(call: Call, route: Route, path: str, status: int, started_at: float) -> Seen:
    return Seen(
        visit=call,
        request_id=call.request_id,
        address=call.address,
        method="POST",
        path=path,
        route=route.template,
        status=status,
        seconds=time.perf_counter() - started_at,
        at=time.time(),
        certificate=current_client_certificate.get(),
    )


def at_once(task: Callable[[], None]) -> None:
    task()


def _read(stream: Any, length: int, limit_bytes: int) -> bytes:
    """``length`` bytes of ``stream``; raises BodyTooLarge, BodyTooSlow or MalformedBody."""
    if length > limit_bytes:
        raise BodyTooLarge("the body is larger than this server takes")
    body: bytes = stream.read(length)
    if len(body) != length:
        raise MalformedBody("the body ended before its declared length")
    return body
