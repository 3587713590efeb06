"""``python -m support.standin``: a tiny application behind the real server.

It can be told to take its time, to fail, to fail to start, to be forked slowly (STAND_IN_FORKS_SECONDS, for all workers
but the first) and to begin slowly (an audience "begins-for-SECONDS"), which the real one cannot. Some of its routes may
be answered in place (``takes_in_place``). It answers as plain text:

    /v2/health/ready   200, or 503 once the server stops
    /sleep/SECONDS     200 after a while
    /echo              the body
    /many/NUMBER       that many words
    /boom              raises
    /print, /warn      print to stderr, warn
    /version           the ``tokens.audience`` setting, which a reload can change
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from secure_ml_api.server import hooks
from secure_ml_api.server.application import serve
from secure_ml_api.server.program import Program
from secure_ml_api.settings import Settings, read_settings
from secure_ml_api.telemetry.metrics import Metrics

_BEGINS_FOR = "begins-for-"


class StandIn:
    def __init__(self, settings: Settings) -> None:
        if settings.tokens.audience == "refuse-to-build":
            raise RuntimeError("told not to be built")
        self.settings = settings
        self.metrics = Metrics()
        self.metrics.model_loaded("iris", settings.tokens.audience, "onnx", "sha256:0")
        self.drains = False

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        begun = time.monotonic()
        self.metrics.in_flight_changed(1)
        try:
            status, route, body = self.answer(environ)
        finally:
            self.metrics.in_flight_changed(-1)
        start_response(f"{status} Whatever", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        self.metrics.request_answered(route, environ["REQUEST_METHOD"], status, time.monotonic() - begun)
        return [body]

    def answer(self, environ: dict[str, Any]) -> tuple[int, str, bytes]:
        route, _, argument = environ["PATH_INFO"][1:].partition("/")
        if route == "v2":
            return (503 if self.drains else 200), "ready", b"ready"
        if route == "sleep":
            time.sleep(float(argument))
            return 200, "sleep", b"slept"
        if route == "echo":
            return 200, "echo", environ["wsgi.input"].read()
        if route == "many":
            return 200, "many", b"many " * int(argument)
        if route == "boom":
            raise RuntimeError("an error that quotes Bearer abcdefghijklmnop")
        if route == "print":
            sys.stderr.write("printed by the application\n")
            return 200, "print", b"printed"
        if route == "warn":
            warnings.warn("an old way", DeprecationWarning, stacklevel=1)
            return 200, "warn", b"warned"
        if route == "version":
            return 200, "version", self.settings.tokens.audience.encode()
        return 404, "other", b"no such thing"


def start_worker(app: StandIn, slot: int) -> None:
    audience = app.settings.tokens.audience
    if audience == "refuse-to-start":
        raise RuntimeError("told not to start")
    if audience.startswith(_BEGINS_FOR):
        time.sleep(float(audience.removeprefix(_BEGINS_FOR)))
    app.metrics.mend()


def begin_drain(app: StandIn) -> None:
    app.drains = True


def leave(app: StandIn, seconds: float) -> None:
    logging.getLogger(__name__).info("in %s seconds nothing that is sent then reaches this worker", seconds)


def takes_in_place(app: StandIn, method: str, path: str, body_bytes: int) -> bool:
    return path.startswith(("/echo", "/version", "/boom", "/many"))


def exposition(app: StandIn) -> tuple[bytes, str]:
    return app.metrics.exposition()


def slow_fork(post_fork: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """``post_fork``, after a while in every worker but the first: what is between a fork and the worker's handlers."""

    def slowly(server: Any, worker: Any) -> None:
        if worker.slot > 0:
            time.sleep(float(os.environ.get("STAND_IN_FORKS_SECONDS", "0")))
        post_fork(server, worker)

    return slowly


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    for option in ("port", "metrics_port", "workers", "threads"):
        parser.add_argument(f"--{option.replace('_', '-')}", type=int)
    options = {key: value for key, value in vars(parser.parse_args()).items() if value is not None}
    home = options.pop("home")
    hooks.post_fork = slow_fork(hooks.post_fork)  # type: ignore[assignment]
    program = Program(
        StandIn,
        start_worker,
        begin_drain,
        lambda app: None,
        lambda app, slot: None,
        exposition,
        takes_in_place,
        leave=leave,
    )
    serve(partial(read_settings, home, server=options), lambda settings: None, program)


if __name__ == "__main__":
    main()
