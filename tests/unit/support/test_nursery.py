"""A forked process is told of as one that was started, and is as its caller would have it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.nursery import Forked, Process, start

PYTHON = (sys.executable, "-m")


@pytest.fixture
def waits(tmp_path: Path) -> Process:
    """A process that reads a pipe into which nobody writes."""
    os.mkfifo(tmp_path / "pipe")
    return start([*PYTHON, "json.tool", str(tmp_path / "pipe")], os.environ, tmp_path / "stderr")


def test_a_process_that_runs_has_no_status_and_one_that_was_killed_that_of_the_signal(waits: Process) -> None:
    assert isinstance(waits, Forked)
    assert (waits.poll(), waits.returncode) == (None, None)
    with pytest.raises(subprocess.TimeoutExpired):
        waits.wait(0)
    waits.kill()
    assert waits.wait(10) == waits.poll() == waits.returncode == -signal.SIGKILL
    waits.send_signal(signal.SIGTERM)  # to nobody


def test_it_leads_a_process_group_that_can_be_killed_at_once(waits: Process) -> None:
    os.killpg(waits.pid, signal.SIGKILL)
    assert waits.wait(10) == -signal.SIGKILL


def test_what_it_writes_has_the_modes_that_its_caller_leaves(tmp_path: Path) -> None:
    (tmp_path / "given.json").write_text("{}")
    made = tmp_path / "made.json"
    before = os.umask(0o057)
    try:
        process = start([*PYTHON, "json.tool", str(tmp_path / "given.json"), str(made)], os.environ, tmp_path / "err")
    finally:
        os.umask(before)
    assert process.wait(30) == 0
    assert made.stat().st_mode & 0o777 == 0o620


@pytest.mark.parametrize(
    ("command", "environ"),
    [((*PYTHON, "json.tool", "--help"), {"OMP_NUM_THREADS": "1"}), (("env", *PYTHON, "json.tool", "--help"), {})],
)
def test_who_asks_for_an_interpreter_of_its_own_gets_one(
    tmp_path: Path, command: tuple[str, ...], environ: dict[str, str]
) -> None:
    process = start(command, {**os.environ, **environ}, tmp_path / "stderr")
    assert isinstance(process, subprocess.Popen)
    assert process.wait(30) == 0
