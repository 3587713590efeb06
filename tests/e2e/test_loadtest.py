"""The load test itself, for a few seconds against a server of its own."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from conftest import copied
from loadtests.record import Record
from support.server import command_line, wait_until

# A busy machine may be slow here: these bounds say that it works, and the shipped ones how well it has to.
_LENIENT = "[shapes.smoke.phases.load]\nerror_rate = 0\nrefusal_rate = 0\np95_ms = 20000\n"
_SECONDS = 5


@pytest.fixture(scope="module")
def home(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the example models, which several runs may use one after the other."""
    return copied(prepared_home, tmp_path_factory.mktemp("loadtest"))


def test_a_smoke_of_two_workers_is_answered_without_an_error_and_reported(home: Path, tmp_path: Path) -> None:
    for times in (1, 2, 4):  # a busy machine may not get round to every request of every caller
        finished = _loadtest(home, tmp_path, _LENIENT, "--smoke", "--workers", "2", seconds=times * _SECONDS)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        record = Record.read(tmp_path / "reports" / "loadtest.json")
        sent = {figures.name: figures for figures in record.requests}
        if "churn refused" in sent:
            break
    assert "all thresholds hold" in finished.stdout
    assert " load  8 callers  " in finished.stdout, "no progress was told"
    assert {name.partition(" ")[0] for name in sent} == {"tokens", "row", "batch", "mixed", "churn"}
    assert all(figures.answered == figures.requests > 0 for figures in sent.values())
    assert record.facts["load generator"] == "2 worker processes"
    rows = _rows(tmp_path / "reports" / "loadtest_stats.csv")
    counted = {row["Name"]: int(row["Request Count"]) for row in rows}
    assert {name: figures.requests for name, figures in sent.items()}.items() <= counted.items(), (
        "counts of the workers"
    )
    assert "All thresholds hold" in (tmp_path / "reports" / "loadtest.html").read_text("utf-8")
    assert ET.parse(tmp_path / "reports" / "loadtest-time.svg").getroot().tag.endswith("svg")
    assert command_line(home, "clients", "list") == [], "the client of the run is still registered"


def test_steps_end_by_themselves_and_a_broken_threshold_fails_the_run(home: Path, tmp_path: Path) -> None:
    bounds = "[shapes.steps.stop]\np95_ms = 0\n[shapes.steps.phases.knee]\np95_ms = 0\n"
    finished = _loadtest(home, tmp_path, bounds, "--shape", "steps", "--users", "64", seconds=4)
    assert finished.returncode == 1, finished.stdout + finished.stderr
    assert "stopped by itself: step 1 went past a bound: the p95 is " in finished.stdout
    (line,) = [line for line in finished.stdout.splitlines() if line.startswith("threshold broken: ")]
    assert line.startswith("threshold broken: shapes.steps.phases.knee.p95_ms: the p95 is ")
    assert line.endswith(" ms, at most 0 ms is allowed")


def test_a_run_that_is_ended_early_leaves_no_process(home: Path, tmp_path: Path) -> None:
    options = ["--users", "2", "--scenario", "row", "--seconds", "600", "--workers", "2"]
    command = [*_command(home, tmp_path, _LENIENT), *options]
    with (tmp_path / "stdout").open("wb") as stdout, subprocess.Popen(command, stdout=stdout) as run:
        try:
            wait_until(lambda: b" requests" in (tmp_path / "stdout").read_bytes(), 60, "progress")
            assert _processes(home)
            assert len(_processes(tmp_path / "reports")) >= 3, "the conductor and two workers"
        finally:
            run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 143
    assert not _processes(home)
    assert not _processes(tmp_path / "reports")


def test_workers_that_are_killed_are_told_while_the_run_goes_on_and_fail_it(home: Path, tmp_path: Path) -> None:
    options = ["--users", "2", "--scenario", "row", "--seconds", "600", "--workers", "2"]
    output = tmp_path / "stdout"
    with output.open("wb") as stdout, subprocess.Popen([*_command(home, tmp_path, ""), *options], stdout=stdout) as run:
        try:
            wait_until(lambda: b" requests" in output.read_bytes(), 60, "progress")
            first, last = _workers(tmp_path / "reports")
            os.kill(first, signal.SIGKILL)
            wait_until(lambda: b"1 of 2 workers lost\n" in output.read_bytes(), 60, "word of the loss")
            os.kill(last, signal.SIGKILL)  # locust ends a run that nobody is left for
            assert run.wait(60) == 1
        finally:
            run.send_signal(signal.SIGTERM)
    record = Record.read(tmp_path / "reports" / "loadtest.json")
    assert len({worker.name for worker in record.lost_workers}) == 2
    assert record.facts["load generator"] == "2 worker processes, 2 of them lost"
    page = (tmp_path / "reports" / "loadtest.html").read_text("utf-8")
    for worker in record.lost_workers:
        line = f"workers: {worker.name} was lost, noticed "
        assert f"threshold broken: {line}" in output.read_text("utf-8")
        assert f"<li>{line}" in page


def _loadtest(
    home: Path, work: Path, thresholds: str, *options: str, seconds: int = _SECONDS
) -> subprocess.CompletedProcess[str]:
    command = [*_command(home, work, thresholds), "--seconds", str(seconds), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def _command(home: Path, work: Path, thresholds: str) -> list[str]:
    (work / "thresholds.toml").write_text(thresholds)
    files = ["--home", str(home), "--thresholds", str(work / "thresholds.toml"), "--reports", str(work / "reports")]
    return [sys.executable, "-m", "loadtests", *files]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _processes(about: Path) -> list[str]:
    """The processes whose command line names ``about``."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and process.name != str(os.getpid()):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if str(about).encode() in words:
                found.append(process.name)
    return found


def _workers(reports: Path) -> list[int]:
    """The processes that send requests: children of the one that conducts the run; all of them name ``reports``."""
    locust = {int(pid) for pid in _processes(reports)}
    parents = {pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in locust}
    return [pid for pid in sorted(locust) if parents.get(parents[pid]) in locust]
