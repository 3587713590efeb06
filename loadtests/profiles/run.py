"""One run over all profiles, and the document."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from ..compare.generator import require_tools
from ..compare.trouble import CompareError, Unfit
from ..server import LoadtestError, prepare, registered_client
from .document import table, with_figures
from .measure import DEFAULT, Bench, Sample, fetch_token, middle, sample, serving
from .works import WORKS, Work

_ROOT = Path(__file__).resolve().parents[2]
PROFILES = {path.stem: path for path in sorted((_ROOT / "deploy" / "gunicorn").glob("*.toml"))}
DOCUMENT = _ROOT / "docs" / "tuning.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 1 when a server did not start or answered with an error."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every server is stopped
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {line}", flush=True)

    try:
        require_tools()
        with tempfile.TemporaryDirectory(prefix="profiles-") as directory:
            cores = sorted(os.sched_getaffinity(0))
            bench = Bench(frozenset(cores), cores[0], options.seconds, options.repeats, Path(directory), say)
            home = options.home or _new_home(bench)
            figures = _measure(bench, home)
    except (CompareError, LoadtestError, Unfit, OSError) as error:
        print(f"profiles: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    text = "\n\n".join([_about(options, len(cores)), *(table(work, found) for work, found in figures.items())])
    print(f"\n{text}")
    if not options.dry:
        DOCUMENT.write_text(with_figures(DOCUMENT.read_text("utf-8"), text), "utf-8")
        print(f"\nwritten: {DOCUMENT}")
    return 0


def _new_home(bench: Bench) -> Path:
    bench.say("training the example models")
    home = bench.directory / "home"
    prepare(home)
    return home


def _measure(bench: Bench, home: Path) -> dict[Work, dict[str, Sample]]:
    """The medians of each work and profile; every server stands by while the others are asked."""
    found: dict[Work, dict[str, list[Sample]]] = {work: {} for work in WORKS}
    with ExitStack() as stack:
        client = stack.enter_context(registered_client(home))
        servers = {}
        for name, profile in {DEFAULT: None, **PROFILES}.items():
            bench.say(f"starting {name}")
            server = stack.enter_context(serving(bench, home, name, profile))
            servers[name] = (server, fetch_token(server.port, *client))
        for work in WORKS:
            for repeat in range(bench.repeats):
                for name, (server, token) in servers.items():
                    seen = sample(bench, server, token, work)
                    found[work].setdefault(name, []).append(seen)
                    bench.say(
                        f"{work.key} {repeat + 1}: {name}: {seen.per_second:.0f} a second, p99 {seen.p99_ms:.1f} ms"
                    )
    return {work: {name: middle(samples) for name, samples in each.items()} for work, each in found.items()}


def _about(options: argparse.Namespace, cores: int) -> str:
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores that servers and wrk share, Linux {platform.release()}, Python "
        f"{platform.python_version()}; {options.repeats} runs of {options.seconds} s of each, in turns, medians."
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.profiles", description=main.__doc__)
    parser.add_argument("--seconds", type=int, default=6, help="length of a run (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each profile and work (%(default)s)")
    parser.add_argument("--home", type=Path, help="home with the example models, which is copied; a new one by default")
    parser.add_argument("--dry", action="store_true", help="leave docs/tuning.md as it is")
    options = parser.parse_args(arguments)
    if options.seconds < 1 or options.repeats < 1:
        parser.error("--seconds and --repeats are whole numbers above 0")
    return options
