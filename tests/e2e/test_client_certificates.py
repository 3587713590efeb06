"""Client certificates at the real application: who showed one is known to the logs, the trail and the tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from conftest import copied
from secure_ml_api.settings import read_settings
from support.certificates import Authority, Signed
from support.server import RunningServer, command_line, wait_until

ROW = {"features": [5.1, 3.5, 1.4, 0.2]}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def mine(authority: Authority) -> Signed:
    return authority.client("billing")


@pytest.fixture(scope="module")
def served(authority: Authority) -> dict[str, str]:
    """The settings of the server, as environment variables."""
    return {
        **authority.server().settings(),
        "SECURE_ML_API_SERVER__TLS_CLIENT_CA": str(authority.pem),
        "SECURE_ML_API_SERVER__TLS_CLIENT_CERTIFICATES": "optional",
        "SECURE_ML_API_TOKENS__BIND_TO_CERTIFICATES": "true",
    }


@pytest.fixture(scope="module")
def server(
    prepared_home: Path,
    tmp_path_factory: pytest.TempPathFactory,
    served: dict[str, str],
    authority: Authority,
    mine: Signed,
) -> Iterator[RunningServer]:
    home = copied(prepared_home, tmp_path_factory.mktemp("certificates"))
    with RunningServer(home, "--workers", "1", environ=served, tls=authority.trusting(mine)) as running:
        yield running


@pytest.fixture(scope="module")
def token(server: RunningServer) -> str:
    return server.token(server.create_client("billing", "predict:*", "models:read"))


def logged(server: RunningServer, request_id: str) -> dict[str, Any]:
    def lines() -> list[dict[str, Any]]:
        return [line for line in server.log_lines() if line.get("request_id") == request_id]

    wait_until(lines, what="the line of the request")
    return lines()[0]


@pytest.mark.parametrize("path", ["/v1/models/iris/predict", "/v1/models/cancer-svm/predict"])
def test_stolen_token_is_worth_nothing_on_either_way_to_a_prediction(
    server: RunningServer, authority: Authority, token: str, path: str
) -> None:
    row = ROW if "iris" in path else {"features": [1.0] * 30}
    assert server.post_json(path, row, token).status == 200
    mine = server.tls
    try:
        for thief in (authority.trusting(), authority.trusting(authority.client("thief"))):
            server.tls = thief
            assert server.post_json(path, row, token).status == 401
            assert server.get("/v1/models/iris", token).status == 401
    finally:
        server.tls = mine
    assert server.get("/v1/models/iris", token).status == 200


def test_access_log_names_the_subject_in_place_and_in_threads_and_none_without_a_certificate(
    server: RunningServer, authority: Authority, mine: Signed, token: str
) -> None:
    for reply in (server.post_json("/v1/models/iris/predict", ROW, token), server.get("/v2", token)):
        assert logged(server, reply.headers["x-request-id"])["client_certificate"] == mine.subject
    shown, server.tls = server.tls, authority.trusting()
    try:
        reply = server.get("/v2")
    finally:
        server.tls = shown
    assert "client_certificate" not in logged(server, reply.headers["x-request-id"])


def test_doctor_knows_the_port_of_a_running_server_that_speaks_tls(
    server: RunningServer, served: dict[str, str]
) -> None:
    ports = {"PORT": str(server.port), "METRICS_PORT": str(server.metrics_port)}
    environ = served | {f"SECURE_ML_API_SERVER__{key}": value for key, value in ports.items()}
    said = command_line(server.home, "doctor", environ=environ)
    checks = {check["name"]: check["detail"] for check in said["checks"]}
    assert checks["port"].endswith("is the running server's")


def test_audit_trail_names_the_subject(server: RunningServer, mine: Signed, token: str) -> None:
    engine = create_engine(read_settings(server.home, {}).database_url)

    def details() -> list[str]:
        with closing(engine.connect()) as connection:
            return list(connection.execute(text("select details from audit where event = 'token.issue'")).scalars())

    try:
        wait_until(lambda: any(mine.subject in str(each) for each in details()), what="the line in the trail")
    finally:
        engine.dispose()
