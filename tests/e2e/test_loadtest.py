"""The load test itself, for a few seconds of every scenario against a server of its own."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import copied
from support.server import command_line, wait_until

# A busy machine may be slow here: these bounds say that it works, and the shipped ones how well it has to.
_LENIENT = "[overall]\nerror_rate = 0\np95_ms = 20000\n"
_SECONDS = 5


@pytest.fixture(scope="module")
def home(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the example models, which several runs may use one after the other."""
    return copied(prepared_home, tmp_path_factory.mktemp("loadtest"))


def test_every_scenario_is_answered_without_an_error_and_reported(home: Path, tmp_path: Path) -> None:
    for times in (1, 2, 4):  # a busy machine may not get round to every request of every caller
        finished = _loadtest(home, tmp_path, _LENIENT, "--users", "8", seconds=times * _SECONDS)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        rows = _rows(tmp_path / "reports" / "loadtest_stats.csv")
        sent = {row["Name"]: int(row["Request Count"]) for row in rows}
        if "churn refused" in sent:
            break
    assert "all thresholds hold" in finished.stdout
    assert " callers  " in finished.stdout, "no progress was told"
    assert {name.partition(" ")[0] for name in sent} == {"tokens", "row", "batch", "mixed", "churn", "Aggregated"}
    assert sent["churn refused"] > 0
    assert all(row["Failure Count"] == "0" for row in rows)
    assert "<html" in (tmp_path / "reports" / "loadtest.html").read_text("utf-8")
    assert command_line(home, "clients", "list") == [], "the client of the run is still registered"


def test_a_broken_threshold_fails_the_run_and_is_named_with_its_figure(home: Path, tmp_path: Path) -> None:
    finished = _loadtest(home, tmp_path, "[groups.row]\np95_ms = 0\n", "--users", "1", "--scenario", "row")
    assert finished.returncode == 1
    (line,) = [line for line in finished.stdout.splitlines() if line.startswith("threshold broken: ")]
    assert line.startswith("threshold broken: groups.row.p95_ms: the p95 is ")
    assert line.endswith(" ms, at most 0 ms is allowed")


def test_a_run_that_is_ended_early_stops_its_server(home: Path, tmp_path: Path) -> None:
    command = [*_command(home, tmp_path, _LENIENT), "--users", "1", "--scenario", "row", "--seconds", "600"]
    with (tmp_path / "stdout").open("wb") as stdout, subprocess.Popen(command, stdout=stdout) as run:
        try:
            wait_until(lambda: b" requests" in (tmp_path / "stdout").read_bytes(), 60, "progress")
        finally:
            run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 143
    assert not _serving(home)


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


def _serving(home: Path) -> list[str]:
    """The processes that serve ``home``."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and process.name != str(os.getpid()):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"serve" in words and str(home).encode() in words:
                found.append(process.name)
    return found
