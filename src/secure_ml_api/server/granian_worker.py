"""The worker that serves gunicorn's sockets through granian's HTTP engine, which is written in Rust.

Three kinds of threads: granian's own, which talk HTTP and gather bodies; one on which granian hands requests over
(``_arrived``) and on which the quick ones are answered; and a bounded pool for the rest. The main thread proves to
gunicorn that the worker lives, and watches the clock for bodies that do not come.

What this engine cannot do, and why it is not the default, is in ``docs/decisions/0003-engine.md``.
"""

from __future__ import annotations

import io
import logging
import os
import select
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from gunicorn.workers.base import Worker

from .config import LAST_WORDS_SECONDS
from .gathering import longest_body_bytes
from .granian_answer import Answers
from .granian_inner import Body, Engine, Exchange, Watcher
from .granian_request import Environ, Refused, environ_of
from .incoming import HEAD_LIMIT_BYTES
from .listening import HANDSHAKE_SECONDS, stop_handshakes
from .plain_connection import Takes, worker_constants

logger = logging.getLogger(__name__)

_TURN_SECONDS = 0.25
# How long kept-alive connections stay open for a request that is under way to them when the worker stops.
_PATIENCE_SECONDS = 2.0


class Granian(Worker):  # type: ignore[misc]
    """A gunicorn worker; ``_bodies`` are the requests whose bodies are on their way, with the time that they have."""

    alive: bool
    nr: int
    slot: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = self.app.settings.server
        self._most_in_hand = self.cfg.threads + self.app.settings.inference.max_waiting
        self._bodies: dict[Body, tuple[float, Environ, Exchange]] = {}
        self._in_hand: set[Exchange] = set()
        self._answers: Answers
        self._constants: Environ
        self._takes: Takes
        self._pool: ThreadPoolExecutor

    def run(self) -> None:
        self._constants = worker_constants(self.cfg)
        self._takes = self.app.in_place_rule()
        self._answers = Answers(self.wsgi, lambda: not self.alive)
        self._pool = ThreadPoolExecutor(self.cfg.threads, "request")
        head = (self._limits.header_timeout_seconds, HEAD_LIMIT_BYTES)
        engines = [Engine(each.sock, self._arrived, self.cfg.worker_connections, head) for each in self.sockets]
        while self.alive and self.ppid == os.getppid():
            self._turn()
        self._drain(engines)

    def _turn(self) -> None:
        self.notify()
        time.sleep(_TURN_SECONDS)
        now = time.monotonic()
        for body, (deadline, environ, exchange) in list(self._bodies.items()):
            if deadline <= now and self._bodies.pop(body, None) is not None:
                self._answers.refuse(environ, exchange, 408)
                body.cancel()

    def _arrived(self, watcher: Watcher) -> None:
        """On granian's thread: a request whose header block has come; never raises."""
        exchange = watcher.proto
        environ: Environ = {}
        try:
            environ = environ_of(watcher.scope, self._constants, self.cfg)
            environ["secure_ml_api.arrived_at"] = time.monotonic()
            self._count()
            length = int(environ.get("CONTENT_LENGTH", 0))
            asked = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}".encode("latin-1")
            if 0 < length <= longest_body_bytes(asked, self._limits.body_limit_bytes):
                self._await_body(environ, exchange)
            else:
                # The application refuses a body that is too long without reading it.
                self._serve(environ, exchange, b"", closes=length > 0)
        except Refused as refused:
            self._answers.refuse(environ, exchange, refused.status)
        except Exception:
            logger.exception("a request could not be taken over")
            self._answers.refuse(environ, exchange, 500)

    def _await_body(self, environ: Environ, exchange: Exchange) -> None:
        body = exchange()
        self._bodies[body] = (time.monotonic() + self._limits.body_timeout_seconds, environ, exchange)
        body.add_done_callback(self._body_ended)

    def _body_ended(self, body: Body) -> None:
        """On granian's thread, or the main one when the body was cancelled; never raises."""
        expected = self._bodies.pop(body, None)
        if expected is None:
            return  # it took too long and has been refused
        _, environ, exchange = expected
        try:
            data = body.result()
        except Exception:  # noqa: BLE001 — whatever granian calls it: the client left, or its chunks made no sense
            self._answers.refuse(environ, exchange, 400)
        else:
            self._serve(environ, exchange, data, closes=False)

    def _serve(self, environ: Environ, exchange: Exchange, body: bytes, *, closes: bool) -> None:
        environ["wsgi.input"] = io.BytesIO(body)
        if self._takes(environ["REQUEST_METHOD"], environ["PATH_INFO"], len(body)):
            self._answers.serve(environ, exchange, closes=closes)
        elif len(self._in_hand) >= self._most_in_hand:
            self._answers.refuse(environ, exchange, 503)
        else:
            self._in_hand.add(exchange)
            self._pool.submit(partial(self._serve_in_thread, environ, exchange, closes=closes))

    def _serve_in_thread(self, environ: Environ, exchange: Exchange, *, closes: bool) -> None:
        self._answers.serve(environ, exchange, closes=closes)
        self._in_hand.discard(exchange)

    def _count(self) -> None:
        self.nr += 1
        if self.nr == self.max_requests:
            logger.info("this worker has answered its share and asks to be replaced")
            self.app.board.ask_for_relief(self.slot)

    def _drain(self, engines: list[Engine]) -> None:
        """Finish what has reached this worker; every answer from now on is the last on its connection.

        As in ``GuardedThreads``, except that granian does not tell which connections are open: each gets the whole
        patience for a request that may be under way.
        """
        until = time.monotonic() + self.cfg.graceful_timeout - LAST_WORDS_SECONDS
        elders = set(self._in_hand)
        if self.app.board.stopping:
            self.app.begin_drain()
        while elders and self.app.board.stopping and time.monotonic() < until:
            self._turn()
            elders &= self._in_hand
        self._stop_listening(engines)
        patience = min(until, time.monotonic() + _PATIENCE_SECONDS)
        while time.monotonic() < patience or (self._in_hand and time.monotonic() < until):
            self._turn()
            if self.app.board.stopping:
                self.app.begin_drain()
        for engine in engines:
            engine.stop(max(0.0, min(1.0, until - time.monotonic())))

    def _stop_listening(self, engines: list[Engine]) -> None:
        was_last = self.app.board.stop_listening(self.slot)
        for listener, engine in zip(self.sockets, engines, strict=True):
            if was_last and self.app.board.stopping:
                stop_handshakes(listener)
                begun = time.monotonic()
                # Granian takes those that the kernel has made, unless it has as many as it may.
                while (after := time.monotonic() - begun) < HANDSHAKE_SECONDS or (
                    after < _PATIENCE_SECONDS and select.select([listener], [], [], 0)[0]
                ):
                    time.sleep(0.01)
            engine.stop_listening()
