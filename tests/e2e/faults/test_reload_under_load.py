"""SIGHUP again and again while callers call, with good settings and with bad ones: nobody notices."""

from __future__ import annotations

from pathlib import Path

from support.fault_table import Figures
from support.loaded import HANGING, LOAD, QUIETLY, Loaded, in_words
from support.server import RunningServer

RATE = 100
BAD = "[server]\nno_such_key = 1\n"


def test_reloading_under_load_loses_no_request_and_bad_settings_change_nothing(
    tmp_path: Path, worker_class: str, figures: Figures, full: bool
) -> None:
    times, home = (20 if full else 2), tmp_path / "home"
    with RunningServer(home, "--workers", "2", command=HANGING, environ=QUIETLY) as running:
        server = Loaded(running)
        first = running.worker_pids()
        with server.load_meanwhile(RATE) as load:
            for number in range(times):
                (home / "config.toml").write_text(f"[server]\nkeep_alive_seconds = {60 + number}\n")
                running.reload()
            serving = running.worker_pids() - first
            (home / "config.toml").write_text(BAD)
            for _ in range(times):
                running.reload()
            refused = len(server.said("reload refused"))
            seconds = load.now()
        figures.add(
            f"SIGHUP ×{times}, then ×{times} with a bad configuration ({worker_class})",
            LOAD.format(rate=RATE, seconds=round(seconds)),
            f"{in_words(load.outcome)}; {len(server.said('reloaded'))} reloads, {refused} refused",
            must_hold="0 failed requests; the old configuration keeps serving",
        )
        assert set(load.outcome.statuses()) == {200}
        assert (len(server.said("reloaded")), refused) == (times, times)
        assert serving >= running.worker_pids()
        assert not first & running.worker_pids()
