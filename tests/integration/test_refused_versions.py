"""What the server says of versions that were refused: all to those who administer models, little to strangers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from secure_ml_api.models.changes import Changes
from support.application import Application
from support.caretaking import report
from support.packages import publish, store_in

READY = "/v2/health/ready"
REASON = "the file is damaged"


@pytest.fixture
def published(home: Path) -> Path:
    """A home where ``tiny`` serves too, and there is no ``secret`` that anyone may know of."""
    publish(store_in(home))
    return home


def serving(home: Path, **sections: dict[str, Any]) -> Iterator[Application]:
    """A worker, beside which another one refuses a version of two models and a file of one of them."""
    with Application(home, **sections) as application:
        changes = Changes(application.settings.run_directory)
        told = {"tiny/2": REASON, "tiny/life.json": REASON, "secret/1": REASON}
        report(changes, 7, changes.wanted().number, told)
        yield application


@pytest.fixture
def application(published: Path) -> Iterator[Application]:
    yield from serving(published)


@pytest.fixture
def discreet(published: Path) -> Iterator[Application]:
    yield from serving(published, server={"publish_models": False})


def test_readiness_counts_the_models_with_problems_and_names_those_that_anyone_may_know(
    application: Application,
) -> None:
    answer = application.client.get(READY)
    assert answer.status_code == 200
    told = answer.get_json()
    assert (told["ready"], told["live"], told["models_with_problems"]) == (True, True, 2)
    assert "2 models (tiny)" in told["detail"]
    assert "secret" not in answer.text
    assert REASON not in answer.text


def test_readiness_names_no_model_where_models_are_not_published(discreet: Application) -> None:
    answer = discreet.client.get(READY)
    assert answer.get_json()["models_with_problems"] == 2
    assert "tiny" not in answer.text


def test_readiness_without_problems_is_as_short_as_ever(published: Path) -> None:
    with Application(published) as application:
        assert application.client.get(READY).get_json() == {"ready": True, "live": True}


def test_repository_index_tells_what_another_worker_found_wrong(application: Application) -> None:
    index = application.client.post("/v2/repository/index", json={}, headers=application.headers("models:admin"))
    (tiny,) = [entry for entry in index.get_json() if entry["name"] == "tiny"]
    assert tiny == {"name": "tiny", "version": "1", "state": "READY", "reason": f"{REASON} (on 1 of 2 workers)"}
