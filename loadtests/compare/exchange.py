"""The one request of a workload, as one server wants it, and the check that its answer is right."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .trouble import Unfit

_TIMEOUT_SECONDS = 30
_SHOWN_BYTES = 200


@dataclass(frozen=True, slots=True)
class Request:
    """A POST."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def post(port: int, request: Request) -> Reply:
    """The answer to one request; raises Unfit when none comes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("POST", request.path, request.body, dict(request.headers))
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    except (OSError, http.client.HTTPException) as error:
        raise Unfit(f"no answer ({error})") from None
    finally:
        connection.close()


def check(port: int, request: Request, read: Callable[[Reply], list[int]], expected: list[int]) -> None:
    """Raise Unfit unless the answer to ``request`` is 200 and ``read`` finds the ``expected`` classes in it."""
    reply = post(port, request)
    if reply.status != 200:
        raise Unfit(f"it answered {reply.status}: {reply.body[:_SHOWN_BYTES].decode(errors='replace')}")
    try:
        classes = read(reply)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Unfit(f"its answer cannot be read ({type(error).__name__}: {error})") from None
    if classes != expected:
        wrong = sum(a != b for a, b in zip(classes, expected, strict=False)) + abs(len(classes) - len(expected))
        raise Unfit(f"{wrong} of its {len(expected)} classes are not those of the trained model")
