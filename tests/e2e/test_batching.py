"""Callers share runs of a slow model behind the real server, a poisonous one among them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.server import RunningServer
from support.sleeping import MODEL

SLEEPING = (sys.executable, "-m", "support.sleeping")
CALLERS = 24
ROUNDS = 6
PATH = f"/v1/models/{MODEL}/predict"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "home", "--workers", "1", command=SLEEPING) as running:
        yield running


def test_everyone_gets_their_own_answer_and_only_the_poisonous_caller_an_error(server: RunningServer) -> None:
    token = server.token(server.create_client("crowd", f"predict:{MODEL}", rate="1000000/minute"))

    def ask(caller: int) -> list[int]:
        statuses = []
        for turn in range(ROUNDS):
            if caller == 0:
                reply = server.post_json(PATH, {"features": [-1, 0, 0, 0]}, token)
                assert "cannot bear" not in reply.body.decode()
            elif caller % 2:
                reply = server.post_json(PATH, {"features": [caller, turn, 0, 0]}, token)
                assert reply.json()["prediction"] == caller + turn
            else:
                reply = server.post_json(PATH, {"instances": [[caller, turn, row, 0] for row in range(3)]}, token)
                assert reply.json()["predictions"] == [caller + turn + row for row in range(3)]
            statuses.append(reply.status)
        return statuses

    with ThreadPoolExecutor(CALLERS) as callers:
        statuses = list(callers.map(ask, range(CALLERS)))
    assert statuses == [[500] * ROUNDS, *([[200] * ROUNDS] * (CALLERS - 1))]

    singles, triples = CALLERS // 2, CALLERS // 2 - 1
    rows = ROUNDS * (singles + 3 * triples)
    assert server.metric("secure_ml_api_rows_total", model=MODEL) == rows
    assert server.metric("secure_ml_api_batch_rows_sum", model=MODEL) == rows
    assert server.metric("secure_ml_api_predictions_total", model=MODEL, outcome="predicted") == rows
    assert server.metric("secure_ml_api_predictions_total", model=MODEL, outcome="failed") == ROUNDS
    assert server.metric("secure_ml_api_queue_seconds_count", model=MODEL) == ROUNDS * CALLERS
    runs = server.metric("secure_ml_api_batch_rows_count", model=MODEL)
    assert runs == server.metric("secure_ml_api_inference_seconds_count", model=MODEL)


def test_a_crowd_without_poison_shares_its_runs(server: RunningServer) -> None:
    token = server.token(server.create_client("crowd", f"predict:{MODEL}", rate="1000000/minute"))
    with ThreadPoolExecutor(CALLERS) as callers:
        replies = list(callers.map(lambda n: server.post_json(PATH, {"features": [n, 0, 0, 0]}, token), range(200)))
    assert [reply.json()["prediction"] for reply in replies] == list(range(200))
    assert server.metric("secure_ml_api_batch_rows_count", model=MODEL) < 200
    assert server.metric("secure_ml_api_batch_rows_sum", model=MODEL) == 200
