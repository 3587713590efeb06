"""Quotas are exact however many workers count, of both classes, on one machine and over Redis."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import copied
from support.redis_server import RedisServer
from support.server import Reply, RunningServer

QUOTA = 100
ROW = {"features": [5.1, 3.5, 1.4, 0.2]}


@pytest.fixture(scope="module", params=["embedded", "redis"])
def server(
    request: pytest.FixtureRequest, worker_class: str, prepared_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    directory = tmp_path_factory.mktemp(f"{request.param}-{worker_class}")
    home = copied(prepared_home, directory)
    if request.param == "embedded":
        with RunningServer(home, "--workers", "2") as running:
            yield running
        return
    with (
        RedisServer(directory) as redis,
        RunningServer(home, "--workers", "2", environ={"SECURE_ML_API_STATE__URL": redis.url}) as running,
    ):
        yield running


def at_once(server: RunningServer, token: str, times: int, payload: object) -> list[Reply]:
    with ThreadPoolExecutor(32) as callers:
        return list(callers.map(lambda _: server.post_json("/v1/models/iris/predict", payload, token), range(times)))


def test_of_300_concurrent_requests_on_a_quota_of_100_exactly_100_are_answered(server: RunningServer) -> None:
    token = server.token(server.create_client("one", "predict:iris", rate=f"{QUOTA}/minute"))
    replies = at_once(server, token, 300, ROW)
    statuses = [reply.status for reply in replies]
    assert (statuses.count(200), statuses.count(429)) == (QUOTA, 200)
    for reply in replies:
        assert reply.headers["ratelimit-policy"].startswith(f'"requests";q={QUOTA};w=60')
        if reply.status == 429:
            seconds = int(reply.headers["retry-after"])
            assert 1 <= seconds <= 60
            assert reply.headers["ratelimit"] == f'"requests";r=0;t={seconds}'
            assert reply.headers["content-type"] == "application/problem+json"
    assert {reply.headers["ratelimit"].split(";")[1] for reply in replies if reply.status == 200} == {
        f"r={left}" for left in range(QUOTA)
    }


def test_rows_are_counted_exactly_too_and_a_refused_batch_costs_none(server: RunningServer) -> None:
    token = server.token(server.create_client("two", "predict:iris", rows="1000/minute"))
    batch = {"instances": [ROW["features"]] * 30}
    statuses = [reply.status for reply in at_once(server, token, 60, batch)]
    assert (statuses.count(200), statuses.count(429)) == (33, 27)
    last = server.post_json("/v1/models/iris/predict", {"instances": [ROW["features"]] * 10}, token)
    assert last.status == 200
    assert '"rows";r=0' in last.headers["ratelimit"]


def test_one_client_s_quota_is_not_another_s(server: RunningServer) -> None:
    greedy = server.token(server.create_client("greedy", "predict:iris", rate="5/minute"))
    modest = server.token(server.create_client("modest", "predict:iris", rate="5/minute"))
    assert [reply.status for reply in at_once(server, greedy, 20, ROW)].count(200) == 5
    assert {reply.status for reply in at_once(server, modest, 5, ROW)} == {200}
