"""A model's life behind four real workers under load: no step of it costs a request.

The server is started once. Half of the steps are taken with workers of one class, half with the other; the tests after
them find threads alone, and from the canaries on workers that answer in place.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from conftest import copied
from secure_ml_api.cli.stores import opened
from secure_ml_api.models.changes import Changes
from secure_ml_api.models.life import Canary, is_in_canary
from secure_ml_api.models.withheld import Withheld
from secure_ml_api.settings import read_settings
from support.graphs import big_graph, failing_graph
from support.living import ROW, TINY, WORKERS, Living
from support.memory import workers_mib
from support.open_loop import OpenLoop
from support.packages import publish, store_in
from support.request_bytes import post
from support.server import ClientSecret, RunningServer, command_line, wait_until
from support.worker_classes import switch

BIG_MIB = 64


@pytest.fixture(scope="module")
def living(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    home = copied(prepared_home, tmp_path_factory.mktemp("life"))
    store = store_in(home)
    publish(store, version="1")
    publish(store, version="2", weights=(3.0, 4.0))
    store.promote("tiny", "1")
    with RunningServer(home, "--workers", str(WORKERS)) as server:
        yield Living(server)


def test_no_request_fails_through_twenty_steps_of_a_models_life(living: Living) -> None:
    requests = [
        post(TINY, ROW, living.caller),
        post("/v1/models/iris-tree/predict", {"features": [5, 3, 1, 0.2]}, living.caller),
    ]
    with OpenLoop(living.server.port, lambda number: requests[number % 2], rate=100, seconds=120) as load:
        load.wait_for_flow()
        for version, worker_class in (("3", "inplace"), ("4", "gthread")):
            switch(living.server, worker_class)
            publish(living.store, version=version, weights=(float(version), 0.0))
            publish(living.store, name="spare", version=version)
            assert living.repository("spare", "load").status == 200
            assert living.repository("tiny", "load").status == 200
            living.models("shadow", "tiny", version)
            living.models("canary", "tiny", version, "--percent", "50")
            living.models("promote", "tiny", version)
            assert set(living.versions(WORKERS)) == {version}
            living.models("rollback", "tiny")
            assert living.repository("spare", "unload").status == 200
            assert living.repository("iris", "unload").status == 200
            assert living.repository("iris", "load").status == 200
            living.models("promote", "tiny", "1")
        load.stop()
    assert len(load.outcome.answers) > 500
    assert set(load.outcome.statuses()) == {200}, load.outcome.errors()


def test_change_is_true_on_every_worker_when_its_caller_is_told(living: Living) -> None:
    assert living.repository("iris", "unload").json() == {"name": "iris", "unload": True}
    path, row = "/v1/models/iris/predict", {"features": [5.1, 3.5, 1.4, 0.2]}
    replies = [living.server.post_json(path, row, living.caller) for _ in range(4 * WORKERS)]
    assert {reply.status for reply in replies} == {404}
    assert living.server.get("/v2/health/ready").status == 200
    index = living.server.post_json("/v2/repository/index", {}, living.operator).json()
    assert {"name": "iris", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"} in index
    assert living.repository("iris", "load").json() == {"name": "iris", "load": True}
    replies = [living.server.post_json(path, row, living.caller) for _ in range(4 * WORKERS)]
    assert {reply.status for reply in replies} == {200}


def test_what_is_removed_serves_on_no_worker_when_the_command_ends(living: Living) -> None:
    for version in ("1", "2"):
        publish(living.store, name="doomed", version=version)
    assert living.repository("doomed", "load").status == 200
    living.models("remove", "doomed", "1")
    assert _statuses(living, "/v1/models/doomed/versions/1/predict") == {404}
    assert _statuses(living, "/v1/models/doomed/predict") == {200}
    living.models("remove", "doomed", "2")  # the last
    assert _statuses(living, "/v1/models/doomed/predict") == {404}
    index = living.server.post_json("/v2/repository/index", {}, living.operator).json()
    assert "doomed" not in {entry["name"] for entry in index}


def _statuses(living: Living, path: str) -> set[int]:
    return {living.server.post_json(path, ROW, living.caller).status for _ in range(4 * WORKERS)}


def test_model_that_there_is_not_cannot_be_loaded(living: Living) -> None:
    assert living.repository("nothing", "load").status == 404
    assert living.repository("nothing", "unload").status == 404


def test_version_that_does_not_load_is_said_and_leaves_the_old_one(living: Living) -> None:
    publish(living.store, version="5")
    (living.store.models_directory / "tiny" / "5" / "model.onnx").write_bytes(b"something else")
    reply = living.repository("tiny", "load")
    assert reply.status == 200  # the model serves
    assert list(reply.json()["problems"]) == ["5"]
    assert "not the file that was signed" in reply.json()["problems"]["5"]
    assert set(living.versions()) == {"1"}
    ready = living.server.get("/v2/health/ready")
    assert (ready.status, ready.json()["models_with_problems"]) == (200, 1)
    assert "1 model (tiny)" in ready.json()["detail"]
    index = living.server.post_json("/v2/repository/index", {}, living.operator).json()
    (broken,) = [entry for entry in index if (entry["name"], entry["version"]) == ("tiny", "5")]
    assert "not the file that was signed" in broken["reason"]
    living.store.remove("tiny", "5")
    assert living.repository("tiny", "load").json() == {"name": "tiny", "load": True}
    assert living.server.get("/v2/health/ready").json() == {"ready": True, "live": True}


def test_only_those_who_may_administer_models_change_them(living: Living) -> None:
    reply = living.server.post_json("/v2/repository/models/iris/unload", {}, living.caller)
    assert (reply.status, reply.json()["type"].rpartition("#")[2]) == (403, "insufficient_scope")
    assert living.server.post_json("/v2/repository/models/iris/unload", {}).status == 401


def test_worker_that_replaces_a_killed_one_knows_what_was_decided(living: Living) -> None:
    living.models("promote", "tiny", "2")
    living.server.kill_worker()
    assert set(living.versions()) == {"2"}
    changes = Changes(living.server.home / "run")  # the new one answers, and then says what it has taken
    wait_until(lambda: len(changes.reports()) == WORKERS, what="the report of the new worker")
    living.models("rollback", "tiny")
    assert set(living.versions()) == {"1"}


def test_callers_of_a_canary_stay_on_their_side_and_the_answer_says_which(living: Living) -> None:
    switch(living.server, "inplace")
    living.models("canary", "tiny", "2", "--percent", "50")
    expected: dict[ClientSecret, str] = {}
    with opened(read_settings(living.server.home, {})) as stores:  # not by the command, which costs a process each
        while len(set(expected.values())) < 2 or len(expected) < 4:  # until there is somebody on each side
            record, secret = stores.clients.create(f"side-{len(expected)}", ["predict:tiny"])
            side = "2" if is_in_canary("tiny", record.client_id, 50) else "1"
            expected[ClientSecret(record.client_id, secret)] = side
    for client, side in expected.items():
        assert set(living.versions(WORKERS, living.server.token(client))) == {side}
    living.models("canary", "tiny", "--off")
    assert set(living.versions()) == {"1"}


def test_answers_of_a_shadow_are_counted_and_never_given(living: Living) -> None:
    before = living.metric("shadow_compared_total", model="tiny", version="2", outcome="different")
    living.models("shadow", "tiny", "2")
    assert set(living.versions()) == {"1"}
    counted = 4 * WORKERS
    wait_until(
        lambda: (
            living.metric("shadow_compared_total", model="tiny", version="2", outcome="different") == before + counted
        )
    )
    living.models("shadow", "tiny", "--off")


def test_canary_that_fails_is_taken_back_by_the_server_itself(living: Living) -> None:
    publish(living.store, version="6", graph=failing_graph())
    living.models("canary", "tiny", "6", "--percent", "100", "--max-error-rate", "0.2", "--minimum-requests", "2")
    statuses = Counter(living.server.post_json(TINY, ROW, living.caller).status for _ in range(4 * WORKERS))
    assert statuses[500]
    wait_until(lambda: living.store.life("tiny").canary is None, what="the end of the canary")
    wait_until(lambda: living.server.post_json(TINY, ROW, living.caller).status == 200)
    assert living.metric("canaries_rolled_back_total", model="tiny", version="6") == 1
    wait_until(lambda: any(line["message"].startswith("a canary is taken back") for line in living.server.log_lines()))


def test_canary_that_no_worker_alone_has_seen_enough_of_is_taken_back_once(living: Living) -> None:
    minimum = 40
    publish(living.store, version="7", graph=failing_graph())
    living.models(
        "canary", "tiny", "7", "--percent", "100", "--max-error-rate", "0.2", "--minimum-requests", str(minimum)
    )
    with ThreadPoolExecutor(2 * WORKERS) as callers:
        asked = callers.map(lambda _: living.server.post_json(TINY, ROW, living.caller).status, range(minimum - 1))
        assert set(asked) == {500}
    wait_until(lambda: sum(living.tried()) == minimum - 1, what="the counts of all workers")
    assert max(living.tried()) < minimum - 1
    assert living.store.life("tiny").canary is not None
    living.server.post_json(TINY, ROW, living.caller)
    wait_until(lambda: living.store.life("tiny").canary is None, what="the end of the canary")
    wait_until(lambda: living.metric("canaries_rolled_back_total", model="tiny", version="7") == 1)
    wait_until(lambda: living.server.post_json(TINY, ROW, living.caller).status == 200)
    told = [line for line in living.server.log_lines() if line["message"].startswith("a canary is taken back")]
    assert [line["version"] for line in told].count("7") == 1
    ended = [event["details"] for event in living.events() if event["outcome"] == "rolled back"]
    reasons = [details["reason"] for details in ended if details["version"] == "7"]
    assert reasons == [f"100.0% of {minimum} requests failed, and 20.0% may"]
    assert living.metric("canaries_rolled_back_total", model="tiny", version="7") == 1


def test_who_decided_what_is_in_the_audit_trail(living: Living) -> None:
    living.repository("iris", "load")
    kinds = {event["event"] for event in living.events()}
    assert {"model.load", "model.unload", "model.promote", "model.canary", "model.shadow"} <= kinds


def test_unloading_gives_the_memory_back(living: Living) -> None:
    publish(living.store, name="big", graph=big_graph(BIG_MIB))
    before = workers_mib(living.server)
    assert living.repository("big", "load").status == 200
    loaded = workers_mib(living.server)
    assert living.repository("big", "unload").status == 200
    after = workers_mib(living.server)
    assert loaded - before > 0.9 * WORKERS * BIG_MIB
    assert after - before < 0.2 * (loaded - before)


def test_what_was_decided_holds_after_a_restart(living: Living, tmp_path: Path) -> None:
    home = copied(living.server.home, tmp_path)
    store = store_in(home)
    store.unload("iris")
    store.promote("tiny", "2")
    with ExitStack() as stack:
        server = stack.enter_context(RunningServer(home, "--workers", "1"))
        client = command_line(home, "clients", "create", "again", "--scope", "predict:*")
        token = server.token(ClientSecret(client["client_id"], client["client_secret"]))
        assert server.post_json(TINY, ROW, token).json()["version"] == "2"
        assert server.post_json("/v1/models/iris/predict", {"features": [5.1, 3.5, 1.4, 0.2]}, token).status == 404


def test_a_canary_that_was_withheld_stays_so_after_a_restart(living: Living, tmp_path: Path) -> None:
    home = copied(living.server.home, tmp_path)
    store, settings = store_in(home), read_settings(home, {})
    store.promote("tiny", "1")
    store.set_canary("tiny", Canary(version="2", percent=100))
    Withheld.of(settings).add("tiny")
    with RunningServer(home, "--workers", "1") as server:
        token = server.token(server.create_client("again", "predict:*"))
        assert server.post_json(TINY, ROW, token).json()["version"] == "1"


def test_json_of_every_command_is_for_programs(living: Living) -> None:
    told = command_line(
        living.server.home, "models", "canary", "tiny", "2", "--percent", "5", "--max-error-rate", "0.5"
    )
    assert json.loads(json.dumps(told))["canary"] == {
        "version": "2",
        "percent": 5.0,
        "max_error_rate": 0.5,
        "max_latency_ratio": None,
        "minimum_requests": 100,
    }
    living.models("canary", "tiny", "--off")
