"""What every simulated caller shares: a token that is fetched once and renewed in time, and answers that are checked.

Imports locust, which patches the standard library for gevent: only locust's own process imports this file.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

import gevent  # type: ignore[import-untyped]
from gevent.lock import Semaphore  # type: ignore[import-untyped]
from locust import FastHttpUser, constant_throughput
from locust.contrib.fasthttp import ResponseContextManager
from locust.exception import StopUser

from .handover import CLIENT_ID, CLIENT_SECRET
from .shapes.catalogue import SHAPES

# Renewed when this share of its life is over, so that no request carries a token that ends on the way.
_RENEW_AFTER = 0.8
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Token:
    """An access token that is fetched when it is first needed, and renewed in time."""

    def __init__(self) -> None:
        self._text = ""
        self._renew_at = 0.0
        self._fetching = Semaphore()

    def text(self, fetch: Callable[[], tuple[str, int]]) -> str:
        """The token; ``fetch`` gets a new one and its life in seconds, for one caller at a time."""
        if time.monotonic() >= self._renew_at:
            with self._fetching:
                if time.monotonic() >= self._renew_at:
                    self._text, lifetime_seconds = fetch()
                    self._renew_at = time.monotonic() + _RENEW_AFTER * lifetime_seconds
        return self._text


_OF_THIS_PROCESS = Token()


class Caller(FastHttpUser):
    """A client application with one connection. ``scenario`` begins the names of its requests.

    ``pace``: how many times a second it does its work; the command line or the shape may say otherwise.
    """

    abstract = True
    scenario = ""
    pace = 1.0
    connection_timeout = 10.0
    network_timeout = 30.0

    def on_start(self) -> None:
        options = self.environment.parsed_options
        assert options is not None
        shape = SHAPES[options.shape]
        self.random = random.Random()
        self._token = _OF_THIS_PROCESS if shape.one_token else Token()
        asked = options.pace if options.pace >= 0 else (self.pace if shape.paced else 0)
        self._wait = constant_throughput(asked) if asked else None

    def wait_time(self) -> float:
        """Seconds until its next turn; none for a caller that asks again as soon as it has its answer."""
        return float(self._wait(self)) if self._wait else 0.0

    def predict(self, what: str, path: str, body: dict[str, Any], answers: str, count: int | None = None) -> None:
        """POST ``body``; the answer has to be 200 and carry ``answers``, of ``count`` elements when that is given."""
        with self.rest(
            "POST", path, json=body, headers=bearer(self.token()), name=f"{self.scenario} {what}"
        ) as response:
            if response.status_code != 200 or not isinstance(response.js, dict):
                fail(response, f"status {response.status_code}")
            elif answers not in response.js:
                fail(response, f"no {answers} in the answer")
            elif count is not None and len(response.js[answers]) != count:
                fail(response, f"{len(response.js[answers])} {answers} for {count} rows")

    def token(self) -> str:
        """A token with life left in it, as ``fetch_token``."""
        return self._token.text(lambda: self.fetch_token("tokens fetch"))

    def fetch_token(self, name: str) -> tuple[str, int]:
        """A new token and its life in seconds, each try counted under ``name``.

        One who is told when to come back does so; any other refusal stops this caller.
        """
        form = {"grant_type": "client_credentials", **credentials()}
        while True:
            with self.client.post("/oauth/token", data=form, headers=_FORM, name=name, catch_response=True) as response:
                if response.status_code == 200:
                    answer = response.json()
                    return str(answer["access_token"]), int(answer["expires_in"])
                fail(response, f"status {response.status_code}")
                seconds = retry_after_seconds(response)
            if seconds is None:
                raise StopUser
            gevent.sleep(seconds)


def credentials() -> dict[str, str]:
    """The client's credentials as form fields, handed over in the environment and never on a command line."""
    return {"client_id": os.environ[CLIENT_ID], "client_secret": os.environ[CLIENT_SECRET]}


def fail(response: ResponseContextManager, why: str) -> None:
    """Count ``response`` as failed; the words name no particulars, so that like failures are counted together."""
    response.failure(why)  # type: ignore[no-untyped-call]


def retry_after_seconds(response: ResponseContextManager) -> int | None:
    """When a caller who was refused for now may come back; None when nobody said so."""
    headers: Any = response.headers  # None where there was no answer
    told = str(headers.get("Retry-After", "")) if headers else ""
    return int(told) if response.status_code in (429, 503) and told.isascii() and told.isdigit() else None


def bearer(token: str) -> dict[str, str]:
    """The header that carries ``token``."""
    return {"Authorization": f"Bearer {token}"}
