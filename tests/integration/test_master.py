"""What the master of a server does with the files that its workers share."""

from __future__ import annotations

from pathlib import Path

from secure_ml_api.app import create_app, drop_slot
from secure_ml_api.cli.init import prepare
from secure_ml_api.settings import read_settings
from secure_ml_api.state.shared import COUNTERS_FILE


def test_when_a_worker_has_died_the_master_holds_no_file_that_could_take_it_along(tmp_path: Path) -> None:
    settings = read_settings(tmp_path / "home", {})
    prepare(settings, examples=False)
    drop_slot(create_app(settings), 0)
    assert (settings.run_directory / COUNTERS_FILE).exists()
    # Whoever touches a mapped page of a file that was cut short is killed, and of the master's end all workers die.
    assert str(settings.run_directory) not in Path("/proc/self/maps").read_text()
