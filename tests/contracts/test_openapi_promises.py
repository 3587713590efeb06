"""The OpenAPI document is true at both doors: what it allows is taken, what it forbids is refused, and as it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import copied
from support.application import Application
from support.explorer import Exploration, explore, load

PREDICTING = "predict$|infer$"
# A limit is a limit: on its two sides there are bodies of this many rows, and nobody waits for thousands of them.
MAX_ROWS = 100


@pytest.fixture(scope="module")
def application(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    home = copied(prepared_home, tmp_path_factory.mktemp("application"))
    with Application(home, inference={"max_rows": MAX_ROWS}) as running:
        yield running


@pytest.fixture(scope="module", params=["flask", "lane"])
def schema(request: pytest.FixtureRequest, application: Application) -> Any:
    """The whole document behind Flask; behind the lane the routes that it answers."""
    lane = application.house.lane
    assert lane is not None
    token = application.token("predict:*", "models:read", "models:admin")
    record, secret = application.house.stores.clients.create("explorer-" + request.param, ("predict:*",))
    app, only = (lane.behind, "") if request.param == "flask" else (lane, PREDICTING)
    return load(app, token, (record.client_id, secret), only=only)


def explored(schema: Any, phase: str, max_examples: int, checks: int) -> Exploration:
    """What was found, at least ``checks`` checks having been made: none of it unfit for the document."""
    found = explore(schema, phase, max_examples)
    assert not found.failures, "\n\n".join(found.failures[:10])
    assert found.checks >= checks
    return found


def test_its_examples_are_answered(schema: Any) -> None:
    statuses = explored(schema, "examples", 1, checks=100).statuses
    for path in ("/v1/models/{name}/predict", "/v1/models/{name}:predict", "/v2/models/{name}/infer"):
        assert statuses[f"POST {path}"] == {200}


def test_every_limit_it_sets_holds_on_both_sides(schema: Any) -> None:
    statuses = explored(schema, "coverage", 1, checks=10_000).statuses
    typed = [label for label in statuses if label.endswith("/predict") and "{" not in label]
    assert len(typed) == 5
    assert all(statuses[label] >= {200, 400, 422} for label in typed)
    reading = [label for label in statuses if label.startswith("GET ")]
    assert all(200 in statuses[label] for label in reading)


def test_models_are_loaded_and_unloaded_as_it_says(home: Path) -> None:
    with Application(home) as application:
        token = application.token("models:admin")
        lane = application.house.lane
        assert lane is not None
        found = explore(load(lane.behind, token, ("", ""), only="repository/models"), "coverage", 1)
    assert not found.failures, "\n\n".join(found.failures[:10])
    assert {action for label in found.statuses for action in ("load", "unload") if label.endswith(f"/{action}")}
    assert all({200, 404} <= statuses for statuses in found.statuses.values())


def test_requests_drawn_from_it_are_answered_as_it_says(schema: Any) -> None:
    explored(schema, "fuzzing", 10, checks=1000)


def test_what_one_answer_gives_may_be_sent_with_the_next_request(schema: Any) -> None:
    explored(schema, "stateful", 8, checks=100)
