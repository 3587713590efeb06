"""Requests that come in pieces: what the gatherer of connections makes of them, beside what gunicorn's parser does."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Literal, NamedTuple

from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser

from secure_ml_api.server.connection import Connection
from secure_ml_api.server.gathering import Room
from secure_ml_api.server.plain_connection import PlainConnection, worker_constants
from secure_ml_api.setting_sections import ServerSettings

from .plain_requests import CFG, CLIENT, SERVER, apart, environ_of

_CONSTANTS = worker_constants(CFG)


class Pieces:
    """In the place of a socket: the client's bytes come in pieces of one size, and then nothing more."""

    def __init__(self, sent: bytes, piece_bytes: int) -> None:
        self._pieces = [sent[at : at + piece_bytes] for at in range(0, len(sent), piece_bytes)]

    def setblocking(self, flag: bool) -> None:
        pass

    def send(self, data: bytes) -> int:
        return len(data)

    def recv(self, size: int) -> bytes:
        if not self._pieces:
            raise BlockingIOError
        piece = self._pieces.pop(0)
        if len(piece) > size:
            self._pieces.insert(0, piece[size:])
        return piece[:size]

    @property
    def are_all_taken(self) -> bool:
        return not self._pieces


class Gathered(NamedTuple):
    """When the gatherer hands a request over."""

    end: int | None
    """Behind the last byte that it wants to be there before; None where it waits for more."""
    is_cut_short: bool


class Parsed(NamedTuple):
    """What gunicorn's parser makes of the bytes that have come, if it must not wait for others."""

    outcome: Literal["whole", "refused", "waits"]
    body: bytes = b""
    rest: bytes = b""


def gathered(sent: bytes, piece_bytes: int) -> tuple[Gathered, Connection]:
    """What a connection says once it is complete, or when all that was ``sent`` has come."""
    pieces: Any = Pieces(sent, piece_bytes)
    connection = Connection(CFG, pieces, CLIENT, SERVER, ServerSettings())
    while not (connection.is_complete or connection.is_too_long or pieces.are_all_taken):
        assert connection.receive()
    end = connection._needed_bytes if connection.is_complete else None
    return Gathered(end, connection.is_cut_short), connection


def parsed(connection: Connection) -> Parsed:
    """What the parser makes of what ``connection`` has, which is handed over to it for that."""
    connection.hand_over()
    connection.unreader.chunk = _wait  # type: ignore[method-assign]
    try:
        request = next(connection.parser)
        body = b""
        while data := request.body.read(1000):
            body += data
    except _Waits:
        return Parsed("waits")
    except (ParseException, StopIteration):
        return Parsed("refused")
    return Parsed("whole", body, connection.unreader.take_buffered())


def check_gathering(sent: bytes, piece_bytes: int) -> None:
    """A thread that is handed a request waits for nobody, and nobody waits for a request that is there.

    And in whatever pieces it comes, it ends where the parser ends it.
    """
    at_once, connection = gathered(sent, len(sent))
    if connection.is_too_long or connection.chunks_refused_with is not None:
        return
    read = parsed(connection)
    if at_once.end is None:
        assert read.outcome != "whole", f"it is all there and is waited for: {sent!r}"
    elif not at_once.is_cut_short:
        assert read.outcome != "waits", f"a thread waits for the rest: {sent!r}"
    if read.outcome != "whole" or at_once.is_cut_short:
        return
    assert at_once.end is not None
    assert sent[at_once.end :] == read.rest, f"two ends: {sent!r}"
    in_pieces = gathered(sent, piece_bytes)[0]
    # Of the expectations that there may be, one is met here. Whatever waits for another is left to a thread.
    is_left = in_pieces.is_cut_short and b"expect" in sent.lower()
    assert in_pieces == at_once or is_left, f"in pieces of {piece_bytes} it is another request: {sent!r}"


def check_stream(sent: bytes, piece_bytes: int, *, skips: bool) -> None:
    """Requests one after the other: as long as they are plain, each is what gunicorn's parser reads in its place.

    With ``skips`` every other one is dropped, as those are that a full worker turns away.
    """
    pieces: Any = Pieces(sent, piece_bytes)
    connection = PlainConnection(CFG, pieces, CLIENT, SERVER, ServerSettings(), room=Room(0), constants=_CONSTANTS)
    parser = RequestParser(CFG, iter([sent]), CLIENT)
    dropped = False
    while True:
        while not (connection.is_complete or connection.is_too_long or pieces.are_all_taken):
            assert connection.receive()
        plain = connection.plain() if connection.is_complete else None
        if plain is None:
            return
        said, general = connection.plain_head, Connection.plain_head.fget(connection)  # type: ignore[attr-defined]
        assert said == general, sent
        request = next(parser)
        expected, body = environ_of(request), request.body.read()
        dropped = skips and said is not None and not dropped
        if dropped:
            assert said is not None
            assert said.path == expected["PATH_INFO"]
            assert said.authorization == expected.get("HTTP_AUTHORIZATION")
            assert said.body_bytes == len(body)
            connection.skip()
        else:
            environ = connection.take(plain)
            assert apart(environ) == apart(expected)
            assert environ["wsgi.input"].read() == body
            if connection.closes:
                with suppress(StopIteration):
                    raise AssertionError(f"more is read behind the last one: {next(parser)}")
                return


class _Waits(Exception):
    """The parser wants more than has come."""


def _wait(size_hint: int | None = None) -> bytes:
    raise _Waits
