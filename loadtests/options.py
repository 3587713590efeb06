"""What locust's own command line is asked beyond its own options; a master hands these on to its workers."""

from __future__ import annotations

from argparse import ArgumentParser

from .shapes.catalogue import SHAPES
from .thresholds import DEFAULT_FILE


def add_locust_arguments(parser: ArgumentParser) -> None:
    """Add the options that ``python -m loadtests`` passes on. All values are texts and numbers: they travel."""
    group = parser.add_argument_group("Load test options")
    group.add_argument("--shape", choices=sorted(SHAPES), default="plain", help="see loadtests/README.md")
    group.add_argument("--most-users", type=int, default=None, help="callers, as the shape understands them")
    group.add_argument("--stage-seconds", type=int, default=None, help="seconds, as the shape understands them")
    group.add_argument("--start-rate", type=int, default=None, help="callers that start each second")
    group.add_argument("--growth", type=float, default=1.5, help="steps: callers of a step by those of the one before")
    group.add_argument("--times", type=int, default=8, help="spike: callers by the usual ones")
    group.add_argument("--pace", type=float, default=-1.0, help="requests a second of a caller; 0 for no pause at all")
    group.add_argument("--thresholds", default=str(DEFAULT_FILE), help="thresholds file")
    group.add_argument("--report", default="", help="folder for the report; none is written by default")
    group.add_argument("--server-pid", type=int, default=0, help="process whose memory and CPU are followed")
