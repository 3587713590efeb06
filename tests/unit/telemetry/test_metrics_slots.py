"""Counting in the files of worker slots: nothing is lost with a worker, and the gauges of the dead are gone."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import values

from secure_ml_api.telemetry import cells, slots
from secure_ml_api.telemetry import metrics as metrics_module
from secure_ml_api.telemetry.metrics import Metrics
from support.metric_catalogue import assert_is_the_contract, drifted, sample, use_everything
from support.needs import program

# The workers of the server are forked from a process with one thread; other tests may have left threads in this one.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A process that counts in files, as the master of a server does."""
    monkeypatch.setenv(slots.DIRECTORY_VARIABLE, "")
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setattr(slots, "_slot", None)
    metrics_module._catalogue_of.cache_clear()
    slots.use_directory(tmp_path / "run" / "metrics")
    yield tmp_path / "run" / "metrics"
    cells.forget_all()
    metrics_module._catalogue_of.cache_clear()


def in_worker(slot: int, work: Callable[[], None]) -> None:
    """Run ``work`` in a forked process that has ``slot``, and end it without a word, as kill -9 does."""

    def run() -> None:
        slots.take_slot(slot)
        work()
        os._exit(0)

    slots.prepare_slot(slot)
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(30)
    assert process.exitcode == 0


def assert_nothing_was_lost(metrics: Metrics) -> None:
    assert not metrics.mend()


def test_numbers_of_all_slots_are_added_up(directory: Path) -> None:
    metrics = Metrics()
    for slot in (0, 1, 2):
        in_worker(slot, lambda: metrics.rejected("overloaded"))
    assert sample(metrics, "secure_ml_api_rejected_total", reason="overloaded") == 3


def test_worker_whose_files_are_lost_while_it_is_forked_makes_them_anew(directory: Path) -> None:
    metrics = Metrics()

    def run() -> None:
        shutil.rmtree(directory)
        slots.take_slot(1)
        metrics.rejected("overloaded")
        os._exit(0)

    slots.prepare_slot(1)
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert sample(metrics, "secure_ml_api_rejected_total", reason="overloaded") == 1


def test_next_worker_in_a_slot_goes_on_counting_in_its_files(directory: Path) -> None:
    metrics = Metrics()
    before = -1
    for count in (1, 2, 3):
        in_worker(0, lambda: metrics.rejected("overloaded"))
        assert sample(metrics, "secure_ml_api_rejected_total", reason="overloaded") == count
        files = len(list(directory.iterdir()))
        assert before in (-1, files)
        before = files


def test_workers_tell_apart_how_they_are_and_cpu_goes_on_with_the_next_in_the_slot(directory: Path) -> None:
    metrics = Metrics()
    for slot in (0, 1, 1):
        in_worker(slot, lambda slot=slot: use_everything_as(metrics, slot))  # type: ignore[misc]
    assert sample(metrics, "secure_ml_api_worker_waiting", worker="0") == 10
    assert sample(metrics, "secure_ml_api_worker_waiting", worker="1") == 11
    assert sample(metrics, "secure_ml_api_worker_in_flight", worker="1") == 1
    assert sample(metrics, "secure_ml_api_worker_cpu_seconds_total", worker="1") == 0.5
    slots.forget_slot(1)
    assert 'worker="1"' not in metrics.exposition()[0].decode().replace("worker_cpu_seconds_total{worker", "")
    assert sample(metrics, "secure_ml_api_worker_cpu_seconds_total", worker="1") == 0.5


def use_everything_as(metrics: Metrics, slot: int) -> None:
    metrics.in_flight_changed(1)
    metrics.worker_started(slot)
    metrics.worker_is(slot, waiting=10 + slot, resident_bytes=1, cpu_seconds=0.25)
    metrics.worker_connections(slot, 1)


def test_ends_of_workers_are_seen_at_zero_and_counted_although_the_files_were_lost(directory: Path) -> None:
    metrics = Metrics()
    assert b'secure_ml_api_workers_ended_total{reason="relief"} 0.0' in metrics.exposition()[0]
    shutil.rmtree(directory)
    metrics.worker_ended("died")
    assert sample(metrics, "secure_ml_api_workers_ended_total", reason="died") == 1


def test_gauges_of_a_dead_worker_are_gone_and_its_counters_stay(directory: Path) -> None:
    metrics = Metrics()
    in_worker(0, lambda: use_everything(metrics))
    assert sample(metrics, "secure_ml_api_in_flight") == 1
    slots.forget_slot(0)
    assert sample(metrics, "secure_ml_api_in_flight") == 0
    assert sample(metrics, "secure_ml_api_model_info") == 0
    assert sample(metrics, "secure_ml_api_rows_total", model="iris") == 3


def test_model_that_only_the_master_knows_is_not_shown(directory: Path) -> None:
    metrics = Metrics()
    metrics.model_loaded("iris", "1", "onnx", "sha256:0")
    assert sample(metrics, "secure_ml_api_model_info") == 0


def test_model_loaded_before_the_fork_is_shown_by_a_worker_that_has_started(directory: Path) -> None:
    metrics = Metrics()
    metrics.model_loaded("iris", "1", "onnx", "sha256:0")
    in_worker(0, lambda: assert_nothing_was_lost(metrics))
    assert sample(metrics, "secure_ml_api_model_info", model="iris") == 1


def test_second_catalogue_of_a_process_counts_in_the_same_place(directory: Path) -> None:
    Metrics().rejected("overloaded")
    Metrics().rejected("overloaded")
    assert sample(Metrics(), "secure_ml_api_rejected_total", reason="overloaded") == 2


def test_worker_whose_files_were_deleted_makes_them_anew_and_keeps_its_gauges(directory: Path) -> None:
    metrics = Metrics()

    def work() -> None:
        use_everything(metrics)
        shutil.rmtree(directory.parent)
        assert metrics.mend()
        assert not metrics.mend()
        metrics.in_flight_changed(1)
        metrics.rejected("overloaded")

    in_worker(0, work)
    assert sample(metrics, "secure_ml_api_in_flight") == 2
    assert sample(metrics, "secure_ml_api_model_info", model="iris") == 1
    assert sample(metrics, "secure_ml_api_rejected_total", reason="overloaded") == 1


def test_catalogue_in_files_is_the_one_of_the_contract_and_promtool_accepts_it(directory: Path) -> None:
    metrics = Metrics()
    metrics.drift.found = drifted
    in_worker(0, lambda: use_everything(metrics))
    body, _ = metrics.exposition()
    assert_is_the_contract(body.decode())
    promtool = program("promtool", "prometheus")
    checked = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, timeout=60, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_file_that_a_starting_worker_has_just_made_does_not_spoil_the_others(directory: Path) -> None:
    metrics = Metrics()
    in_worker(0, lambda: metrics.rejected("overloaded"))
    (directory / "counter_worker_1.db").touch()
    assert sample(metrics, "secure_ml_api_rejected_total", reason="overloaded") == 1
