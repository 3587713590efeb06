"""How much machine this process may use: CPUs from affinity and cgroup quota, memory from the cgroup or the machine."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

# What one worker is reckoned to need beside the shared weights of the models: an idle worker with the example models
# has some 60 MiB of its own, and bodies and batches come on top.
WORKER_BYTES = 256 * 1024 * 1024


def usable_cpus(cgroups: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int:
    """CPUs that the affinity mask and the CPU quota leave; a quota of one and a half is two."""
    allowed = len(os.sched_getaffinity(0))
    quotas = [quota for folder in _folders(cgroups, membership, "cpu") if (quota := _quota(folder)) is not None]
    return max(1, min([allowed, *(math.ceil(quota) for quota in quotas)]))


def usable_bytes(cgroups: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int:
    """Memory that the cgroup allows, or all of the machine's."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [limit for folder in _folders(cgroups, membership, "memory") if (limit := _limit(folder)) is not None]
    return min([machine, *limits])


def worker_count(wanted: int) -> int:
    """``wanted`` workers, or for 0 one per usable CPU as far as the memory goes."""
    return wanted or max(1, min(usable_cpus(), usable_bytes() // WORKER_BYTES))


def _folders(cgroups: Path, membership: Path, controller: str) -> Iterator[Path]:
    """The cgroup of this process and all above it, for version 2 and for version 1 of cgroups.

    In a container the path named by the kernel may lie outside of what is mounted; the root of the mount then is the
    container's own group.
    """
    try:
        lines = membership.read_text("ascii", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        root = cgroups / controller if controllers else cgroups
        folder = root / path.lstrip("/")
        while True:
            yield folder
            if folder in (root, folder.parent):
                break
            folder = folder.parent


def _quota(folder: Path) -> float | None:
    """CPUs of one cgroup: ``cpu.max`` ("quota period") in version 2, two files in version 1."""
    unified = _words(folder / "cpu.max")
    words = unified or _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
    if len(words) != 2 or not words[0].isdigit() or not words[1].isdigit() or int(words[1]) == 0:
        return None  # "max", −1, or no such file: no quota here
    return int(words[0]) / int(words[1])


def _limit(folder: Path) -> int | None:
    """Bytes of one cgroup; None where there is no limit (version 1 says so with a huge number, which harms nothing)."""
    words = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
    return int(words[0]) if len(words) == 1 and words[0].isdigit() else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text("ascii", "replace").split()
    except OSError:
        return []
