"""How callers of models that stay fare while others come and go."""

from __future__ import annotations

from collections.abc import Callable

from .loaded import Loaded
from .outcome import Outcome
from .server import RunningServer, wait_until
from .under_load import milliseconds

RATE = 100
WORDS = {"tiny": "the quick model", "sleeper": "that of 5 ms"}


class Operator:
    """Who decides about the models of ``running``."""

    def __init__(self, running: RunningServer) -> None:
        self._running = running
        self._token = running.token(running.create_client("operator", "models:admin"))

    def decide(self, action: str, model: str) -> None:
        reply = self._running.post_json(f"/v2/repository/models/{model}/{action}", {}, self._token)
        assert reply.status == 200, reply.body


class OthersMeanwhile:
    """How callers of the quick model and of that of 5 ms fare before something happens, and while it does."""

    def __init__(self, server: Loaded, calm_seconds: float) -> None:
        self._server = server
        self._calm_seconds = calm_seconds
        self.outcome = Outcome([])
        self.seconds = 0.0
        self._before: dict[str, Outcome] = {}
        self._meanwhile: dict[str, Outcome] = {}

    def while_(
        self, happens: Callable[[], object], *, times: int = 1, between: Callable[[], object] = lambda: None
    ) -> None:
        """``happens``, so often; what it takes to let it happen again, ``between``, may slow others."""
        server, pieces = self._server, []
        with server.load_meanwhile(RATE) as load:
            begun = load.now()
            wait_until(lambda: load.now() > begun + self._calm_seconds)
            comes = load.now()
            for time in range(times):
                if time > 0:
                    between()
                pieces.append((load.now(), happens(), load.now()))
        outcome = self.outcome = load.outcome
        meanwhile = [answer for since, _, until in pieces for answer in outcome.between(since, until).answers]
        self.seconds = sum(until - since for since, _, until in pieces)
        self._before = server.by_model(outcome.between(begun, comes), RATE)
        self._meanwhile = server.by_model(Outcome(meanwhile), RATE)

    def p99(self) -> dict[str, tuple[float, float]]:
        """In seconds, before and meanwhile, of each model."""
        return {model: (self._before[model].latency(99), self._meanwhile[model].latency(99)) for model in WORDS}

    def in_words(self) -> str:
        return "; ".join(
            f"p99 of {WORDS[model]} {milliseconds(now)}, before {milliseconds(calm)}"
            for model, (calm, now) in self.p99().items()
        )

    def judge(self, *, full: bool) -> None:
        assert set(self.outcome.statuses()) == {200}
        if full:
            assert all(now <= 2 * calm for calm, now in self.p99().values())
