"""This server with one more runtime, the one that sleeps; everything around it, batching too, is as it is installed."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

from secure_ml_api.app import create_app
from secure_ml_api.models.model import RUNTIMES
from secure_ml_api.server.application import serve
from secure_ml_api.server.program import standard_program
from secure_ml_api.settings import read_settings

from .slow import SleepingRuntime


def main() -> None:
    """``serve --home HOME --port P --metrics-port M --workers N``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--home", type=Path, required=True)
    for option in ("--port", "--metrics-port", "--workers"):
        parser.add_argument(option, type=int, required=True)
    options = parser.parse_args()
    server = {"port": options.port, "metrics_port": options.metrics_port, "workers": options.workers}
    create = partial(create_app, runtimes=(*RUNTIMES, SleepingRuntime()))
    serve(
        partial(read_settings, options.home, server=server),
        lambda _: None,
        replace(standard_program(), create=create),
    )


if __name__ == "__main__":
    main()
