"""Workers that load models one after the other."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from secure_ml_api.models.turns import Turns

_HOLDS = """
import sys, time
from pathlib import Path
from secure_ml_api.models.turns import Turns
with Turns(Path(sys.argv[1]), places=1).taken():
    print(flush=True)
    time.sleep(600)
"""


def test_turn_of_one_worker_is_that_of_no_other_until_it_ends(tmp_path: Path) -> None:
    first, second = Turns(tmp_path, places=1), Turns(tmp_path, places=1)
    with first.taken() as is_firsts, second.taken() as is_seconds:
        assert (is_firsts, is_seconds) == (True, False)
    with second.taken() as is_seconds:
        assert is_seconds


def test_as_many_have_their_turn_as_there_are_places(tmp_path: Path) -> None:
    with ExitStack() as stack:
        assert [stack.enter_context(Turns(tmp_path, places=2).taken()) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(("cpus", "places"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_half_of_the_cpus_are_left_to_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpus: int, places: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cpus)))
    with ExitStack() as stack:
        turns = [stack.enter_context(Turns(tmp_path).taken()) for _ in range(places + 1)]
    assert turns == [True] * places + [False]


def test_worker_that_dies_in_its_turn_holds_nobody_up(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", _HOLDS, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    with Turns(tmp_path, places=1).taken() as is_ours:
        assert not is_ours
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with Turns(tmp_path, places=1).taken() as is_ours:
        assert is_ours


def test_where_nobody_can_know_of_the_others_it_is_everybodys_turn(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("no folder")
    with Turns(tmp_path / "run").taken() as is_ours:
        assert is_ours
