"""How much of the machine the server believes it has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from secure_ml_api.server.capacity import usable_bytes, usable_cpus, worker_count


def machine(tmp_path: Path, membership: str, files: dict[str, str]) -> dict[str, Path]:
    (tmp_path / "membership").write_text(membership)
    for name, text in files.items():
        (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / name).write_text(text)
    return {"cgroups": tmp_path / "cgroup", "membership": tmp_path / "membership"}


@pytest.fixture(autouse=True)
def sixteen_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))


@pytest.mark.parametrize(
    ("membership", "files", "cpus"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 16),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/outside/of/the/mount\n", {"cpu.max": "400000 100000\n"}, 4),
        ("4:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "500000\n", "cpu/a/cpu.cfs_period_us": "100000\n"}, 5),
        ("4:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1\n", "cpu/a/cpu.cfs_period_us": "100000\n"}, 16),
        ("0::/\n", {"cpu.max": "nonsense"}, 16),
        ("", {}, 16),
    ],
)
def test_cpus_are_those_that_affinity_and_every_quota_leave(
    tmp_path: Path, membership: str, files: dict[str, str], cpus: int
) -> None:
    assert usable_cpus(**machine(tmp_path, membership, files)) == cpus


def test_affinity_below_the_quota_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert usable_cpus(**machine(tmp_path, "0::/\n", {"cpu.max": "400000 100000"})) == 1


@pytest.mark.parametrize(
    ("membership", "files", "limit"),
    [
        ("0::/\n", {"memory.max": "1048576\n"}, 1048576),
        ("0::/a\n", {"a/memory.max": "max\n", "memory.max": "4096\n"}, 4096),
        ("9:memory:/a\n", {"memory/a/memory.limit_in_bytes": "8192\n"}, 8192),
    ],
)
def test_memory_is_what_the_tightest_group_allows(
    tmp_path: Path, membership: str, files: dict[str, str], limit: int
) -> None:
    assert usable_bytes(**machine(tmp_path, membership, files)) == limit


def test_memory_without_a_limit_is_the_machines(tmp_path: Path) -> None:
    nowhere = machine(tmp_path, "0::/\n", {"memory.max": "max\n"})
    assert usable_bytes(**nowhere) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(("gibibytes", "workers"), [(64, 16), (1, 4), (0, 1)])
def test_workers_fit_cpus_and_memory(monkeypatch: pytest.MonkeyPatch, gibibytes: int, workers: int) -> None:
    monkeypatch.setattr("secure_ml_api.server.capacity.usable_cpus", lambda: 16)
    monkeypatch.setattr("secure_ml_api.server.capacity.usable_bytes", lambda: gibibytes * 2**30)
    assert worker_count(0) == workers


def test_wanted_number_of_workers_is_taken_as_it_is() -> None:
    assert worker_count(7) == 7
