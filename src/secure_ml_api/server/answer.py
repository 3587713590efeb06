"""The two ends of one exchange as the application meets them: the body that it reads and the answer that it writes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from gunicorn.http import errors as http_errors
from gunicorn.http import wsgi
from gunicorn.http.body import ChunkedReader, LengthReader

from ..errors import MalformedBody
from .unreader import TimedUnreader


class Body(io.RawIOBase):
    """Gunicorn's body of ``request``, whose complaints are refusals that the application knows how to answer."""

    def __init__(self, request: Any, unreader: TimedUnreader) -> None:
        super().__init__()
        self._body = request.body
        self._unreader = unreader
        reader = request.body.reader
        self._chunks = reader if isinstance(reader, ChunkedReader) else None
        self._missing_bytes = reader.length if isinstance(reader, LengthReader) else 0

    @property
    def must_be_waited_for(self) -> bool:
        """Whether part of the body was neither read by the application nor received so far."""
        if self._body.failed:
            return True
        if self._chunks is not None:
            return self._chunks.parser is not None
        return bool(self._missing_bytes > self._unreader.held_bytes + len(self._body.buf.getbuffer()))

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes, none at the end.

        Raises MalformedBody for bad chunks or when the client left before the end, BodyTooSlow at the deadline.
        """
        data = self._read(self._body.read, size)
        return self._checked(data, at_end=size is None or size < 0 or len(data) < size)

    def readline(self, size: int | None = -1) -> bytes:
        """The next line; raises as ``read``."""
        line = self._read(self._body.readline, size)
        return self._checked(line, at_end=not line and size != 0)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _read(self, read: Callable[[int | None], bytes], size: int | None) -> bytes:
        try:
            return read(size)
        except (http_errors.ParseException, OSError) as error:
            raise MalformedBody("the body is not framed as HTTP frames a body") from error

    def _checked(self, data: bytes, *, at_end: bool) -> bytes:
        self._missing_bytes -= len(data)
        if at_end and self._missing_bytes > 0:
            # Gunicorn hands out what came before the client closed as if it were the whole.
            raise MalformedBody("the body ends before its Content-Length")
        return data


class GivenUp(Exception):
    """The answer comes so late that another one was sent in its place."""


class Answer(wsgi.Response):  # type: ignore[misc]
    """Gunicorn's response without its name in it, in one piece when it is short.

    ``body`` is what the application reads; ``write`` takes the bytes; ``is_last`` says whether the server wants to end
    the connection, and ``may_answer``, asked once, whether the client still waits for this answer: if not, GivenUp is
    raised.
    """

    headers_sent: bool
    body: Body
    may_answer: Callable[[], bool]

    def __init__(
        self, request: Any, sock: Any, cfg: Any, write: Callable[[bytes], None], is_last: Callable[[], bool]
    ) -> None:
        super().__init__(request, sock, cfg)
        self._write = write
        self._is_last = is_last
        self._held = b""

    @property
    def is_on_the_wire(self) -> bool:
        """Whether the client may have seen some of it."""
        return self.headers_sent and not self._held

    def default_headers(self) -> list[str]:
        return [line for line in super().default_headers() if not line.startswith("Server:")]

    def send_headers(self) -> None:
        """Hold the header block back until the first bytes of the body, or the end, go with it."""
        if self.headers_sent:
            return
        if not self.may_answer():
            raise GivenUp
        # Asked as late as can be, as the server may have been told to stop meanwhile. A body that has yet to come
        # would have to be received before the next request; the connection is worth less than that.
        if self._is_last() or self.body.must_be_waited_for:
            self.force_close()
        lines = [*self.default_headers(), *(f"{name}: {value}\r\n" for name, value in self.headers), "\r\n"]
        self._held = "".join(lines).encode("latin-1")
        self.headers_sent = True

    def close(self) -> None:
        super().close()
        if self._held:
            self._emit(b"")

    def _emit_body(self, data: bytes) -> None:
        self._emit(b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def _emit(self, data: bytes) -> None:
        held, self._held = self._held, b""
        self._write(held + data)
