"""Rows that are not like the sample of the package are seen in the metrics, by whichever door they come."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import Client, EnvironBuilder

from secure_ml_api.api.company import Company, Parked
from secure_ml_api.api.lane import FastLane, Wsgi
from secure_ml_api.app import exposition
from secure_ml_api.cli.init import prepare
from secure_ml_api.models.reference import Reference
from secure_ml_api.models.store import Store
from secure_ml_api.settings import read_settings
from support.application import Application
from support.packages import SIGNATURE, publish

GENERATOR = np.random.default_rng(7)
DOORS = ("flask", "lane", "company")
Ask = Callable[[bytes], int]


def rows_like_the_sample(count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return GENERATOR.normal(size=(count, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def drifting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """An application with a model for each door, of one sample, and one without a reference."""
    home = Path(tmp_path_factory.mktemp("drift") / "home")
    settings = read_settings(home, {})
    prepare(settings, examples=False)
    store = Store.of(settings)
    for name in DOORS:
        publish(store, name=name, reference=Reference.of({"input": rows_like_the_sample(2000)}, SIGNATURE))
    publish(store, name="plain")
    with Application(home, drift={"rows_per_second": 10_000, "min_rows": 500}) as application:
        yield application


def indices(application: Application, model: str) -> dict[str, float]:
    application.house.services.drift.tally()  # as housekeeping does once a second
    return {
        sample.labels["feature"]: sample.value
        for family in text_string_to_metric_families(exposition(application.app)[0].decode())
        for sample in family.samples
        if sample.name == "secure_ml_api_feature_drift_psi" and sample.labels["model"] == model
    }


def asker(application: Application, door: str) -> Ask:
    """What sends a body to the model of ``door`` by that door, and returns the status of the answer."""
    lane = application.house.lane
    assert isinstance(lane, FastLane)
    company = Company(lane)
    path, headers = f"/v1/models/{door}/predict", {**application.headers(), "Content-Type": "application/json"}

    def by(app: Wsgi) -> Ask:
        return lambda body: Client(app).post(path, data=body, headers=headers).status_code

    def in_company(body: bytes) -> int:
        sent = [EnvironBuilder(path, method="POST", data=each, headers=list(headers.items())) for each in (body, body)]
        arrived: SimpleQueue[Parked] = SimpleQueue()
        answers = [
            each if isinstance(each, tuple) else company.arrive([arrived.get(timeout=30)])[0]
            for each in company.answer([each.get_environ() for each in sent], arrived.put)
        ]
        (status,) = {int(answer[0].split()[0]) for answer in answers}
        return status

    return {"flask": by(lane.behind), "lane": by(lane), "company": in_company}[door]


@pytest.mark.parametrize("door", DOORS)
def test_shifted_rows_are_seen_and_others_are_not(drifting: Application, door: str) -> None:
    ask = asker(drifting, door)
    for shift in (0.0, 3.0):
        assert bool(indices(drifting, door)) is bool(shift), "nothing is said before 500 rows have come"
        for _ in range(50):
            rows = rows_like_the_sample(10) + np.array([shift, 0], np.float32)
            assert ask(json.dumps({"instances": rows.tolist()}).encode()) == 200
        found = indices(drifting, door)
        assert set(found) == {"a", "b"}
        assert found["a"] > 0.25 if shift else found["a"] < 0.1
        assert found["b"] < 0.1


def test_a_model_that_was_packed_without_a_reference_is_answered_and_not_shown(drifting: Application) -> None:
    assert drifting.predict("plain", {"features": [1, 2]}).status_code == 200
    assert indices(drifting, "plain") == {}
