"""The command line of ``python -m loadtests``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from .handover import CLIENT_ID, CLIENT_SECRET
from .shapes.catalogue import SHAPES
from .thresholds import DEFAULT_FILE

SCENARIOS = {
    "row": "RowCaller",
    "batch": "BatchCaller",
    "heavy": "HeavyCaller",
    "mixed": "MixedCaller",
    "churn": "ChurnCaller",
}


def read_options(arguments: Sequence[str] | None, description: str | None) -> argparse.Namespace:
    """The options; what is left out is as the shape has it. Exits with 2 on bad usage."""
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=description)
    _add_load(parser)
    _add_server(parser)
    _add_processes(parser)
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="where reports go (%(default)s)")
    parser.add_argument("--thresholds", type=Path, default=DEFAULT_FILE, help="thresholds file (%(default)s)")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.shape = "smoke"
    shape = SHAPES[options.shape]
    options.users = options.users or shape.load.users
    options.seconds = options.seconds or shape.load.seconds
    options.spawn_rate = options.spawn_rate or shape.load.spawn_rate
    options.scenario = list(dict.fromkeys(options.scenario or shape.scenarios))
    if options.users < len(options.scenario):
        parser.error(f"--users: {len(options.scenario)} scenarios need at least as many callers")
    named = {CLIENT_ID, CLIENT_SECRET} <= set(os.environ)
    if options.join and not named:
        parser.error(f"--join: set {CLIENT_ID} and {CLIENT_SECRET}")
    # Who only conducts sends nothing: the workers are the ones that need the client.
    if options.host and not options.home and not options.expect_workers and not named:
        parser.error(f"--host: name its --home, or set {CLIENT_ID} and {CLIENT_SECRET}")
    if options.expect_workers and not options.host:
        parser.error("--expect-workers: name the --host, by a URL that the workers' machines know too")
    return options


def _add_load(parser: argparse.ArgumentParser) -> None:
    words = "; ".join(f"{shape.name}: {shape.words}" for shape in SHAPES.values())
    parser.add_argument("--shape", choices=SHAPES, default="plain", help=f"{words} (%(default)s)")
    parser.add_argument("--smoke", action="store_true", help="the same as --shape smoke")
    parser.add_argument(
        "--users", type=_positive, help="callers at once: all of plain, soak, stress; usual of spike; most of steps"
    )
    parser.add_argument("--spawn-rate", type=_positive, help="callers that start each second")
    parser.add_argument(
        "--seconds", type=_positive, help="how long; of steps: each of them; of spike: before and after"
    )
    parser.add_argument(
        "--scenario", action="append", choices=SCENARIOS, help="give it once for each; the shape's by default"
    )
    parser.add_argument(
        "--pace",
        type=_not_negative,
        help="requests a second of one caller, 0 for as many as it gets answers; as the shape and the scenario have it",
    )
    parser.add_argument("--growth", type=_above_one, default=1.5, help="steps: callers by those before (%(default)s)")
    parser.add_argument("--times", type=_positive, default=8, help="spike: callers by the usual ones (%(default)s)")


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="URL of a running server; one is started by default")
    parser.add_argument(
        "--home",
        type=Path,
        help="home to serve, or the home of --host, to register a client in; a temporary one by default",
    )


def _add_processes(parser: argparse.ArgumentParser) -> None:
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--workers", type=_positive, help="processes that send requests, on this machine; one by default")
    ways.add_argument("--expect-workers", type=_positive, metavar="N", help="wait for N workers of other machines")
    parser.add_argument(
        "--bind",
        default="0.0.0.0:5557",
        metavar="ADDRESS:PORT",
        help="where --expect-workers listens (%(default)s)",
    )
    parser.add_argument("--join", metavar="ADDRESS:PORT", help="send requests for the run that listens there")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a whole number above 0 is needed")
    return number


def _not_negative(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("0 or a number above it is needed")
    return number


def _above_one(text: str) -> float:
    number = float(text)
    if not 1 < number < float("inf"):
        raise argparse.ArgumentTypeError("a number above 1 is needed")
    return number
