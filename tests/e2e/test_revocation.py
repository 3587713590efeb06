"""What is taken back is taken back at once, on every worker."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from conftest import copied
from support.lines import line_to_each
from support.server import ClientSecret, RunningServer, command_line, reply_of, wait_until

PATH = "/v1/models/iris/predict"
ROW = b'{"features": [5.1, 3.5, 1.4, 0.2]}'


@pytest.fixture(scope="module")
def server(worker_class: str, prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    # Every refusal shall be seen as one: this address may send as many bad tokens as it likes.
    plenty = {"SECURE_ML_API_QUOTAS__FAILED_AUTHENTICATIONS": "1000000/minute"}
    home = copied(prepared_home, tmp_path_factory.mktemp(worker_class))
    with RunningServer(home, "--workers", "4", environ=plenty) as running:
        yield running


class Callers:
    """Threads that keep asking with one token, and note which answers are to requests begun after it was taken back.

    Each request has a connection of its own, so that they spread over all workers.
    """

    def __init__(self, server: RunningServer, token: str, number: int = 8) -> None:
        self._server = server
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.taken_back = threading.Event()
        self.enough = threading.Event()
        self.before: list[int] = []
        self.after: list[int] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(number)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.enough.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        while not self.enough.is_set():
            answers = self.after if self.taken_back.is_set() else self.before
            connection.request("POST", PATH, body=ROW, headers={**self._headers, "Connection": "close"})
            response = connection.getresponse()
            response.read()
            answers.append(response.status)
        connection.close()


def take_back_under_load(server: RunningServer, client: ClientSecret, token: str, how: str) -> Callers:
    with Callers(server, token) as callers:
        wait_until(lambda: len(callers.before) >= 80, what="answers before")
        if how == "token":
            revoke(server, client, token)
        elif how == "client":
            command_line(server.home, "clients", "disable", client.client_id)
        else:
            command_line(server.home, "clients", "set-scopes", client.client_id, "--scope", "predict:outliers")
        callers.taken_back.set()
        wait_until(lambda: len(callers.after) >= 80, what="answers after")
    return callers


def revoke(server: RunningServer, client: ClientSecret, token: str) -> None:
    form = f"token={token}&client_id={client.client_id}&client_secret={client.client_secret}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert server.request("POST", "/oauth/revoke", body=form.encode(), headers=headers).status == 200


@pytest.mark.parametrize(("how", "status"), [("token", 401), ("client", 401), ("scopes", 403)])
def test_once_taken_back_no_request_is_answered_on_any_of_four_workers(
    server: RunningServer, how: str, status: int
) -> None:
    client = server.create_client(f"loses its {how}", "predict:*", rate="1000000/minute")
    token = server.token(client)
    callers = take_back_under_load(server, client, token, how)
    assert 200 in callers.before
    assert set(callers.after) == {status}


def test_a_revoked_token_stays_revoked_over_a_restart(home: Path) -> None:
    with RunningServer(home) as server:
        client = server.create_client("shop", "predict:*")
        token = server.token(client)
        revoke(server, client, token)
    with RunningServer(home) as server:
        reply = server.request("POST", PATH, body=ROW, headers={"Authorization": f"Bearer {token}"})
        assert reply.status == 401


def test_tokens_of_a_key_that_is_taken_out_are_refused_by_every_worker_within_a_minute(server: RunningServer) -> None:
    client = server.create_client("has a token of a stolen key", "predict:*")
    token = server.token(client)
    stolen = str(jwt.get_unverified_header(token)["kid"])
    with line_to_each(server) as lines:
        for line in lines.values():
            assert (predict(line, token), stolen in published(line)) == (200, True)
        command_line(server.home, "keys", "retire", stolen, "--now")
        wait_until(lambda: {predict(line, token) for line in lines.values()} == {401}, 60, "refusals by every worker")
        fresh = server.token(client)
        for line in lines.values():
            assert (predict(line, token), predict(line, fresh)) == (401, 200)
            assert stolen not in published(line)


def predict(line: http.client.HTTPConnection, token: str) -> int:
    """The status of a prediction."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    line.request("POST", PATH, body=ROW, headers=headers)
    return reply_of(line.getresponse()).status


def published(line: http.client.HTTPConnection) -> set[str]:
    """The names of the keys that verify tokens."""
    line.request("GET", "/.well-known/jwks.json")
    return {key["kid"] for key in reply_of(line.getresponse()).json()["keys"]}


def test_the_state_of_the_machine_may_be_lost_and_revocations_hold(server: RunningServer) -> None:
    client = server.create_client("outlives the state", "predict:*")
    revoked, kept = server.token(client), server.token(client)
    revoke(server, client, revoked)
    for path in (server.home / "run").glob("*.mdb*"):
        path.unlink()
    lost = "the shared state was lost and has been filled again from the database"
    wait_until(lambda: any(line["message"] == lost for line in server.log_lines()), what="the loss to be noticed")
    for _ in range(20):
        assert server.request("POST", PATH, body=ROW, headers={"Authorization": f"Bearer {revoked}"}).status == 401
        assert server.request("POST", PATH, body=ROW, headers={"Authorization": f"Bearer {kept}"}).status == 200
