"""A server of ``hanging`` while callers of other models keep it busy, for tests that do it harm meanwhile."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from support.hanging import SCOPES
from support.open_loop import OpenLoop
from support.outcome import Answer, Outcome
from support.request_bytes import post
from support.server import Reply, RunningServer

HANGING = (sys.executable, "-m", "support.hanging")
QUIETLY = {"SECURE_ML_API_TELEMETRY__ACCESS_LOG": "false"}
# How often a caller comes again: the tests share their machine with others, and may starve the server for a moment.
_PATIENCE = 5
LOAD = "open loop, {rate} requests a second for {seconds} s, half to a quick model and half to one of 5 ms"


class Loaded:
    """``running``, and a client that may ask all its models without a limit."""

    def __init__(self, running: RunningServer) -> None:
        self.running = running
        self.client = running.create_client("crowd", SCOPES, rate="1000000/minute")
        self.token = running.token(self.client)

    def load(self, seconds: float, rate: float) -> OpenLoop:
        """Callers of a quick model and, as many, of one that needs a place to run in."""
        requests = (
            post("/v1/models/tiny/predict", {"features": [1, 2]}, self.token),
            post("/v1/models/sleeper/predict", {"features": [1, 2, 3, 4]}, self.token),
        )
        return OpenLoop(self.running.port, lambda number: requests[number % 2], rate=rate, seconds=seconds)

    @contextmanager
    def load_meanwhile(self, rate: float) -> Iterator[OpenLoop]:
        """The same for as long as the block takes."""
        with self.load(600, rate) as load:
            try:
                load.wait_for_flow()
                yield load
            finally:
                load.stop()

    @staticmethod
    def by_model(outcome: Outcome, rate: float) -> dict[str, Outcome]:
        """Which answers of such a load are from which model."""
        parts: dict[str, list[Answer]] = {"tiny": [], "sleeper": []}
        for answer in outcome.answers:
            parts[("tiny", "sleeper")[round(answer.due_at * rate) % 2]].append(answer)
        return {model: Outcome(answers) for model, answers in parts.items()}

    def ask(self, model: str, *features: float, headers: Mapping[str, str] | None = None) -> Reply:
        """One prediction, by a caller of its own, who comes again when the server says that it is overloaded."""
        return self.timed(model, *features, headers=headers)[0]

    def timed(self, model: str, *features: float, headers: Mapping[str, str] | None = None) -> tuple[Reply, float]:
        """What ``ask`` is answered, and how many seconds that took, without what was asked in vain before."""
        body = post("", {"features": features}, "").partition(b"\r\n\r\n")[2]
        given = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})}
        for _ in range(_PATIENCE):
            begun = time.monotonic()
            reply = self.running.request("POST", f"/v1/models/{model}/predict", body=body, headers=given)
            took = time.monotonic() - begun
            if reply.status != 503:
                break
            time.sleep(int(reply.headers["retry-after"]))
        return reply, took

    def said(self, word: str) -> list[dict[str, Any]]:
        """The log lines whose message holds ``word``."""
        return [line for line in self.running.log_lines() if word in line["message"]]


def in_words(outcome: Outcome) -> str:
    """How many answers of which kind, and how long they took."""
    answers = ", ".join(f"{number} × {status or 'lost'}" for status, number in sorted(outcome.statuses().items()))
    return f"{answers}, p99 {outcome.latency(99) * 1000:.0f} ms, longest {outcome.latency(100):.2f} s"


def owners(port: int, pids: set[int]) -> dict[int, int]:
    """Client port → process of ``pids`` that holds the server's end of that connection to ``port``."""
    inodes: dict[str, int] = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port and fields[9] != "0":
            inodes[fields[9]] = int(fields[2].rpartition(":")[2], 16)
    return {
        inodes[match[1]]: pid
        for pid in pids
        for link in _descriptors(pid)
        if (match := re.fullmatch(r"socket:\[(\d+)\]", link)) is not None and match[1] in inodes
    }


def _descriptors(pid: int) -> list[str]:
    """What the descriptors of a process refer to, as far as they are still open."""
    found = []
    with suppress(FileNotFoundError):
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                found.append(str(path.readlink()))
    return found
