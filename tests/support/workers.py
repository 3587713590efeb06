"""The suite over several processes (pytest-xdist): what belongs together stays together, what is slow begins first."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# Servers are started and waited for in the first three; what is left at the end is short, so no process idles long.
_ORDER = ("e2e", "contracts", "security", "integration", "unit")
_LONGEST = "e2e/test_pages.py"
_SUITES = {"inplace", "gthread", "granian", "flask", "lane"}
_PAGE = re.compile(r"[a-z/-]+\.md")


def slow_folders_first(items: list[pytest.Item]) -> None:
    """Sort by folder, and leave the order within each as it is, but for what takes longest.

    Pages of the documentation make homes of their own: while the first test that needs the examples has them trained,
    for all processes, the others have something to do.
    """
    items.sort(key=lambda item: -1 if item.path.match(_LONGEST) else _place(item.path))


def _place(path: Path) -> int:
    return next((place for place, name in enumerate(_ORDER) if name in path.parts), len(_ORDER))


def group_of(node_id: str) -> str:
    """What is run by one process: a file, so that what a module shares is made once.

    Suites over several classes of server workers, or over both doors, start each of them anew: so each is a group.
    Pages of the documentation share nothing: each is a group too.
    """
    file, _, test = node_id.partition("::")
    parameters = test.partition("[")[2].removesuffix("]")
    if _PAGE.fullmatch(parameters):
        return file + parameters
    # Without a search for it: some ids are long, and the one process that gives out work asks for all of them.
    return file + next((part for part in parameters.split("-") if part in _SUITES), "")


def scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives each process a group at a time, in the order in which they were collected."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return ByGroup(config, log)


@contextmanager
def one_at_a_time(lock: Path) -> Iterator[None]:
    """Held by one process of the machine at a time; released when that process ends."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def shared_directory(basetemp: Path, worker: str | None) -> Path:
    """Where all processes of one run find each other's files; ``worker`` is this one's name, None when it is alone."""
    return basetemp if worker is None else basetemp.parent
