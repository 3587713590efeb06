"""``python -m loadtests.engines [--seconds 3] [--repeats 5] [--only WORD]``."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

from ..compare.bench import two_cores
from ..compare.generator import require_tools, send
from ..compare.processes import free_ports, running
from .contenders import Contender, contenders

_CONNECTIONS = 16


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests.engines", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="length of one run (default: 3)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each contender, in turn (default: 5)")
    parser.add_argument("--only", default="", help="contenders whose work or name holds this word")
    options = parser.parse_args()
    require_tools()
    chosen = [each for each in contenders() if options.only in f"{each.work}: {each.name}"]
    runs: dict[Contender, list[tuple[float, float]]] = {each: [] for each in chosen}
    with tempfile.TemporaryDirectory(prefix="engines-") as directory:
        for repeat in range(options.repeats):
            for each in chosen:
                place = Path(directory, f"{repeat}-{chosen.index(each)}")
                place.mkdir()
                runs[each].append(_run(each, place, options.seconds))
    print("| work | server | CPU per request | requests/s |\n| --- | --- | --- | --- |")
    for each in chosen:
        cpu, rate = (median(column) for column in zip(*runs[each], strict=True))
        print(f"| {each.work} | {each.name} | {cpu:.0f} µs | {rate:.0f} |")


def _run(contender: Contender, directory: Path, seconds: int) -> tuple[float, float]:
    """CPU microseconds per request, and requests per second, of one run after a second of warming up."""
    server_core, load_core = two_cores()
    port, spare = free_ports(2)
    start = contender.start(directory, port, spare)
    with running(start, port, directory / "log", {server_core}) as server:
        request = contender.ask(directory, port)
        send(request, port, connections=_CONNECTIONS, seconds=1, core=load_core)
        before = server.cpu_seconds()
        load = send(request, port, connections=_CONNECTIONS, seconds=seconds, core=load_core)
        return (server.cpu_seconds() - before) / load.requests * 1e6, load.per_second


if __name__ == "__main__":
    main()
