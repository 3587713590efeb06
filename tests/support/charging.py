"""A process of its own that charges quotas from several threads, for tests of exactness between processes.

``python -m support.charging URL RUN_DIRECTORY THREADS ATTEMPTS RATE`` builds its limiter, says ``ready``, waits for a
line on its standard input, then prints how many charges were admitted.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from secure_ml_api.access_sections import QuotasSettings
from secure_ml_api.errors import QuotaExceeded
from secure_ml_api.quota.opening import open_limiter
from secure_ml_api.quota.standings import Charge
from secure_ml_api.setting_sections import StateSettings

TESTS = Path(__file__).parent.parent


def charge_in_processes(
    count: int, *, url: str, run_directory: Path, threads: int, attempts: int, rate: str
) -> list[int]:
    """Charges admitted by each of ``count`` processes that start together."""
    command = [sys.executable, "-m", "support.charging", url, str(run_directory), str(threads), str(attempts), rate]
    processes = [
        subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    return [int(answer) for answer in _release(processes)]


def _release(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.communicate()[0] for process in processes]


def _main(url: str, run_directory: str, threads: str, attempts: str, rate: str) -> None:
    limiter = open_limiter(StateSettings(url=url, timeout_seconds=30), QuotasSettings(), Path(run_directory))

    def attempt(number: int) -> bool:
        try:
            limiter.charge("client:shared", [Charge("requests", rate), Charge("rows", "1000000/day", 1 + number % 3)])
        except QuotaExceeded:
            return False
        return True

    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    with ThreadPoolExecutor(int(threads)) as pool:
        admitted = sum(pool.map(attempt, range(int(attempts))))
    assert not limiter.degraded
    print(admitted)  # noqa: T201


if __name__ == "__main__":
    _main(*sys.argv[1:])
