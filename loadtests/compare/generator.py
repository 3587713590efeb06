"""The load generator: wrk, which sends one request over as many connections as it is told, as fast as they answer."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .exchange import Request
from .trouble import CompareError, Unfit

_SCRIPT = Path(__file__).with_name("request.lua")
_TIMEOUT_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw; times are of whole requests."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def require_tools() -> None:
    """Raise CompareError when wrk or taskset is missing."""
    for tool, package in (("wrk", "wrk"), ("taskset", "util-linux")):
        if shutil.which(tool) is None:
            raise CompareError(f"{tool} is missing; on Debian: apt-get install {package}")


def send(request: Request, port: int, *, connections: int, seconds: float, core: int, scheme: str = "http") -> Load:
    """Send ``request`` over ``connections`` for ``seconds``, from ``core``; over ``https`` to whatever certificate.

    Raises Unfit when one answer was an error, or one connection broke: such a server's speed means nothing. wrk counts
    400 and above; the checks of answers before and after each run see everything else.
    """
    with tempfile.TemporaryDirectory(prefix="compare-") as directory:
        headers, body = Path(directory, "headers"), Path(directory, "body")
        headers.write_text("".join(f"{name}: {value}\n" for name, value in request.headers.items()))
        body.write_bytes(request.body)
        command = ["taskset", "--cpu-list", str(core), "wrk", "--threads", "1", "--connections", str(connections)]
        command += ["--duration", f"{seconds:.0f}s", "--timeout", f"{_TIMEOUT_SECONDS}s", "--script", str(_SCRIPT)]
        command += [f"{scheme}://127.0.0.1:{port}{request.path}", "--", str(headers), str(body)]
        try:
            finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
        except subprocess.TimeoutExpired:
            raise Unfit("the load generator did not come to an end") from None
    lines = [line for line in finished.stdout.splitlines() if line.startswith("RESULT ")]
    if finished.returncode != 0 or not lines:
        raise CompareError(f"wrk failed: {(finished.stderr or finished.stdout).strip()[-300:]}")
    return _judged(json.loads(lines[0].removeprefix("RESULT ")))


def _judged(seen: dict[str, int]) -> Load:
    if seen["refused"] or seen["broken"] or not seen["requests"]:
        refused, broken, requests = seen["refused"], seen["broken"], seen["requests"]
        raise Unfit(f"{refused} of {requests} answers were errors, {broken} connections broke or timed out")
    return Load(seen["requests"], seen["microseconds"] / 1e6, seen["p50"] / 1e3, seen["p99"] / 1e3)
