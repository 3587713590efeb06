"""The client for asyncio; the same calls, to be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from .answers import Prediction
from .calls import Asked, Calls, Progress
from .policy import Retry
from .steps import Authenticate, Pause, Reply, Request, Session, Steps

T = TypeVar("T")


class AsyncClient:
    """``async with AsyncClient(url, client_id, client_secret) as client: await client.predict("iris", rows)``.

    May be used by many tasks at once; they share connections and one token. ``http`` are options of httpx, such as
    ``verify`` and ``cert``.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        *,
        scope: str = "",
        timeout_seconds: float = 30.0,
        retry: Retry | None = None,
        most_rows: int = 10_000,
        **http: Any,
    ) -> None:
        self._calls = Calls(Session(client_id, client_secret, scope, retry or Retry()), timeout_seconds, most_rows)
        self._http = httpx.AsyncClient(base_url=url, **http)
        self._fetching = asyncio.Lock()

    async def predict(
        self,
        model: str,
        rows: Any,
        *,
        version: str | int | None = None,
        outputs: Sequence[str] = (),
        timeout_seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Prediction:
        """What ``model`` answers to ``rows``, a NumPy array or lists [rows, features], or a pandas DataFrame.

        The columns of a DataFrame go by their names, in any order; those of an array by their place.

        A batch that is larger than the server takes at once is sent in pieces, one after the other; ``progress`` is
        told of each. Raises ClientError.
        """
        return await self._drive(self._calls.predict(Asked(model, rows, version, outputs, timeout_seconds, progress)))

    async def metadata(self, model: str, version: str | int | None = None) -> dict[str, Any]:
        """What ``model`` takes and gives (Open Inference Protocol); raises ClientError."""
        return await self._drive(self._calls.metadata(model, version))

    async def ready(self) -> bool:
        """Whether the server may be sent requests."""
        return await self._drive(self._calls.health("/v2/health/ready"))

    async def live(self) -> bool:
        """Whether the server is there."""
        return await self._drive(self._calls.health("/v2/health/live"))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _drive(self, steps: Steps[T]) -> T:
        try:
            wanted = next(steps)
            while True:
                wanted = steps.send(await self._done(wanted))
        except StopIteration as done:
            result: T = done.value
            return result

    async def _done(self, wanted: Request | Pause | Authenticate) -> Reply | None:
        if isinstance(wanted, Request):
            return await self._send(wanted)
        if isinstance(wanted, Pause):
            await asyncio.sleep(wanted.seconds)
            return None
        session = self._calls.session
        if session.needs_token:
            async with self._fetching:
                if session.needs_token:
                    await self._drive(session.fetch_token(wanted.until))
        return None

    async def _send(self, request: Request) -> Reply:
        try:
            answer = await self._http.request(
                request.method,
                request.path,
                headers=request.headers,
                content=request.body,
                timeout=request.timeout_seconds,
            )
        except httpx.TransportError as error:
            return Reply(0, {}, f"{type(error).__name__}: {error}".encode())
        return Reply(
            answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content
        )
