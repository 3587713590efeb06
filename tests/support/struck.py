"""A server whose stores are struck while callers keep it busy: what became of predictions, and of what must be kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Event, Thread
from typing import Any, NamedTuple

from support.open_loop import OpenLoop
from support.outcome import Outcome
from support.request_bytes import post
from support.server import RunningServer, wait_until

PATH = "/v1/models/tiny/predict"
ROW = {"features": [1, 2]}
PLENTY = {
    "SECURE_ML_API_QUOTAS__FAILED_AUTHENTICATIONS": "1000000/minute",
    "SECURE_ML_API_QUOTAS__TOKEN_ADDRESS": "1000000/minute",
    "SECURE_ML_API_QUOTAS__TOKEN_CLIENT": "1000000/minute",
    "SECURE_ML_API_TELEMETRY__ACCESS_LOG": "false",
}
"""Settings with which only the fault refuses anybody."""

_PROMPT_SECONDS = 0.1
_WRITERS = 4
_WRITE_PAUSE_SECONDS = 0.5


class Blow(NamedTuple):
    """One fault: when it was there, in seconds of the load."""

    begun: float
    ended: float


class Struck:
    """``running``, with a client that has no limit, a token that is good and one that was revoked."""

    def __init__(self, running: RunningServer) -> None:
        self.running = running
        self.client = running.create_client("crowd", "predict:*", rate="1000000/minute")
        self.token, self.revoked = running.token(self.client), running.token(self.client)
        assert self.revoke(self.revoked) == 200

    @contextmanager
    def load(self, rate: float) -> Iterator[OpenLoop]:
        """Predictions at a constant rate for as long as the block takes."""
        request = post(PATH, ROW, self.token)
        with OpenLoop(self.running.port, request, rate=rate, seconds=600) as load:
            try:
                load.wait_for_flow()
                yield load
            finally:
                load.stop()

    def fresh_token(self) -> str:
        """A new token, waited for: a worker that has not used its store since a fault may have to refuse once more."""
        issued: list[str] = []

        def is_issued() -> bool:
            with suppress(AssertionError):
                issued.append(self.running.token(self.client))
            return bool(issued)

        wait_until(is_issued, 30, "a token")
        return issued[0]

    def revoke(self, token: str, timeout: float = 30.0) -> int:
        form = f"token={token}&client_id={self.client.client_id}&client_secret={self.client.client_secret}"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.running.request(
            "POST", "/oauth/revoke", body=form.encode(), headers=headers, timeout=timeout
        ).status

    def is_refused(self, token: str) -> bool:
        """Whether a prediction with ``token`` is answered 401."""
        return self.running.post_json(PATH, ROW, token).status == 401

    def said(self, word: str) -> list[dict[str, Any]]:
        """The log lines whose message holds ``word``."""
        return [line for line in self.running.log_lines() if word in line["message"]]


class Writes:
    """Revocations by a few callers, each of a token of its own, while the ``with`` block runs."""

    def __init__(self, struck: Struck, tokens: int) -> None:
        self.statuses: list[int] = []
        self.acknowledged: list[str] = []
        self.longest_refusal_seconds = 0.0
        self._struck = struck
        self._tokens = [struck.fresh_token() for _ in range(tokens)]
        self._enough = Event()
        self._threads = [Thread(target=self._write) for _ in range(_WRITERS)]

    def __enter__(self) -> Writes:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(60)

    @property
    def refused(self) -> int:
        """How many were answered 503."""
        return self.statuses.count(503)

    def told(self) -> str:
        """What became of them, in words."""
        slowest = f", the slowest of them after {self.longest_refusal_seconds:.1f} s" if self.refused else ""
        kept = f"{len(self.acknowledged)} writes acknowledged, {self.lost()} of these lost"
        return f"{self.refused} writes refused{slowest}; {kept}"

    def succeed(self) -> None:
        """Wait for a write that is acknowledged."""
        before = len(self.acknowledged)
        wait_until(lambda: len(self.acknowledged) > before, 30, "a write that is acknowledged")

    def lost(self) -> int:
        """How many tokens are accepted whose revocation was acknowledged."""
        return sum(not self._struck.is_refused(token) for token in self.acknowledged)

    def _write(self) -> None:
        token = None
        while not self._enough.wait(_WRITE_PAUSE_SECONDS):
            if token is None:
                if not self._tokens:
                    return
                token = self._tokens.pop()
            begun = time.monotonic()
            status = self._struck.revoke(token)
            self.statuses.append(status)
            if status == 200:
                self.acknowledged.append(token)
                token = None
            else:
                self.longest_refusal_seconds = max(self.longest_refusal_seconds, time.monotonic() - begun)


def strike(
    load: OpenLoop,
    fault: Callable[[], AbstractContextManager[object]],
    seconds: float,
    is_felt: Callable[[], object] = lambda: True,
) -> Blow:
    """Let the fault last for ``seconds`` of the load, and on a slow machine until it ``is_felt``."""
    begun = load.now()
    with fault():
        time.sleep(seconds)  # how long it lasts is what is measured over
        wait_until(is_felt, 30, "any effect of the fault")
    return Blow(begun, load.now())


def until_prompt(outcome: Outcome, begun: float) -> float:
    """Seconds from ``begun`` until a request was due that was answered with a prediction within a tenth of a second."""
    prompt = [answer.due_at for answer in outcome.of(200).answers if answer.latency <= _PROMPT_SECONDS]
    after = [due_at for due_at in prompt if due_at >= begun]
    assert after, "no prediction was answered promptly again"
    return min(after) - begun


def last_trouble(outcome: Outcome, begun: float) -> float:
    """Seconds from ``begun`` until the last request was due that was not answered with a prediction; 0 without one."""
    return max((answer.due_at - begun for answer in outcome.answers if answer.status != 200), default=0.0)


def serves(load: OpenLoop) -> bool:
    """Whether all of half a second were answered with predictions just now."""
    recent = load.outcome.between(load.now() - 0.6, load.now() - 0.1)
    return set(recent.statuses()) == {200}


def counted(outcome: Outcome) -> str:
    """Served, refused and lost, and how long the served waited."""
    statuses = outcome.statuses()
    served, lost = statuses.pop(200, 0), statuses.pop(0, 0)
    refused = "".join(f", {number} × {status}" for status, number in sorted(statuses.items()))
    waited = f", p99 {outcome.of(200).latency(99) * 1000:.0f} ms" if served else ""
    return f"{served} served{refused}, {lost} lost{waited}"
