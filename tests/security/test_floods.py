"""Floods of bad credentials: they cost their sender its quota, and nobody else the service."""

from __future__ import annotations

import http.client
import io
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select
from werkzeug.test import Client

from secure_ml_api.auth.secrets import SecretHasher
from secure_ml_api.database.tables import audit
from secure_ml_api.errors import Overloaded
from support.application import Application
from support.server import RunningServer, wait_until

PREDICT = "/v1/models/iris/predict"
ROW = {"features": [5.1, 3.5, 1.4, 0.2]}
FLOOD = 24
PREDICTIONS = 50
FORM = "application/x-www-form-urlencoded"
TOKEN_ENDPOINTS = ["/oauth/token", "/oauth/revoke", "/oauth/introspect"]


@pytest.fixture
def few(prepared_home: Path, tmp_path: Path) -> Iterator[Application]:
    """An application that hears four bad tokens an hour from one address."""
    home = Path(shutil.copytree(prepared_home, tmp_path / "home"))
    with Application(home, quotas={"failed_authentications": "4/hour", "token_address": "4/hour"}) as application:
        yield application


def lines_of(application: Application, event: str) -> int:
    stores = application.house.stores
    assert stores.trail.flush()
    with stores.database.session() as connection:
        return int(connection.execute(select(func.count()).where(audit.c.event == event)).scalar_one())


@pytest.mark.parametrize("door_name", ["the fast lane", "Flask"])
@pytest.mark.parametrize("authorization", [None, "Bearer x", "Bearer a.b.c", "Basic YTpi"])
def test_a_flood_of_bad_tokens_leaves_as_many_audit_lines_as_its_quota_and_no_more(
    few: Application, door_name: str, authorization: str | None
) -> None:
    """Or whoever can reach the server could fill its disk, and push what matters out of the queue of the trail."""
    lane = few.house.lane
    assert lane is not None
    door = Client(lane if door_name == "the fast lane" else lane.behind)
    headers = {} if authorization is None else {"Authorization": authorization}
    statuses = [door.post(PREDICT, json=ROW, headers=headers).status_code for _ in range(40)]
    assert statuses == [401] * 4 + [429] * 36
    assert lines_of(few, "token.refused") == 4


def test_a_flood_of_logins_leaves_as_many_audit_lines_as_its_quota_and_no_more(few: Application) -> None:
    form = {"grant_type": "client_credentials", "client_id": "f" * 32, "client_secret": "x"}
    statuses = [few.client.post("/oauth/token", data=form).status_code for _ in range(20)]
    assert statuses == [401] * 4 + [429] * 16
    assert lines_of(few, "token.issue") == 4


class Unread(io.RawIOBase):
    """A body that nobody may ask for."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise AssertionError("the body was read")


def unread_form(length: str) -> dict[str, object]:
    return {"CONTENT_TYPE": FORM, "CONTENT_LENGTH": length, "wsgi.input": Unread()}


@pytest.mark.parametrize("path", TOKEN_ENDPOINTS)
def test_an_address_that_has_had_its_calls_is_refused_before_its_form_is_read(few: Application, path: str) -> None:
    form = {"grant_type": "client_credentials", "client_id": "f" * 32, "client_secret": "x"}
    assert [few.client.post(path, data=form).status_code for _ in range(4)] == [401] * 4
    assert few.client.post(path, environ_overrides=unread_form("1000")).status_code == 429


@pytest.mark.parametrize("path", TOKEN_ENDPOINTS)
def test_a_form_longer_than_any_is_refused_unread_and_counts(few: Application, path: str) -> None:
    form = unread_form(str(16 << 20))
    assert [few.client.post(path, environ_overrides=form).status_code for _ in range(6)] == [413] * 4 + [429] * 2


@pytest.mark.parametrize("path", TOKEN_ENDPOINTS)
def test_a_form_longer_than_any_is_answered_before_it_is_sent(server: RunningServer, path: str) -> None:
    """Nobody has proved anything: megabytes of it would wait in memory that all bodies share."""
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as caller, caller.makefile("rb") as answer:
        caller.sendall(head + b"Content-Length: 16777216\r\n\r\n")
        assert answer.readline().startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as caller, caller.makefile("rb") as answer:
        caller.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n1000000\r\n" + b"a" * 200_000)
        assert answer.readline().startswith(b"HTTP/1.1 413 ")


def test_who_would_have_to_wait_too_long_for_a_proof_is_refused_without_waiting() -> None:
    """One computes, two wait; the fourth is told at once: a patience of an hour would hold its thread that long."""
    hasher = SecretHasher(1, wait_seconds=3600, most_waiting=2)
    stored = hasher.hash("secret")
    hasher._slots.acquire()
    waiting = [threading.Thread(target=hasher.matches, args=(stored, "secret")) for _ in range(2)]
    hasher._line.acquire()  # the place in line of the one that computes
    for caller in waiting:
        caller.start()
    wait_until(lambda: hasher._line._value == 0, what="both to wait")
    with pytest.raises(Overloaded):
        hasher.matches(stored, "secret")
    hasher._slots.release()
    hasher._line.release()
    for caller in waiting:
        caller.join(30)
    assert hasher.matches(stored, "secret")


@pytest.fixture
def server(home: Path, worker_class: str) -> Iterator[RunningServer]:
    environ = {
        "SECURE_ML_API_QUOTAS__TOKEN_ADDRESS": "1000000/minute",
        "SECURE_ML_API_QUOTAS__TOKEN_CLIENT": "1000000/minute",
        "SECURE_ML_API_TOKENS__HASHING_CONCURRENCY": "1",
    }
    with RunningServer(home, "--workers", "1", "--threads", "16", environ=environ) as running:
        yield running


class Logins:
    """Callers who keep guessing secrets, each on a connection of its own, until the block ends."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._guess, args=(number,)) for number in range(FLOOD)]
        self.statuses: list[int] = []

    def __enter__(self) -> Logins:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(30)

    def _guess(self, number: int) -> None:
        form = f"grant_type=client_credentials&client_id={number:032x}&client_secret=x"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        while not self._enough.wait(0.005):
            connection.request("POST", "/oauth/token", body=form, headers=headers)
            response = connection.getresponse()
            response.read()
            self.statuses.append(response.status)
        connection.close()


def test_predictions_go_on_while_logins_flood(server: RunningServer) -> None:
    """None is refused, and none waits behind the proofs: were threads to wait for those, each would wait for many.

    How many proofs are made while predictions are answered is the same on a slow machine and on a fast one.
    """
    token = server.token(server.create_client("shop", "predict:*", rate="1000000/minute"))
    with Logins(server) as flood:
        wait_until(lambda: {401, 503} <= set(flood.statuses), what="logins to be proved, and others refused")
        before = len(flood.statuses)
        statuses = [server.post_json(PREDICT, ROW, token).status for _ in range(PREDICTIONS)]
        meanwhile = flood.statuses[before:]
    assert statuses == [200] * PREDICTIONS
    assert len(meanwhile) > meanwhile.count(401), "there was no flood"
    assert meanwhile.count(401) <= 2 * PREDICTIONS
    assert set(flood.statuses) == {401, 503}
