"""Methods that no route answers to, as the whole server answers them on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import RunningServer

pytestmark = pytest.mark.usefixtures("worker_class")

# What each of these addresses answers to, and how it tells its problems.
ADDRESSES = {
    "/v1/models/iris/predict": ({"POST"}, "application/problem+json"),
    "/v1/models/iris": ({"GET", "HEAD"}, "application/problem+json"),
    "/oauth/token": ({"POST"}, "application/problem+json"),
    "/v2/health/live": ({"GET", "HEAD"}, "application/json"),
}
CANARY = {"Authorization": "Bearer canary", "Cookie": "canary=1", "X-Canary": "canary", "Content-Type": "text/canary"}


@pytest.fixture(scope="module")
def server(home_of_module: Path, worker_class: str) -> Iterator[RunningServer]:
    with RunningServer(home_of_module, "--workers", "1") as running:
        yield running


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("method", ["TRACE", "PUT", "OPTIONS", "CANARY"])
def test_method_that_a_route_does_not_name_gets_405_on_the_wire_and_nothing_back(
    server: RunningServer, method: str, path: str
) -> None:
    """TRACE above all, which by its definition sends a caller's credentials back."""
    allowed, content_type = ADDRESSES[path]
    for body in (None, b"canary"):
        reply = server.request(method, f"{path}?canary=canary", body=body, headers=CANARY)
        assert (reply.status, reply.headers["content-type"]) == (405, content_type)
        assert set(reply.headers["allow"].split(", ")) == allowed
        fields = reply.json()
        assert (fields["status"], fields["request_id"]) == (405, reply.headers["x-request-id"])
        assert "canary" not in f"{reply.headers} {reply.body!r}".lower()
