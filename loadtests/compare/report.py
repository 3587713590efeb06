"""The report: ``comparison.md`` with every figure, the machine and the versions, and ``comparison.svg`` beside it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .bench import Bench
from .environments import versions
from .plot import plot
from .results import OTHERS, Outcome
from .servers.registry import SERVERS
from .table import header, lines, verdict_line
from .workloads import Workload


@dataclass(frozen=True, slots=True)
class About:
    """The circumstances of a run."""

    date: str
    command: str
    machine: str
    lengths: str
    versions: dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a run found."""

    outcomes: tuple[Outcome, ...]
    about: About


def about(bench: Bench, command: str, workloads: Sequence[Workload]) -> About:
    """When, where and with what the run was made."""
    names = sorted({contender.server for workload in workloads for contender in workload.contenders})
    packages = {SERVERS[name].title: versions(bench.pythons[name], SERVERS[name].packages) for name in names}
    return About(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=command,
        machine=f"{_processor()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {sys.version.split()[0]}",
        lengths=f"{bench.repeats} runs of {bench.seconds} s for each server, in turns, medians",
        versions=packages,
    )


def write(report: Report, directory: Path) -> None:
    """Write both files into ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "comparison.md").write_text(markdown(report), "utf-8")
    (directory / "comparison.svg").write_text(plot(report.outcomes), "utf-8")


def markdown(report: Report) -> str:
    """The whole document."""
    facts = report.about
    parts = [_PREAMBLE.format(command=facts.command), *_summary(report.outcomes), "![CPU and rates](comparison.svg)"]
    for outcome in report.outcomes:
        rows = [header(outcome), ["---", *["---:"] * (len(header(outcome)) - 1)], *lines(outcome)]
        table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
        verdicts = "\n".join(f"- {verdict_line(verdict)}" for verdict in outcome.verdicts())
        parts += [f"## {outcome.workload.title}", table, verdicts]
    parts += ["## The run", _circumstances(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


_PREAMBLE = """# Beside other servers

Made by `{command}`, which anyone with two cores can repeat: it installs the other servers, gives all of them the same
models, checks that all answer the same, and measures them in turns. Absolute figures drift with the machine; the ratios
hold. How each server is set up is written at the top of its folder in `loadtests/compare/servers/`; none of the others
has authentication, quotas or validation beyond types, except the conventional Flask stack, which has the first two."""


_METHOD = (
    "CPU is user and system time of the server's whole process tree divided by answers. A single answer that is an"
    " error, or that differs from the trained model's when it is checked before and after each run, takes the server"
    " out of the work."
)


def _summary(outcomes: Sequence[Outcome]) -> list[str]:
    rows = ["| work | target | reached | |", "| --- | --- | ---: | --- |"]
    for outcome in outcomes:
        for verdict in outcome.verdicts():
            reached = "–" if verdict.reached is None else f"{verdict.reached:.3g}"
            met = "met" if verdict.met else "**missed**"
            rows.append(f"| {outcome.workload.key} | {verdict.target.words} | {reached} | {met} |")
    return ["\n".join(rows)]


def _circumstances(report: Report) -> str:
    facts = report.about
    worst = max((result.worst(OTHERS) for outcome in report.outcomes for result in outcome.results), default=0.0)
    items = [
        f"{facts.date}: {facts.machine}.",
        f"{facts.lengths}; server on one core, wrk on another; memory and time to ready on both cores.",
        f"Anything but the measured server used at most {worst:.0%} of its core during a run.",
        _METHOD,
        *(
            f"{title}: {', '.join(f'{n} {v}' for n, v in packages.items())}."
            for title, packages in facts.versions.items()
        ),
    ]
    return "\n".join(f"- {item}" for item in items)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
