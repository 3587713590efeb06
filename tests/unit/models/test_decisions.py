"""Two who decide about one model at once: neither loses what the other decided."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secure_ml_api.errors import PackageRefused
from secure_ml_api.models.aliases import read_aliases, write_aliases
from secure_ml_api.models.alone import alone
from secure_ml_api.models.life import Canary, read_life, write_life
from secure_ml_api.models.store import Store
from support.packages import publish, store_in


def trial_of(store: Store) -> str:
    canary = store.life("tiny").canary
    assert canary is not None
    return canary.trial


DECISIONS: dict[str, Callable[[Store], object]] = {
    "end_trial": lambda store: store.end_trial("tiny", trial_of(store)),
    "set_shadow": lambda store: store.set_shadow("tiny", "2"),
    "promote": lambda store: store.promote("tiny", "3"),
    "rollback": lambda store: store.rollback("tiny"),
    "set_alias": lambda store: store.set_alias("tiny", "best", "2"),
    "remove": lambda store: store.remove("tiny", "3"),
}


@pytest.mark.parametrize("decide", ["promote", "set_shadow", "remove"])
def test_who_decides_about_a_model_that_another_has_just_removed_is_told_that_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decide: str
) -> None:
    store = store_in(tmp_path)
    for version in ("2", "3"):
        publish(store, version=version)

    def removed_first(directory: Path) -> AbstractContextManager[None]:
        shutil.rmtree(directory)
        return alone(directory)

    monkeypatch.setattr("secure_ml_api.models.store.alone", removed_first)
    with pytest.raises(PackageRefused, match="there is no such"):
        DECISIONS[decide](store)


@pytest.mark.parametrize("decide", DECISIONS)
def test_what_is_decided_is_read_and_written_while_nobody_else_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decide: str
) -> None:
    store = store_in(tmp_path)
    for version in ("1", "2", "3"):
        publish(store, version=version)
    store.promote("tiny", "1")
    store.promote("tiny", "2")
    store.set_canary("tiny", Canary(version="3", percent=30))
    folder = os.open(store.models_directory / "tiny", os.O_RDONLY | os.O_DIRECTORY)
    was_alone: dict[str, bool] = {}  # when it was read last, or written

    def looking(function: Callable[..., Any]) -> Callable[..., Any]:
        def look(*arguments: Any) -> Any:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.flock(folder, fcntl.LOCK_UN)
                was_alone[function.__name__] = False
            except BlockingIOError:
                was_alone[function.__name__] = True
            return function(*arguments)

        return look

    for function in (read_life, write_life, read_aliases, write_aliases):
        monkeypatch.setattr(f"secure_ml_api.models.store.{function.__name__}", looking(function))
    # Whoever takes the lock twice waits for itself.
    monkeypatch.setattr("secure_ml_api.models.alone.time", SimpleNamespace(monotonic=time.monotonic))
    DECISIONS[decide](store)
    os.close(folder)
    assert any(name.startswith("write") for name in was_alone)
    assert all(was_alone.values()), was_alone
