"""The wall clock is set an hour forward, and back: deadlines and quotas do not notice, tokens live by it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path

from support.fault_table import Figures
from support.hanging import for_ever
from support.loaded import HANGING, QUIETLY, Loaded, in_words
from support.moved_clock import MovedClock
from support.open_loop import OpenLoop
from support.outcome import Outcome
from support.request_bytes import post
from support.server import ClientSecret, RunningServer, wait_until

RATE = 60
HOUR = 3600
QUOTA = 3
DEADLINE_SECONDS, PROMPTLY = 1.5, 0.25


class ClockServer(Loaded):
    """A server with a clock that can be set, callers whose token is renewed, and one who has used up a quota."""

    def __init__(self, running: RunningServer, clock: MovedClock) -> None:
        super().__init__(running)
        self.clock = clock
        self._poor = running.create_client("poor", "predict:tiny", rate=f"{QUOTA}/hour")
        self.poor_token = running.token(self._poor)
        self.blind: list[tuple[float, float]] = []

    def load(self, seconds: float, rate: float) -> OpenLoop:
        return OpenLoop(
            self.running.port,
            lambda _: post("/v1/models/tiny/predict", {"features": [1, 2]}, self.token),
            rate=rate,
            seconds=seconds,
        )

    def jump(self, seconds: int, load: OpenLoop) -> None:
        """Set the clock; until callers have new tokens, nothing is asked of their answers."""
        jumped_at = load.now()
        self.clock.move(seconds)
        assert abs(self.ahead() - seconds) < 60, "the server does not live by the clock that was set"
        if seconds > 0:
            assert self.ask("tiny", 1, 2).status == 401, "a token that has ended"
        self.token, self.poor_token = self.new_token(self.client), self.new_token(self._poor)
        self.blind.append((jumped_at - 0.1, load.now() + 0.1))

    def new_token(self, client: ClientSecret) -> str:
        """One from the server, in spite of the load."""
        for _ in range(5):
            with suppress(AssertionError):
                return self.running.token(client)
            time.sleep(1)
        return self.running.token(client)

    def ahead(self) -> float:
        """By how many seconds the server's clock is ahead of the true one, as it says in ``Date``."""
        said = parsedate_to_datetime(self.running.get("/v2/health/live").headers["date"])
        return said.timestamp() - time.time()

    def has_in_flight(self, number: int) -> bool:
        return self.running.metric("secure_ml_api_in_flight") >= number

    def waits_for_quota(self) -> int:
        """For how long the client is told to wait whose quota is used up; 0 when it is not."""
        reply = self.running.post_json("/v1/models/tiny/predict", {"features": [1, 2]}, self.poor_token)
        return int(reply.headers["retry-after"]) if reply.status == 429 else 0

    def seen(self, outcome: Outcome) -> Outcome:
        return Outcome(
            [
                answer
                for answer in outcome.answers
                if not any(begin <= answer.due_at <= end or begin <= answer.sent_at <= end for begin, end in self.blind)
            ]
        )


def test_setting_the_clock_by_an_hour_moves_no_deadline_and_no_quota(
    tmp_path: Path, worker_class: str, figures: Figures, full: bool
) -> None:
    times, clock = (10 if full else 1), MovedClock(tmp_path)
    environ = {
        **QUIETLY,
        **clock.environ,
        "SECURE_ML_API_INFERENCE__MAX_CONCURRENT_RUNS": "4",
        "SECURE_ML_API_QUOTAS__FAILED_AUTHENTICATIONS": "1000000/minute",  # the load has old tokens for a moment
    }
    with RunningServer(tmp_path / "home", "--workers", "1", command=HANGING, environ=environ) as running:
        server = ClockServer(running, clock)
        assert [server.waits_for_quota() for _ in range(QUOTA)] == [0] * QUOTA
        waits = [server.waits_for_quota()]
        hung_for: list[float] = []
        finished: list[int] = []

        def hang() -> int:
            begun = time.monotonic()
            reply = server.ask(
                "slow-stuck", *for_ever("slow-stuck"), headers={"Request-Timeout": str(DEADLINE_SECONDS)}
            )
            hung_for.append(time.monotonic() - begun)
            return reply.status

        with server.load_meanwhile(RATE) as load, ThreadPoolExecutor(2) as callers:
            for number in range(times):
                for seconds in (HOUR, 0):
                    finishes = callers.submit(server.ask, "slow-stuck", 1.2)
                    # Each of these goes on for ever, and keeps a place of a run that nobody waits for.
                    hangs = callers.submit(hang) if number == 0 else None
                    in_flight = 1 if hangs is None else 2
                    wait_until(partial(server.has_in_flight, in_flight), what="the calls")
                    server.jump(seconds, load)
                    finished.append(finishes.result().status)
                    if hangs is not None:
                        assert hangs.result() == 504
                    waits.append(server.waits_for_quota())
            took = round(load.now())
        outcome = server.seen(load.outcome)
        figures.add(
            f"clock set an hour forward and back, ×{times} ({worker_class})",
            f"open loop, {RATE} requests a second for {took} s to a quick model",
            f"{in_words(outcome)}; deadlines of {DEADLINE_SECONDS} s: 504 after {max(hung_for):.2f} s at most; "
            f"requests in flight: {finished.count(200)} of {len(finished)} answered; "
            f"a used-up quota says wait {waits[0]} s before, {waits[-1]} s after; "
            "tokens that had ended refused, new ones taken at once",
            must_hold=f"504 at most {PROMPTLY:g} s after the deadline; quotas and requests in flight do not notice",
        )
        assert set(outcome.statuses()) == {200}
        assert set(finished) == {200}
        # What the load was late by, for the same machine, an answer may be late by too.
        latest = DEADLINE_SECONDS + PROMPTLY + load.outcome.lateness(100) if full else 5
        assert all(DEADLINE_SECONDS <= seconds < latest for seconds in hung_for)
        assert waits == sorted(waits, reverse=True)
        assert HOUR - 120 < waits[-1] <= HOUR
