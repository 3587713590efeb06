"""A TCP proxy on a free port that passes everything on, until it is told to be slow, silent or rude."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from types import TracebackType
from typing import Self

_CHUNK_BYTES = 65_536
_NO_LINGER = struct.pack("ii", 1, 0)


class UnreliableProxy:
    """Stands in front of ``target_port`` of this machine while its ``with`` block runs, in a thread of its own."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self._target_port = target_port
        self._delay_seconds = 0.0
        self._rude = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._started = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._serve()), name="unreliable-proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(30), "the proxy did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(30)

    @contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Whatever comes is passed on that much later."""
        self._delay_seconds = seconds
        try:
            yield
        finally:
            self._delay_seconds = 0.0

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Connections are taken and stay open, and nothing is passed on; afterwards all of it is."""
        self._loop.call_soon_threadsafe(self._flows.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._flows.set)

    @contextmanager
    def resetting(self) -> Iterator[None]:
        """Every connection, open or new, ends with a reset."""
        self._rude = True
        self._loop.call_soon_threadsafe(self._reset_all)
        try:
            yield
        finally:
            self._rude = False

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._flows, self._ended = asyncio.Event(), asyncio.Event()
        self._flows.set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._ended.wait()
        server.close()
        self._flows.set()
        self._reset_all()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._rude:
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            _reset(writer)
            return
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pass_on(reader, far_writer), self._pass_on(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                if self._delay_seconds:
                    await asyncio.sleep(self._delay_seconds)
                await self._flows.wait()
                writer.write(chunk)
                await writer.drain()
        writer.close()

    def _reset_all(self) -> None:
        for writer in self._writers:
            _reset(writer)
        self._writers.clear()


def _reset(writer: asyncio.StreamWriter) -> None:
    socket_ = writer.get_extra_info("socket")
    with suppress(OSError):
        socket_.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()
