"""The id that ties an answer, its log lines and its audit entries together."""

from __future__ import annotations

import os
import re
from contextvars import ContextVar

current_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request that the current thread answers; log lines carry it by themselves."""

_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def request_id_from(header: str | None) -> str:
    """The caller's ``X-Request-Id`` when it is 1–64 characters of ``[A-Za-z0-9._-]``, otherwise a new id."""
    if header is not None and _ACCEPTABLE.fullmatch(header):
        return header
    return new_request_id()


def new_request_id() -> str:
    """128 random bits as hexadecimal digits; read from the system, so that forked workers never repeat each other."""
    return os.urandom(16).hex()
