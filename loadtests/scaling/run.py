"""One run over all groups of servers, and the document."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ..compare.generator import require_tools
from ..compare.trouble import CompareError, Unfit
from ..profiles.document import with_figures
from ..profiles.measure import Bench
from ..server import LoadtestError, prepare
from .document import BEGIN, carried, table
from .measure import WORK, Sample, middle, sample, serving

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 1 when something did not start or one answer was an error."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is stopped
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {line}", flush=True)

    cores = sorted(os.sched_getaffinity(0))
    try:
        require_tools()
        with tempfile.TemporaryDirectory(prefix="scaling-") as directory:
            bench = Bench(frozenset(cores), cores[0], options.seconds, options.repeats, Path(directory), say)
            found = _measure(bench, options.home)
    except (CompareError, LoadtestError, Unfit, OSError) as error:
        print(f"scaling: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    text = f"{_about(options, len(cores))}\n\n{table(found)}\n\n{carried(found)}"
    print(f"\n{text}")
    if not options.dry:
        DOCUMENT.write_text(with_figures(DOCUMENT.read_text("utf-8"), text, BEGIN), "utf-8")
        print(f"\nwritten: {DOCUMENT}")
    return 0


def _measure(bench: Bench, home: Path | None) -> dict[str, Sample]:
    """The medians of each group; all servers stand by while some are asked."""
    own = bench.directory / "home"
    if home is None:
        bench.say("training the example models")
        prepare(own)
    else:
        shutil.copytree(home, own, ignore=shutil.ignore_patterns("run"))
    bench.say("starting servers, Redis, PostgreSQL and nginx")
    found: dict[str, list[Sample]] = {}
    with serving(bench, own) as groups:
        for repeat in range(bench.repeats):
            for name, group in groups.items():
                seen = sample(bench, group)
                found.setdefault(name, []).append(seen)
                parts = ", ".join(f"{part} {cpu:.0f} µs" for part, cpu in seen.cpu_us.items())
                bench.say(f"{repeat + 1}: servers: {name}: {seen.per_second:.0f} a second; {parts}")
    return {name: middle(samples) for name, samples in found.items()}


def _about(options: argparse.Namespace, cores: int) -> str:
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores that everything shares, wrk too; Linux {platform.release()}, "
        f"Python {platform.python_version()}; {WORK.title} for each server, over TLS; one worker a server; "
        f"{options.repeats} runs of {options.seconds} s of each, in turns, medians."
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.scaling", description=main.__doc__)
    parser.add_argument("--seconds", type=int, default=6, help="length of a run (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each group of servers (%(default)s)")
    parser.add_argument("--home", type=Path, help="home with the example models, which is copied; a new one by default")
    parser.add_argument("--dry", action="store_true", help="leave docs/scaling.md as it is")
    options = parser.parse_args(arguments)
    if options.seconds < 1 or options.repeats < 1:
        parser.error("--seconds and --repeats are whole numbers above 0")
    return options
