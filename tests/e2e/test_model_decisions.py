"""What nobody commands a running server to do, and what it goes on doing after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import skops.io
from sklearn.linear_model import LinearRegression

from conftest import copied
from secure_ml_api.cli.init import prepare
from secure_ml_api.cli.stores import opened
from secure_ml_api.models.life import is_in_canary
from secure_ml_api.models.store import Store
from secure_ml_api.runtimes.onnx import MODEL_FILE
from secure_ml_api.settings import read_settings
from support.graphs import slow_graph
from support.one_worker import of_each_worker
from support.open_loop import OpenLoop
from support.packages import publish, store_in
from support.request_bytes import post
from support.server import ClientSecret, RunningServer, command_line, wait_until

WORKERS = 2
TINY = "/v1/models/tiny/predict"
ROW = {"features": [1, 2]}
SLOW_TURNS = 2_000
WATCHING = {"SECURE_ML_API_MODELS__WATCH_SECONDS": "0.2"}


class Deciding:
    """A server that watches its models folder, where version 1 of ``tiny`` serves and 2 is there."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.store: Store = store_in(server.home)
        self.sides = {side: self._caller_on(side) for side in ("1", "2")}

    def _caller_on(self, side: str) -> str:
        """A token of one whom a canary of half of the callers, of version 2, has answered by version ``side``."""
        with opened(read_settings(self.server.home, {})) as stores:  # not by the command, which costs a process each
            for number in count():
                record, secret = stores.clients.create(f"on {side} {number}", ["predict:*"], requests="9999999/minute")
                if is_in_canary("tiny", record.client_id, 50) is (side == "2"):
                    return self.server.token(ClientSecret(record.client_id, secret))
        raise AssertionError("nobody is on that side")

    def version(self, token: str, asked: str = "", *, model: str = "tiny", on: RunningServer | None = None) -> str:
        """Who answers, of the version or alias ``asked``, on this server or another; the status if nobody does."""
        asked = f"/versions/{asked}" if asked else ""
        reply = (on or self.server).post_json(f"/v1/models/{model}{asked}/predict", ROW, token)
        return str(reply.json()["version"] if reply.status == 200 else reply.status)

    def is_everywhere(self, model: str, version: str) -> bool:
        """Whether every worker answers for ``model`` with this version."""
        given = of_each_worker(self.server, lambda: self.version(self.sides["1"], model=model))
        return given == [version] * WORKERS


@pytest.fixture(scope="module")
def deciding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deciding]:
    home = tmp_path_factory.mktemp("decisions") / "home"
    prepare(read_settings(home, {}), examples=False)
    store = store_in(home)
    publish(store, version="1")
    publish(store, version="2", weights=(3.0, 4.0))
    store.promote("tiny", "1")
    with RunningServer(home, "--workers", str(WORKERS), environ=WATCHING) as server:
        yield Deciding(server)


def test_version_that_is_packed_into_a_watched_folder_serves_without_a_command(
    deciding: Deciding, tmp_path: Path
) -> None:
    rows = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [2.0, 3.0]]
    skops.io.dump(LinearRegression().fit(rows, [first + 2 * second for first, second in rows]), tmp_path / "m.skops")
    (tmp_path / "rows.csv").write_text("a,b\n" + "".join(f"{first},{second}\n" for first, second in rows))
    publish(deciding.store, name="watched")
    wait_until(lambda: deciding.is_everywhere("watched", "1"), what="the first version on every worker")
    arguments = [str(tmp_path / "m.skops"), "--sample", str(tmp_path / "rows.csv"), "--name", "watched"]
    packed = command_line(deciding.server.home, "models", "pack", *arguments)
    assert packed["version"] == "2"
    wait_until(lambda: deciding.is_everywhere("watched", "2"), what="the packed version on every worker")


def test_bad_version_in_a_watched_folder_is_refused_and_told(deciding: Deciding) -> None:
    publish(deciding.store, name="spoiled")
    wait_until(lambda: deciding.is_everywhere("spoiled", "1"), what="the first version on every worker")
    there, aside = deciding.store.models_directory / "spoiled" / "2", deciding.server.home / "aside"
    publish(deciding.store, name="elsewhere", version="2")
    (deciding.store.models_directory / "elsewhere" / "2").rename(aside)
    (aside / MODEL_FILE).write_bytes(b"something else")
    aside.rename(there)
    wait_until(lambda: "spoiled" in deciding.server.get("/v2/health/ready").json().get("detail", ""))
    refused = [line for line in deciding.server.log_lines() if line.get("model") == "spoiled/2"]
    assert refused
    assert all(line["message"].startswith("model refused: spoiled/2") for line in refused)
    assert deciding.is_everywhere("spoiled", "1")
    deciding.store.remove("spoiled", "2")
    wait_until(lambda: "spoiled" not in deciding.server.get("/v2/health/ready").json().get("detail", ""))


def test_canary_shadow_and_alias_are_the_same_after_a_restart(deciding: Deciding, tmp_path: Path) -> None:
    command_line(deciding.server.home, "models", "alias", "tiny", "candidate", "2")
    command_line(deciding.server.home, "models", "canary", "tiny", "2", "--percent", "50")
    command_line(deciding.server.home, "models", "shadow", "tiny", "2")
    assert _as_decided(deciding, deciding.server) == {"1": "1", "2": "2", "candidate": "2"}
    home = copied(deciding.server.home, tmp_path)
    for what in ("canary", "shadow"):
        command_line(deciding.server.home, "models", what, "tiny", "--off")
    with RunningServer(home, "--workers", str(WORKERS)) as again:
        assert _as_decided(deciding, again) == {"1": "1", "2": "2", "candidate": "2"}


def _as_decided(deciding: Deciding, server: RunningServer) -> dict[str, str]:
    """Who answers the callers on each side, and who asks for the alias, once the shadow of the first has answered."""
    counted = {"model": "tiny", "version": "2", "outcome": "different"}
    before = server.metric("secure_ml_api_shadow_compared_total", **counted)
    given = {side: deciding.version(token, on=server) for side, token in deciding.sides.items()}
    wait_until(lambda: server.metric("secure_ml_api_shadow_compared_total", **counted) > before, what="the shadow")
    return {**given, "candidate": deciding.version(deciding.sides["1"], "candidate", on=server)}


def test_canary_that_is_slower_is_taken_back_while_its_callers_are_answered(deciding: Deciding) -> None:
    publish(deciding.store, version="3", graph=slow_graph(SLOW_TURNS))
    requests = [post(TINY, ROW, token) for token in deciding.sides.values()]
    with OpenLoop(deciding.server.port, lambda number: requests[number % 2], rate=50, seconds=60) as load:
        load.wait_for_flow()
        rules = ("--percent", "50", "--max-latency-ratio", "3", "--minimum-requests", "20")
        command_line(deciding.server.home, "models", "canary", "tiny", "3", *rules)
        assert deciding.version(deciding.sides["2"]) == "3"
        wait_until(lambda: deciding.store.life("tiny").canary is None, 60, "the end of the canary")
        wait_until(lambda: deciding.version(deciding.sides["2"]) == "1", what="the version that serves")
        load.stop()
    assert set(load.outcome.statuses()) == {200}, load.outcome.errors()
    labels = {"model": "tiny", "version": "3"}
    wait_until(lambda: deciding.server.metric("secure_ml_api_canaries_rolled_back_total", **labels) == 1)
    (told,) = [line for line in deciding.server.log_lines() if "a canary is taken back" in line["message"]]
    assert (told["model"], told["version"]) == ("tiny", "3")
    assert "times as long as what serves, and 3 is allowed" in told["message"]
    trail: list[dict[str, Any]] = command_line(deciding.server.home, "audit", "list")
    (ended,) = [event["details"] for event in trail if event["outcome"] == "rolled back"]
    assert ended["version"] == "3"
    assert "times as long as what serves, and 3 is allowed" in ended["reason"]
