"""Refusals → problem details (RFC 9457); the one table that maps errors to HTTP, shared by both doors."""

from __future__ import annotations

import math
from typing import Any

import orjson

from .. import errors
from ..errors import Refusal
from ..quota.headers import ratelimit_headers
from ..wire.question import JSON, Answer

PROBLEM_JSON = "application/problem+json"

# Refusal → status and title. A test demands that every leaf of the tree is here.
STATUSES: dict[type[Refusal], tuple[int, str]] = {
    errors.MalformedBody: (400, "Malformed body"),
    errors.MalformedHeader: (400, "Malformed header"),
    errors.TokenMissing: (401, "Token required"),
    errors.TokenRefused: (401, "Token refused"),
    errors.InsufficientScope: (403, "Insufficient scope"),
    errors.ModelNotFound: (404, "Model not found"),
    errors.SubjectNotFound: (404, "Not found"),
    errors.NotAcceptable: (406, "Not acceptable"),
    errors.BodyTooSlow: (408, "Body too slow"),
    errors.BodyTooLarge: (413, "Body too large"),
    errors.UnsupportedContent: (415, "Unsupported content"),
    errors.SignatureMismatch: (422, "Does not fit the model"),
    errors.QuotaExceeded: (429, "Quota exceeded"),
    errors.InferenceFailed: (500, "Inference failed"),
    errors.Overloaded: (503, "Overloaded"),
    errors.NotReady: (503, "Not ready"),
    errors.StorageUnavailable: (503, "Storage unavailable"),
    errors.DeadlineExceeded: (504, "Deadline exceeded"),
}

# What HTTP itself refuses, before any refusal of ours; here by Flask, or by the server without the application.
TITLES = {
    400: ("bad_request", "Bad request", "the request is not well-formed HTTP, or does not name its host once"),
    404: ("no_such_route", "No such route", "there is nothing at this address; /openapi.json lists what there is"),
    405: ("method_not_allowed", "Method not allowed", "this address does not answer to this method"),
    408: ("too_slow", "Request too slow", "the request did not arrive in time"),
    411: ("length_required", "Length required", "this server wants to know the length of a body in advance"),
    413: ("body_too_large", "Body too large", "the body is larger than this server takes"),
    414: ("address_too_long", "Address too long", "the request line is longer than this server takes"),
    415: ("unsupported_content", "Unsupported content", "this content type is not read here"),
    417: ("expectation_failed", "Expectation failed", "the only expectation that is met is 100-continue"),
    431: ("headers_too_large", "Headers too large", "the header block is larger than this server takes"),
    500: ("internal_error", "Internal error", "something went wrong here; the operators can find it by the request id"),
    501: ("coding_not_spoken", "Transfer coding not spoken", "the only transfer coding that is understood is chunked"),
    505: ("version_not_spoken", "HTTP version not spoken", "only HTTP/1.0 and HTTP/1.1 are spoken here"),
}


def refusal_answer(refusal: Refusal, request_id: str, *, oip: bool) -> Answer:
    """The answer that tells a caller about ``refusal``; ``oip`` chooses the form of the Open Inference Protocol."""
    status, title = STATUSES[type(refusal)]
    body = {"type": f"/docs#{refusal.reason}", "title": title, "status": status, "detail": refusal.detail}
    misfits = _errors(refusal)
    return _answer(body | {"errors": misfits} if misfits else body, request_id, oip, _headers(refusal))


def http_answer(
    status: int, request_id: str, *, oip: bool, headers: tuple[tuple[str, str], ...] = (), detail: str | None = None
) -> Answer:
    """The answer for an error that HTTP itself names by ``status``."""
    reason, title, words = TITLES.get(status, TITLES[500 if status >= 500 else 400])
    body = {"type": f"/docs#{reason}", "title": title, "status": status, "detail": detail or words}
    return _answer(body, request_id, oip, headers)


def _answer(body: dict[str, Any], request_id: str, oip: bool, headers: tuple[tuple[str, str], ...]) -> Answer:
    body["request_id"] = request_id
    if oip:
        body["error"] = body["detail"]
    return Answer(orjson.dumps(body), JSON if oip else PROBLEM_JSON, body["status"], headers)


def _errors(refusal: Refusal) -> list[dict[str, Any]]:
    if not isinstance(refusal, errors.SignatureMismatch):
        return []
    return [
        {
            key: value
            for key, value in (("row", misfit.row), ("feature", misfit.feature), ("detail", misfit.detail))
            if value is not None
        }
        for misfit in refusal.misfits
    ]


def _headers(refusal: Refusal) -> tuple[tuple[str, str], ...]:
    headers: dict[str, str] = {}
    match refusal:
        case errors.TokenMissing():
            headers["WWW-Authenticate"] = "Bearer"
        case errors.TokenRefused():
            headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
        case errors.InsufficientScope(scope=scope):
            headers["WWW-Authenticate"] = f'Bearer error="insufficient_scope", scope="{scope}"'
        case errors.UnsupportedContent(accepted=accepted):
            types = any("/" in value for value in accepted)
            headers["Accept" if types else "Accept-Encoding"] = ", ".join(accepted)
        case errors.QuotaExceeded(standings=standings):
            headers.update(ratelimit_headers(standings))
    retry_after_seconds = getattr(refusal, "retry_after_seconds", None)
    if retry_after_seconds is not None:
        headers["Retry-After"] = str(math.ceil(retry_after_seconds))
    return tuple(headers.items())
