"""A worker whose file descriptors have run out: it goes on with those whom it knows, and gets over it."""

from __future__ import annotations

import http.client
import json
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support.server import RunningServer, reply_of, wait_until

pytestmark = pytest.mark.usefixtures("worker_class")

CROWD = 60
LEFT = 10
PREDICT = "/v1/models/iris/predict"
ROW = json.dumps({"features": [5.1, 3.5, 1.4, 0.2]})
SHORTAGE = "no new connections for now"


@pytest.fixture
def server(home: Path) -> Iterator[RunningServer]:
    """One worker, and patience with those who send nothing for longer than any of these tests takes."""
    environ = {"SECURE_ML_API_SERVER__HEADER_TIMEOUT_SECONDS": "300"}
    with RunningServer(home, "--workers", "1", "--threads", "4", environ=environ) as running:
        yield running


@contextmanager
def few_descriptors(pid: int) -> Iterator[None]:
    """Process ``pid`` may open ``LEFT`` more files: fewer than a worker that starts so would count on."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    most = max(int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()) + 1
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most + LEFT, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def shortages(server: RunningServer) -> int:
    return sum(line["message"].startswith(SHORTAGE) for line in server.log_lines())


def statuses(kept: http.client.HTTPConnection, token: str, times: int) -> list[int]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    answered = []
    for _ in range(times):
        kept.request("POST", PREDICT, ROW, headers)
        answered.append(reply_of(kept.getresponse()).status)
    return answered


def test_worker_without_descriptors_answers_those_it_knows_and_later_everybody(server: RunningServer) -> None:
    token = server.token(server.create_client("shop", "predict:*"))
    (worker,) = server.worker_pids()
    kept = server.connection()
    assert statuses(kept, token, 1) == [200]
    with few_descriptors(worker):
        with ExitStack() as crowd:
            for _ in range(CROWD):
                crowd.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
            wait_until(lambda: shortages(server), what="a worker that can take no more connections")
            assert statuses(kept, token, 20) == [200] * 20
            assert shortages(server) == 1, "the log is filled by those who cannot be let in"
        assert server.post_json(PREDICT, json.loads(ROW), token).status == 200
    kept.close()
    assert server.worker_pids() == {worker}
