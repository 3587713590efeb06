"""The id that ties an answer, its log lines and its audit entries together."""

from __future__ import annotations

import os
import re
from contextvars import ContextVar
from itertools import count

current_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request that the current thread answers; log lines carry it by themselves."""

_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def request_id_from(header: str | None) -> str:
    """The caller's ``X-Request-Id`` when it is 1–64 characters of ``[A-Za-z0-9._-]``, otherwise a new id."""
    if header is not None and _ACCEPTABLE.fullmatch(header):
        return header
    return new_request_id()


def new_request_id() -> str:
    """An id that no other request of any process has: 96 random bits of this process, and a number that counts up.

    Random bits for each request would be a system call each; ids name requests and keep nothing secret.
    """
    return f"{_prefix}{next(_numbers):08x}"


def _begin_anew() -> None:
    global _prefix, _numbers
    _prefix, _numbers = os.urandom(12).hex(), count()


_prefix: str
_numbers: count[int]
_begin_anew()
os.register_at_fork(after_in_child=_begin_anew)
