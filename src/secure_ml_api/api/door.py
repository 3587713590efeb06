"""Flask as a door: requests become visits and calls, answers and refusals become responses."""

from __future__ import annotations

import re
import time
from functools import cache

from flask import Flask, Response, g, request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from ..errors import BodyTooLarge, BodyTooSlow, MalformedBody, Refusal
from ..inference.call import Call, Visit
from ..inference.deadline import Deadline
from ..inference.services import Services
from ..quota.headers import ratelimit_headers
from ..telemetry.client_certificates import current_client_certificate
from ..telemetry.request_ids import current_request_id, request_id_from
from ..wire.question import Answer, Dialect
from .addresses import Addresses
from .answering import SECURITY_HEADERS, Seen, answer_call, answer_refusal, answer_unexpected, count, log_seen
from .lane import arrival_of
from .problems import http_answer


class Door:
    """What every Flask request passes on its way in and out."""

    def __init__(self, app: Flask, services: Services, addresses: Addresses, deadline_seconds: float) -> None:
        self.services = services
        self._addresses = addresses
        self._deadline_seconds = deadline_seconds
        app.before_request(self._enter)
        app.after_request(self._finish)
        app.teardown_request(self._leave)
        app.register_error_handler(Refusal, self._refused)
        app.register_error_handler(HTTPException, self._not_http)
        app.register_error_handler(Exception, self._unexpected)

    def visit(self) -> Visit:
        """The current request as a guarded visit."""
        visit = Visit(authorization=_authorization(), address=g.address, request_id=g.request_id)
        g.visit = visit
        return visit

    def predict(self, dialect: Dialect, name: str, version: str | None) -> Response:
        """Walk the current request down the spine."""
        arrived_at = arrival_of(request.environ)
        call = Call(
            authorization=_authorization(),
            address=g.address,
            request_id=g.request_id,
            model_name=name,
            version=version,
            dialect=dialect,
            read_body=read_body,
            content_type=request.headers.get("Content-Type", ""),
            content_encoding=request.headers.get("Content-Encoding", ""),
            accept=request.headers.get("Accept", ""),
            accept_encoding=request.headers.get("Accept-Encoding", ""),
            inference_header_length=request.headers.get("Inference-Header-Content-Length", ""),
            deadline=Deadline(arrived_at + self._deadline_seconds),
            arrived_at=arrived_at,
            request_timeout=request.headers.get("Request-Timeout", ""),
        )
        g.visit = call
        return response_of(answer_call(call, self.services, oip=is_oip()))

    def _enter(self) -> None:
        g.started_at = time.perf_counter()
        g.request_id = request_id_from(request.headers.get("X-Request-Id"))
        g.visit = None
        g.entered = True
        current_request_id.set(g.request_id)
        g.address = self._addresses.client(request.remote_addr or "", request.headers.get("X-Forwarded-For"))
        self.services.metrics.in_flight_changed(1)

    def _finish(self, response: Response) -> Response:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers["X-Request-Id"] = g.request_id
        visit: Visit | None = g.visit
        if visit is not None and visit.standings and "RateLimit" not in response.headers:
            response.headers.update(ratelimit_headers(visit.standings))
        seen = Seen(
            visit=visit,
            request_id=g.request_id,
            address=g.address,
            method=request.method,
            path=request.path,
            route=route_template(request.url_rule.rule) if request.url_rule else "unmatched",
            status=response.status_code,
            seconds=time.perf_counter() - g.started_at,
            at=time.time(),
            certificate=current_client_certificate.get(),
        )
        count(self.services, seen)
        log_seen(seen)
        return response

    def _leave(self, _: BaseException | None) -> None:
        if g.pop("entered", False):
            self.services.metrics.in_flight_changed(-1)
        visit: Visit | None = g.get("visit")
        if visit is not None:
            visit.leave()

    def _refused(self, refusal: Refusal) -> Response:
        return response_of(answer_refusal(refusal, g.visit, self.services, oip=is_oip(), request_id=g.request_id))

    def _not_http(self, error: HTTPException) -> Response:
        if error.response is not None:
            return error.response  # type: ignore[return-value]
        allow = getattr(error, "valid_methods", None)
        headers = (("Allow", ", ".join(sorted(allow))),) if allow else ()
        return response_of(http_answer(error.code or 500, g.request_id, oip=is_oip(), headers=headers))

    def _unexpected(self, error: Exception) -> Response:
        return response_of(answer_unexpected(error, g.request_id, oip=is_oip()))


def _authorization() -> str | None:
    """The Authorization header; with a token in the address beside it, two of them as servers join two fields.

    A client that sends its token in two ways is refused (RFC 6750 section 2); one in the address alone is none.
    """
    header = request.headers.get("Authorization")
    if header is not None and request.query_string and "access_token" in request.args:
        return f"{header}, Bearer"
    return header


def read_body() -> bytes:
    """The whole body of the current request; raises BodyTooLarge, BodyTooSlow or MalformedBody."""
    limit_bytes = request.max_content_length
    if limit_bytes is not None and request.content_length is None:
        # Werkzeug cuts a body in chunks at its limit and says nothing. One byte more tells that there is more.
        request.max_content_length = limit_bytes + 1
    body = _received()
    if limit_bytes is not None and len(body) > limit_bytes:
        raise BodyTooLarge("the body is larger than this server takes")
    return body


def _received() -> bytes:
    try:
        return request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise BodyTooLarge("the body is larger than this server takes") from None
    except TimeoutError:
        raise BodyTooSlow("the body did not arrive in time") from None
    except ClientDisconnected:
        raise MalformedBody("the body ended before its declared length") from None
    except HTTPException:
        raise
    except Exception as error:  # whatever the HTTP server raises on a malformed transfer coding
        raise MalformedBody("the body's transfer coding is malformed") from error


def response_of(answer: Answer) -> Response:
    """``answer`` as Flask sends it."""
    response = Response(answer.body, status=answer.status, content_type=answer.content_type)
    response.headers.extend(answer.headers)
    return response


@cache
def route_template(rule: str) -> str:
    """A rule of the URL map as the OpenAPI document writes it: ``/v1/models/{name}/predict``."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)


def is_oip() -> bool:
    """Whether the current request speaks the Open Inference Protocol."""
    return request.path == "/v2" or request.path.startswith("/v2/")
