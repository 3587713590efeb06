"""``python -m fuzz [TARGET …] [--seconds 60]``: fuzz the targets, all of them by default, for so long together."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fuzz.targets import TARGETS

_HERE = Path(__file__).parent
_WORK = _HERE.parents[1] / ".fuzz"
_START_SECONDS = 120
_STATISTICS = re.compile(rb"stat::number_of_executed_units: *(\d+)")
_COVERAGE = re.compile(rb"cov: (\d+)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together (60)")
    options = parser.parse_args()
    targets = options.targets or list(TARGETS)
    at_once = min(len(targets), os.cpu_count() or 1)
    seconds = max(1, options.seconds * at_once // len(targets))
    with ThreadPoolExecutor(at_once) as pool:
        verdicts = list(pool.map(lambda target: fuzz(target, seconds), targets))
    return 0 if all(verdicts) else 1


def fuzz(target: str, seconds: int) -> bool:
    """Whether ``target`` kept its promises for so long; says what it did, and where what broke it lies."""
    grown, found, log = _WORK / "corpus" / target, _WORK / "findings" / target, _WORK / f"{target}.log"
    for directory in (grown, found):
        directory.mkdir(parents=True, exist_ok=True)
    seeds = [str(path) for path in (_HERE / "corpus" / target, _HERE / "findings" / target) if path.is_dir()]
    words = _HERE / "words" / f"{target}.txt"
    command = [sys.executable, "-m", "fuzz.one", target, str(grown), *seeds]
    command += [f"-max_total_time={seconds}", f"-artifact_prefix={found}/", "-print_final_stats=1", "-max_len=4096"]
    command += ["-timeout=10", "-rss_limit_mb=4096", *([f"-dict={words}"] if words.exists() else [])]
    with log.open("wb") as output:
        done = subprocess.run(
            command, cwd=_HERE.parent, stdout=output, stderr=output, check=False, timeout=seconds + _START_SECONDS
        )
    said = log.read_bytes()
    runs, edges = _STATISTICS.search(said), _COVERAGE.findall(said)
    counted = f"{int(runs[1]) if runs else 0:>9} runs in {seconds} s, {int(edges[-1]) if edges else 0} edges"
    sys.stdout.write(f"{target:12}{counted}\n")
    if done.returncode:
        kept = _HERE / "findings" / target
        sys.stdout.write(
            f"{target} broke a promise. {log} tells it; once it is mended, move what is in {found} to {kept}\n"
        )
    return not done.returncode


if __name__ == "__main__":
    sys.exit(main())
