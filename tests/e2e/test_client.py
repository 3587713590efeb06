"""The client against a real server with two workers, and what may happen to it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pandas
import pytest

from conftest import copied
from secure_ml_api.client import AsyncClient, Client, InvalidRows, ModelNotFound, PermissionDenied, Unavailable
from secure_ml_api.models.registry import Registry
from support.packages import store_in
from support.server import ClientSecret, RunningServer, command_line

FLOWERS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]] * 50)


@pytest.fixture(scope="module")
def server(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(copied(prepared_home, tmp_path_factory.mktemp("client")), "--workers", "2") as running:
        yield running


@pytest.fixture(scope="module")
def known(server: RunningServer) -> ClientSecret:
    return server.create_client("sdk", "predict:*", "models:read")


@pytest.fixture
def client(server: RunningServer, known: ClientSecret) -> Iterator[Client]:
    with Client(server.base_url, known.client_id, known.client_secret) as made:
        yield made


def test_rows_are_answered_as_the_model_answers_them(client: Client, server: RunningServer) -> None:
    registry = Registry(store_in(server.home))
    registry.load()
    session = registry.resolve("iris").session
    wanted = session.run({"input": FLOWERS.astype(np.float32)}, ["label", "probabilities"])
    found = client.predict("iris", FLOWERS)
    assert (found.model, found.version) == ("iris", "1")
    assert found["label"].tolist() == wanted["label"].tolist()
    np.testing.assert_allclose(found["probabilities"], wanted["probabilities"])
    assert list(client.predict("iris", FLOWERS, outputs=["label"]).outputs) == ["label"]


def test_frames_and_lists_are_rows_too(client: Client) -> None:
    names = [column["name"] for column in client.metadata("iris")["inputs"]]
    assert names == ["input"]
    wanted = client.predict("iris", FLOWERS)["label"].tolist()
    assert client.predict("iris", FLOWERS.tolist())["label"].tolist() == wanted
    assert client.predict("iris", pandas.DataFrame(FLOWERS))["label"].tolist() == wanted


def test_frames_go_by_the_names_of_the_features(client: Client) -> None:
    (tensor,) = client.metadata("iris")["inputs"]
    frame = pandas.DataFrame(FLOWERS, columns=tensor["parameters"]["features"])
    assert client.predict("iris", frame[frame.columns[::-1]])["label"].tolist() == [0, 2] * 50
    with pytest.raises(InvalidRows, match="'petal': the model has no such feature"):
        client.predict("iris", frame.rename(columns={"petal length (cm)": "petal"}))


def test_large_batch_is_split_and_joined_in_order(server: RunningServer, known: ClientSecret) -> None:
    with Client(server.base_url, known.client_id, known.client_secret, most_rows=7) as client:
        assert client.predict("iris", FLOWERS)["label"].tolist() == [0, 2] * 50
        spoiled = FLOWERS.copy()
        spoiled[93, 2] = -1
        with pytest.raises(InvalidRows) as told:
            client.predict("iris", spoiled)
    assert [(row.row, row.feature) for row in told.value.rows] == [(93, "petal length (cm)")]


def test_batch_beyond_the_servers_bound_is_found_out(client: Client) -> None:
    rows = np.tile(FLOWERS, (150, 1))
    client._calls._most_rows = 1_000_000
    assert client.predict("iris", rows, outputs=["label"])["label"].tolist() == [0, 2] * (50 * 150)


def test_refusals_are_errors_of_their_kind(client: Client, server: RunningServer) -> None:
    with pytest.raises(ModelNotFound):
        client.predict("nothing", FLOWERS)
    narrow = server.create_client("narrow", "predict:housing")
    with Client(server.base_url, narrow.client_id, narrow.client_secret) as other, pytest.raises(PermissionDenied):
        other.predict("iris", FLOWERS)


def test_token_that_was_revoked_is_fetched_again(client: Client, server: RunningServer, known: ClientSecret) -> None:
    client.predict("iris", FLOWERS)
    form = f"token={client._calls.session._token}&client_id={known.client_id}&client_secret={known.client_secret}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert server.request("POST", "/oauth/revoke", body=form.encode(), headers=headers).status == 200
    assert client.predict("iris", FLOWERS)["label"].tolist() == [0, 2] * 50


def test_quota_that_is_used_up_is_waited_for(server: RunningServer) -> None:
    slow = server.create_client("slow", "predict:*", rate="2/second")
    with Client(server.base_url, slow.client_id, slow.client_secret) as client:
        for _ in range(5):
            assert client.predict("iris", FLOWERS[:1])["label"].tolist() == [0]


def test_reload_and_killed_workers_cost_no_call(client: Client, server: RunningServer) -> None:
    failures: list[Exception] = []

    def call() -> None:
        try:
            for _ in range(100):
                client.predict("iris", FLOWERS[:1])
        except Exception as error:
            failures.append(error)

    callers = [Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    server.reload()
    server.kill_worker()
    for caller in callers:
        caller.join(60)
    assert failures == []


def test_many_tasks_share_one_token(server: RunningServer, known: ClientSecret) -> None:
    async def ask() -> list[list[int]]:
        async with AsyncClient(server.base_url, known.client_id, known.client_secret) as client:
            assert await client.ready()
            assert await client.live()
            answers = await asyncio.gather(*(client.predict("iris", FLOWERS[:2]) for _ in range(20)))
            assert client._calls.session._token
            return [answer["label"].tolist() for answer in answers]

    assert asyncio.run(ask()) == [[0, 2]] * 20
    lines = [line for line in server.log_lines() if line.get("route") == "/oauth/token"]
    assert len(lines) < 40


def test_server_that_is_not_there_is_unavailable(prepared_home: Path, tmp_path: Path) -> None:
    home = copied(prepared_home, tmp_path)
    made = command_line(home, "clients", "create", "late", "--scope", "predict:*")
    with RunningServer(home, "--workers", "1") as server:
        url = server.base_url
    with Client(url, made["client_id"], made["client_secret"], timeout_seconds=30) as client:
        assert not client.ready()
        with pytest.raises(Unavailable):
            client.predict("iris", FLOWERS)
