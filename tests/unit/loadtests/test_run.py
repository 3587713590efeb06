"""The load test's command line, as far as it goes without a server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.command_line import SCENARIOS
from loadtests.handover import CLIENT_ID
from loadtests.run import main


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--users", "3"], "4 scenarios need at least as many callers"),
        (["--users", "0"], "a whole number above 0 is needed"),
        (["--scenario", "nothing"], "invalid choice: 'nothing'"),
        (["--host", "http://127.0.0.1:1"], f"name its --home, or set {CLIENT_ID}"),
    ],
)
def test_bad_usage_exits_with_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CLIENT_ID, raising=False)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_server_that_does_not_answer_is_one_line_and_exit_1(tmp_path: Path) -> None:
    options = ["--host", "http://127.0.0.1:1", "--home", str(tmp_path), "--reports", str(tmp_path / "reports")]
    finished = _loadtests(*options)
    assert finished.returncode == 1
    assert finished.stderr == (
        "loadtests: http://127.0.0.1:1 is not ready; start the server, or leave --host out to have one started\n"
    )


def test_bad_thresholds_are_refused_before_anything_is_started(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.toml"
    path.write_text("[overall]\np99_ms = 1\n")
    finished = _loadtests("--thresholds", str(path), "--reports", str(tmp_path / "reports"))
    assert finished.returncode == 1
    assert "overall: unknown key p99_ms" in finished.stderr
    assert not (tmp_path / "reports").exists()


def test_every_scenario_has_its_caller_under_its_own_name() -> None:
    program = (
        "from loadtests import locustfile\n"
        "for name in locustfile.__all__: print(getattr(locustfile, name).scenario, name)"
    )
    listed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert dict(line.split() for line in listed.stdout.splitlines()) == SCENARIOS


def _loadtests(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadtests", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
