"""One run of the comparison: environments, models, workloads, report."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .bench import Bench, two_cores
from .environments import prepare
from .generator import require_tools
from .measure import measure
from .models import make
from .report import Report, about, write
from .results import Outcome
from .table import text_table
from .trouble import CompareError
from .workloads import WORKLOADS, Workload

_ROOT = Path(__file__).resolve().parents[2]
# The programs of an environment name its interpreter by its full path.
_CACHE = (_ROOT / ".compare").resolve()
_DOCUMENTS = _ROOT / "docs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 1 when a server failed, when the run could not be made, or with --strict for a missed target."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every server is stopped
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {line}", flush=True)

    try:
        require_tools()
        workloads = [workload for workload in WORKLOADS if workload.key in options.only]
        bench = _bench(options, workloads, say)
        outcomes = [_measured(workload, bench) for workload in workloads]
    except CompareError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    report = Report(tuple(outcomes), about(bench, _command(arguments), workloads))
    directory = _DOCUMENTS if len(workloads) == len(WORKLOADS) and not options.quick else _CACHE
    write(report, directory)
    print("\n\n".join(map(text_table, outcomes)))
    print(f"\nwritten: {directory / 'comparison.md'}, {directory / 'comparison.svg'}")
    return _exit_code(outcomes, strict=options.strict)


def _bench(options: argparse.Namespace, workloads: Sequence[Workload], say: object) -> Bench:
    server_core, generator_core = two_cores()
    logs = _CACHE / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    names = {contender.server for workload in workloads for contender in workload.contenders}
    pythons = {name: prepare(name, _CACHE, say) for name in sorted(names - {"ours"})}  # type: ignore[arg-type]
    return Bench(
        server_core=server_core,
        generator_core=generator_core,
        seconds=options.seconds,
        warm_up_seconds=1 if options.quick else 2,
        repeats=options.repeats,
        pythons={**pythons, "ours": Path(sys.executable)},
        logs=logs,
        say=say,  # type: ignore[arg-type]
    )


def _measured(workload: Workload, bench: Bench) -> Outcome:
    outcome = measure(workload, bench, make(workload.model, _CACHE, bench.say))
    print(f"\n{text_table(outcome)}\n", flush=True)
    return outcome


def _exit_code(outcomes: Sequence[Outcome], *, strict: bool) -> int:
    failed = [result for outcome in outcomes for result in outcome.results if result.trouble]
    missed = [verdict for outcome in outcomes for verdict in outcome.verdicts() if not verdict.met]
    return 1 if failed or (strict and missed) else 0


def _command(arguments: Sequence[str] | None) -> str:
    given = sys.argv[1:] if arguments is None else arguments
    return " ".join(["make compare", f'COMPARE="{" ".join(given)}"' if given else ""]).strip()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    keys = [workload.key for workload in WORKLOADS]
    parser = argparse.ArgumentParser(prog="python -m loadtests.compare", description=main.__doc__)
    parser.add_argument("--only", action="append", choices=keys, help="a workload, once for each; all by default")
    parser.add_argument("--seconds", type=int, help="length of a timed run (6; 2 with --quick)")
    parser.add_argument("--repeats", type=int, help="timed runs of each contender (5; 2 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a few minutes, for a first look; docs/ stays as it is")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    options = parser.parse_args(arguments)
    # Packing 200 MB takes longer than everything else that a quick look is for.
    options.only = options.only or [key for key in keys if not (options.quick and key == "memory")]
    options.seconds = options.seconds or (2 if options.quick else 6)
    options.repeats = options.repeats or (2 if options.quick else 5)
    if options.seconds < 1 or options.repeats < 1:
        parser.error("--seconds and --repeats are whole numbers above 0")
    return options
