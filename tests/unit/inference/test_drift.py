"""Rows are counted by worker, added up over workers, and forgotten when their window has passed."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import numpy as np
import pytest

from secure_ml_api.errors import Refusal
from secure_ml_api.inference.call import Call
from secure_ml_api.inference.drift import Drift
from secure_ml_api.inference.spine import predict
from secure_ml_api.inference.tally import Bins, Tally
from secure_ml_api.inference.tally_files import Counted, TallyFiles, Version
from secure_ml_api.inference.together import arrive, walk
from secure_ml_api.models.model import Model
from secure_ml_api.models.pace import Pace
from secure_ml_api.models.reference import Reference
from secure_ml_api.setting_sections import DriftSettings
from secure_ml_api.tensors import Tensors
from support.signatures import IRIS
from support.spine import FakeManifest, FakeModel, Rooms

GENERATOR = np.random.default_rng(5)
IRIS_1 = Version("iris", "1", "sha256:0")
SLOW = Pace(one_seconds=1.0, many_seconds=1.1, many_rows=32, rows_are_independent=True)
QUICK = Pace(one_seconds=10e-6, many_seconds=20e-6, many_rows=32, rows_are_independent=True)
# The workers of the server are forked from a process with one thread; other tests may have left threads in this one.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
SETTINGS = DriftSettings(rows_per_second=1000, min_rows=300)


def rows_like_the_sample(rows: int, shift: float = 0.0) -> Tensors:
    made = GENERATOR.normal(size=(rows, 4)).astype(np.float32)
    made[:, 1] += shift
    return {"input": made}


REFERENCE = Reference.of(rows_like_the_sample(2000), IRIS)
assert REFERENCE is not None


def model(**parts: Any) -> Model:
    return cast("Model", FakeModel(None, manifest=FakeManifest(reference=REFERENCE), **parts))


def watching(directory: Path, *models: Model, slot: int = 0, settings: DriftSettings = SETTINGS) -> Drift:
    drift = Drift(settings, directory / "run" / "drift")
    drift.start_worker(slot, models)
    return drift


def indices(drift: Drift) -> dict[str, float]:
    (found,) = drift.found()
    return dict(found.indices)


def test_rows_as_in_the_sample_do_not_drift_and_one_shifted_feature_does(tmp_path: Path) -> None:
    asked = model()
    drift = watching(tmp_path, asked)
    for number in range(2):
        drift.offer(asked, rows_like_the_sample(500, shift=3.0 * number), 500)
        drift.tally()
        found = indices(drift)
        assert set(found) == set(IRIS.column_names)
        assert all(found[name] < 0.1 for name in IRIS.column_names if name != "sepal width")
        assert (found["sepal width"] > 0.25) == bool(number)


def test_nothing_is_said_of_too_few_rows(tmp_path: Path) -> None:
    asked = model()
    drift = watching(tmp_path, asked)
    for said in (0, 1):
        drift.offer(asked, rows_like_the_sample(299 + said), 299 + said)
        drift.tally()
        assert len(list(drift.found())) == said


def test_tallies_of_two_processes_are_added_up(tmp_path: Path) -> None:
    asked = model()

    def work(slot: int) -> None:
        drift = watching(tmp_path, asked, slot=slot)
        drift.offer(asked, rows_like_the_sample(200), 200)
        drift.tally()
        os._exit(0)

    forking = multiprocessing.get_context("fork")
    for process in [forking.Process(target=work, args=(slot,)) for slot in (0, 1)]:
        process.start()
        process.join(30)
        assert process.exitcode == 0
    reader = watching(tmp_path, asked, slot=2)
    (found,) = reader.found()
    assert (found.model, found.version, found.rows) == ("iris", "1", 400)


def test_nothing_is_seen_of_models_without_a_reference_and_when_it_is_switched_off(tmp_path: Path) -> None:
    plain = cast("Model", FakeModel(None))
    for drift, asked in [
        (watching(tmp_path, plain), plain),
        (watching(tmp_path, off := model(), settings=DriftSettings(enabled=False)), off),
        (Drift(), model()),
    ]:
        drift.offer(asked, rows_like_the_sample(1), 1)
        drift.tally()
        assert list(drift.found()) == []
    assert not (tmp_path / "run").exists()


def test_a_model_that_is_loaded_anew_goes_on_and_one_that_is_gone_is_not_shown(tmp_path: Path) -> None:
    drift = watching(tmp_path, asked := model())
    drift.offer(asked, rows_like_the_sample(400), 400)
    drift.tally()
    drift.watch([again := model()])
    drift.offer(asked, rows_like_the_sample(400), 400)
    drift.offer(again, rows_like_the_sample(100), 100)
    drift.tally()
    assert [found.rows for found in drift.found()] == [500]
    drift.watch([model(digest="sha256:1")])
    drift.tally()
    assert list(drift.found()) == []


def test_rows_that_cannot_be_copied_end_the_watch_and_nobody_hears_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drift = watching(tmp_path, asked := model(), other := model(name="other"))
    for _ in range(2):
        drift.offer(asked, {"input": cast("Any", None)}, 1)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    drift.offer(other, rows_like_the_sample(400), 400)
    drift.tally()
    assert [found.model for found in drift.found()] == ["other"]


def test_files_that_are_lost_are_made_anew_and_one_that_is_damaged_says_nothing(tmp_path: Path) -> None:
    drift = watching(tmp_path, asked := model())
    for _ in range(2):
        drift.offer(asked, rows_like_the_sample(300), 300)
        drift.tally()
        assert len(list(drift.found())) == 1
        shutil.rmtree(tmp_path / "run")
    drift.offer(asked, rows_like_the_sample(1), 1)
    drift.tally()
    for number, text in enumerate((b"", b"{", b"[1, 2]", b"[9e99, [[1]]]", b"\xff"), start=1):
        (tmp_path / "run" / "drift" / str(number)).write_bytes(text)
    assert [found.rows for found in drift.found()] == [601]


@pytest.mark.parametrize("counts", [[1, 2], [-1], ["many"], None, 7])
def test_a_tally_of_other_bins_than_the_package_has_is_no_tally(tmp_path: Path, counts: object) -> None:
    drift = watching(tmp_path, asked := model())
    drift.offer(asked, rows_like_the_sample(300), 300)
    drift.tally()
    told = tmp_path / "run" / "drift"
    until, [[*version, rows, _]] = json.loads((told / "0").read_bytes())
    for slot in ("00", "1"):  # read before what is right, and after
        (told / slot).write_text(json.dumps([until, [[*version, rows, counts]]]))
    assert [found.rows for found in drift.found()] == [300]


def test_a_disk_that_takes_nothing_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"in the way")
    drift = watching(tmp_path, asked := model())
    drift.offer(asked, rows_like_the_sample(300), 300)
    drift.tally()
    assert list(drift.found()) == []
    (tmp_path / "run").unlink()
    drift.tally()
    assert [found.rows for found in drift.found()] == [300]


def test_a_row_counts_for_its_window_and_not_longer() -> None:
    assert REFERENCE is not None
    tally = Tally(Bins(REFERENCE), window_seconds=600.0)
    tally.add([rows_like_the_sample(10)["input"]], now=1000.0)
    tally.add([rows_like_the_sample(5)["input"]], now=1300.0)
    for now, rows in [(1300.0, 15), (1499.0, 15), (1600.0, 5), (1799.0, 5), (1900.0, 0)]:
        counted, counts = tally.counted(now)
        assert (counted, counts.sum()) == (rows, 4 * rows)


def test_drift_that_has_gone_is_forgotten() -> None:
    assert REFERENCE is not None
    bins = Bins(REFERENCE)
    tally = Tally(bins, window_seconds=600.0)
    tally.add([rows_like_the_sample(500, shift=3.0)["input"]], now=1000.0)
    assert bins.drift(tally.counted(1000.0)[1])["sepal width"] > 0.25
    tally.add([rows_like_the_sample(500)["input"]], now=1700.0)
    assert bins.drift(tally.counted(1700.0)[1])["sepal width"] < 0.1


def test_what_a_worker_wrote_that_is_long_dead_is_not_counted(tmp_path: Path) -> None:
    files = TallyFiles(tmp_path)
    for slot, until in enumerate((10.0, 20.0)):
        files.write(slot, {IRIS_1: Counted(3, np.array([1, 2]))}, until)
    assert [files.read(now, {IRIS_1: 2})[IRIS_1].rows for now in (5.0, 15.0, 25.0)] == [6, 3, 0]


@pytest.mark.parametrize("way", ["alone", "one run for all", "each by itself", "parked"])
def test_whichever_way_they_go_rows_are_seen_once_and_only_when_they_are_answered(tmp_path: Path, way: str) -> None:
    rooms = Rooms(waiting=9)
    asked = rooms.registry.model
    asked.manifest = FakeManifest(reference=REFERENCE, batching="never" if way == "each by itself" else None)
    asked.pace = SLOW if way == "parked" else QUICK
    rooms.drift = watching(tmp_path, cast("Model", asked), settings=DriftSettings(min_rows=1))
    good, bad, late = rooms.call(), rooms.call(b"{"), rooms.call(seconds=-1.0)
    two = rooms.call(b'{"instances": [[1, 2, 3, 4], [5, 6, 7, 8]]}')
    if way == "alone":
        for call in (good, two):
            predict(call, rooms.services())
        for call in (bad, late):
            with pytest.raises(Refusal):
                predict(call, rooms.services())
    else:
        over = SimpleQueue[Call]()
        walk([good, bad, late, two], rooms.services(), over.put)
        arrive([over.get(timeout=30) for call in (good, late, two) if call.job is not None], rooms.services())
    rooms.drift.tally()
    assert [found.rows for found in rooms.drift.found()] == [3]
