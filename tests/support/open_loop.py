"""Load at a constant arrival rate, whatever the server does: the only kind under which overload shows.

A caller that waits for its answer before it asks again slows down with the server, and so hides what a crowd of callers
who do not know of each other would meet. Here every request has a time at which it is *due*, and its latency counts
from that time, however late it was sent (G. Tene, "How NOT to Measure Latency"). Requests go out over kept-alive
connections, as many as it takes up to a bound; one that finds them all busy waits, and its latency goes on counting.

The loop runs in a thread of its own, so a test can do its damage meanwhile:

    with OpenLoop(server.port, post("/v1/models/iris/predict", ROW, token), rate=200, seconds=5) as load:
        server.kill_worker()
    assert load.outcome.statuses() == {200: 1000}

Timers are good to a millisecond, so requests leave in bursts of ``rate`` / 1000, and one core of this Python sends some
twenty to forty thousand a second: ``Outcome.lateness`` tells whether the generator kept its own pace.
"""

from __future__ import annotations

import asyncio
import gc
import math
import re
import ssl
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Self, cast

import uvloop

from .outcome import NEVER_SENT, Answer, Outcome

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *([0-9]+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class OpenLoop:
    """``rate`` requests a second to ``port`` of this machine, for ``seconds`` or until the ``with`` block ends.

    ``request`` is sent as it is, or made anew for each by its number. Leaving the block waits for the last request to
    be due, and then ``patience_seconds`` at most for the answers that are still out; ``stop`` makes no more due.
    """

    def __init__(
        self,
        port: int,
        request: bytes | Callable[[int], bytes],
        *,
        rate: float,
        seconds: float,
        connections: int = 256,
        fresh: bool = False,
        patience_seconds: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._port = port
        self._tls = tls
        self._request = request if callable(request) else lambda _: request
        self._rate = rate
        self._total = round(rate * seconds)
        self._connections = connections
        self._fresh = fresh
        self._patience_seconds = patience_seconds
        self._begun_at = time.perf_counter()
        self._answers: list[Answer] = []
        self._stopped = Event()
        self._flows = Event()
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name="open-loop", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(self._total / self._rate + self._patience_seconds + 30)
        assert not self._thread.is_alive(), "the load generator did not end"
        if self._failure is not None:
            raise self._failure

    @property
    def outcome(self) -> Outcome:
        """What has come so far, or all of it after the ``with`` block."""
        return Outcome(tuple(self._answers))

    def wait_for_flow(self) -> None:
        """Wait for the first answer, of whatever kind."""
        assert self._flows.wait(30), "no answer came"

    def stop(self) -> None:
        """No request is due any more; those that are out are waited for when the block ends."""
        self._stopped.set()

    def _run(self) -> None:
        gc.disable()  # a look through all that a test run holds takes longer than an answer
        try:
            uvloop.run(self._drive())
        except BaseException as error:  # raised again where the load is waited for
            self._failure = error
        finally:
            gc.enable()

    async def _drive(self) -> None:
        self._begun_at = time.perf_counter()
        self._idle: list[_Line] = []
        self._busy: set[_Line] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._queued: deque[tuple[int, float]] = deque()
        number = 0
        while number < self._total and not self._stopped.is_set():
            while number < self._total and (due_at := number / self._rate) <= self.now():
                self._queued.append((number, due_at))
                number += 1
                self._send()
            await asyncio.sleep(max(0.0, number / self._rate - self.now()))
        await self._wait_while(lambda: bool(self._queued or self._busy or self._opening))
        if self._queued:
            for _, due_at in self._queued:
                self.note(Answer(due_at, self.now(), self.now() - due_at, 0, error=NEVER_SENT))
            self._queued.clear()
            await self._wait_while(lambda: bool(self._busy))
        for task in self._opening:
            task.cancel()
        for line in [*self._busy]:
            line.fail("no answer")
        for line in self._idle:
            line.close()
        await asyncio.sleep(0)  # lets the transports close

    async def _wait_while(self, holds: Callable[[], bool]) -> None:
        until = self.now() + self._patience_seconds
        while holds() and self.now() < until:
            await asyncio.sleep(0.005)

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._begun_at

    def note(self, answer: Answer) -> None:
        self._answers.append(answer)
        if not self._flows.is_set():
            self._flows.set()

    def freed(self, line: _Line) -> None:
        """``line`` has its answer and can carry another request."""
        self._busy.discard(line)
        if self._fresh:
            line.close()
        else:
            self._idle.append(line)
        self._send()

    def lost(self, line: _Line) -> None:
        """``line`` is of no more use."""
        self._busy.discard(line)
        with suppress(ValueError):
            self._idle.remove(line)
        if self._queued:
            self._send()

    def _send(self) -> None:
        while self._queued and self._idle:
            number, due_at = self._queued.popleft()
            line = self._idle.pop()
            self._busy.add(line)
            line.ask(self._request(number), due_at)
        wanted = min(len(self._queued), self._connections - len(self._busy) - len(self._idle)) - len(self._opening)
        for _ in range(wanted):
            task = asyncio.ensure_future(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        """One more connection; one that cannot be made costs the request that waits longest."""
        try:
            loop = asyncio.get_running_loop()
            name = "localhost" if self._tls is not None else None
            _, line = await loop.create_connection(
                lambda: _Line(self), "127.0.0.1", self._port, ssl=self._tls, server_hostname=name
            )
        except OSError as error:
            if self._queued:
                _, due_at = self._queued.popleft()
                self.note(Answer(due_at, self.now(), self.now() - due_at, 0, error=type(error).__name__))
            return
        self._idle.append(line)
        self._send()


class _Line(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, load: OpenLoop) -> None:
        self._load = load
        self._transport: asyncio.Transport
        self._held = b""
        self._due_at = self._sent_at = math.nan
        self._asks = False

    def ask(self, request: bytes, due_at: float) -> None:
        self._held, self._asks = b"", True
        self._due_at, self._sent_at = due_at, self._load.now()
        self._transport.write(request)

    def close(self) -> None:
        self._transport.abort()

    def fail(self, error: str) -> None:
        """The request that is out gets no answer."""
        if self._asks:
            self._asks = False
            now = self._load.now()
            self._load.note(Answer(self._due_at, self._sent_at, now - self._due_at, 0, error=error))
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.fail(type(error).__name__ if error else "closed")
        self._load.lost(self)

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        if end < 0 or not self._asks:
            return
        head = self._held[: end + 2]
        length = _LENGTH.search(head)
        if length is None:
            self.fail("an answer without a length")
        elif len(self._held) >= end + 4 + int(length[1]):
            self._answered(head)

    def _answered(self, head: bytes) -> None:
        self._asks = False
        status = int(head[9:12])
        retry_after = _RETRY_AFTER.search(head) if status >= 400 else None
        latency = self._load.now() - self._due_at
        self._load.note(
            Answer(self._due_at, self._sent_at, latency, status, int(retry_after[1]) if retry_after else None)
        )
        if _CLOSE.search(head):
            self.close()
        else:
            self._load.freed(self)
