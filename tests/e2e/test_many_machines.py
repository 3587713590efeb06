"""Three servers with homes of their own, one Redis, one PostgreSQL, and the shipped nginx in front: one service.

Their workers are not of one class, and no caller can tell.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from conftest import copied
from support.certificates import Authority
from support.needs import free_port
from support.nginx_server import NginxServer
from support.open_loop import OpenLoop
from support.postgres_server import PostgresServer
from support.redis_server import RedisServer
from support.request_bytes import post
from support.server import ClientSecret, Reply, RunningServer, command_line, reply_of

WORKER_CLASSES = ("inplace", "gthread", "gthread")  # machine after machine
SERVERS = len(WORKER_CLASSES)
PREDICT = "/v1/models/iris/predict"
ROW = {"features": [5.1, 3.5, 1.4, 0.2]}


class Service:
    """Three servers and who asks them through nginx."""

    def __init__(self, directory: Path, prepared_home: Path, environ: dict[str, str], tls: ssl.SSLContext) -> None:
        self.environ = {**environ, "SECURE_ML_API_SERVER__TRUSTED_PROXIES": "127.0.0.1"}
        self.tls = tls
        # The same keys and packages; everything else of a home is a server's own.
        self.homes = [copied(prepared_home, directory / f"machine-{number}") for number in range(SERVERS)]
        for home in self.homes:
            command_line(home, "init", "--no-examples", environ=self.environ)
        self.ports = [(free_port(), free_port()) for _ in range(SERVERS)]
        self.servers: list[RunningServer | None] = [None] * SERVERS
        self.nginx_port = 0

    def start(self, number: int) -> None:
        port, metrics_port = self.ports[number]
        arguments = ("--workers", "1", "--worker-class", WORKER_CLASSES[number])
        server = RunningServer(
            self.homes[number], *arguments, environ=self.environ, port=port, metrics_port=metrics_port
        )
        self.servers[number] = server.__enter__()

    def stop(self, number: int) -> None:
        server, self.servers[number] = self.servers[number], None
        if server is not None:
            server.__exit__(None, None, None)

    def server(self, number: int) -> RunningServer:
        server = self.servers[number]
        assert server is not None
        return server

    def token(self, name: str, **options: str) -> tuple[ClientSecret, str]:
        """A client that was registered on the first machine, and a token of the second."""
        client = self.server(0).create_client(name, "predict:*", **options)
        return client, self.server(1).token(client)

    def ask(self, token: str, payload: Any = ROW) -> Reply:
        """Through nginx."""
        connection = http.client.HTTPSConnection("localhost", self.nginx_port, timeout=20, context=self.tls)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", PREDICT, body=json.dumps(payload), headers=headers)
            return reply_of(connection.getresponse())
        finally:
            connection.close()

    def ask_often(self, token: str, times: int, payload: Any = ROW) -> Counter[int]:
        with ThreadPoolExecutor(16) as callers:
            return Counter(callers.map(lambda _: self.ask(token, payload).status, range(times)))


@pytest.fixture(scope="module")
def service(
    prepared_home: Path, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("machines")
    authority = Authority(directory / "authority")
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(directory))
        environ = {
            "SECURE_ML_API_STATE__URL": redis.url,
            "SECURE_ML_API_DATABASE__URL": postgres.new_database(),
            "SECURE_ML_API_QUOTAS__ADDRESS": "1000000/minute",
        }
        made = Service(directory, prepared_home, environ, authority.trusting())
        for number in range(SERVERS):
            made.start(number)
            stack.callback(made.stop, number)
        ports = [port for port, _ in made.ports]
        nginx = stack.enter_context(NginxServer(directory / "nginx", authority.server(), *ports))
        made.nginx_port = nginx.port
        yield made


def test_quota_of_requests_is_exact_over_all_machines(service: Service) -> None:
    _, token = service.token("exact", rate="60/minute")
    assert service.ask_often(token, 150) == {200: 60, 429: 90}


def test_quota_of_rows_is_exact_over_all_machines(service: Service) -> None:
    _, token = service.token("rows", rows="1000/minute")
    batch = {"instances": [ROW["features"]] * 30}
    assert service.ask_often(token, 60, batch) == {200: 33, 429: 27}


def test_all_machines_take_part(service: Service) -> None:
    _, token = service.token("all")
    before = [service.server(number).metric("secure_ml_api_rows_total", model="iris") for number in range(SERVERS)]
    assert service.ask_often(token, 30) == {200: 30}
    after = [service.server(number).metric("secure_ml_api_rows_total", model="iris") for number in range(SERVERS)]
    assert all(then > now for now, then in zip(before, after, strict=True))
    assert sum(after) - sum(before) == 30


def test_token_that_is_revoked_on_one_machine_is_refused_on_all_within_two_seconds(service: Service) -> None:
    client, token = service.token("revoked")
    assert service.ask(token).status == 200
    form = f"token={token}&client_id={client.client_id}&client_secret={client.client_secret}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert service.server(2).request("POST", "/oauth/revoke", body=form.encode(), headers=headers).status == 200
    time.sleep(2)  # what is promised
    statuses = {service.server(number).post_json(PREDICT, ROW, token).status for number in range(SERVERS)}
    assert statuses == {401}


def test_rolling_restart_of_all_machines_costs_no_request(service: Service) -> None:
    _, token = service.token("rolling", rate="1000000/minute")
    request = post(PREDICT, ROW, token)
    with OpenLoop(service.nginx_port, request, rate=50, seconds=120, tls=service.tls) as load:
        load.wait_for_flow()
        for number in range(SERVERS):
            service.stop(number)
            service.start(number)
        load.stop()
    assert len(load.outcome.answers) > 100
    assert set(load.outcome.statuses()) == {200}, load.outcome.errors()
