"""A model's files are changed under a server that serves them: what it verified goes on serving, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.fault_table import Figures
from support.loaded import HANGING, LOAD, QUIETLY, Loaded, in_words
from support.packages import publish, store_in
from support.server import RunningServer
from support.worker_classes import CLASSES, dealt, switch

RATE = 60
ROW = (1.0, 1.0)


def truncate(package: Path) -> None:
    graph = package / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-7])


def flip(package: Path) -> None:
    graph = package / "model.onnx"
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)


def unsign(package: Path) -> None:
    (package / "manifest.sig").unlink()


def swap(package: Path) -> None:
    """Put another model's graph, itself signed and good, in its place."""
    shutil.copy(package.parent / "1" / "model.onnx", package / "model.onnx")


FAULTS: dict[str, Callable[[Path], None]] = {
    "truncated": truncate,
    "flipped": flip,
    "unsigned": unsign,
    "swapped": swap,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """A server that serves the first version of a model for each fault."""
    home = tmp_path_factory.mktemp("files") / "home"
    with RunningServer(home, "--workers", "2", command=HANGING, environ=QUIETLY) as running:
        for name in FAULTS:
            publish(store_in(home), name=name, version="1", weights=(1.0, 0.0))
        yield Loaded(running)


@pytest.mark.parametrize("worker_class", CLASSES, ids="with {}".format)  # together, by one process: one server does
def test_a_version_whose_files_were_changed_is_refused_and_the_one_before_serves(
    server: Loaded, worker_class: str, figures: Figures, full: bool
) -> None:
    running, store, times = server.running, store_in(server.running.home), 5 if full else 1
    faults = [case.fault for case in dealt(list(FAULTS), to_all=full) if case.worker_class == worker_class]
    switch(running, worker_class)
    with server.load_meanwhile(RATE) as load:
        for _ in range(times):
            for name in faults:
                publish(store, name=name, version="2", weights=(2.0, 0.0))
            running.reload()
            for name in faults:
                FAULTS[name](store.models_directory / name / "2")
            # Verified once and loaded from memory: what lies on the disk now is not asked any more …
            assert [answered(server, name) for name in faults] == [("2", 2.0)] * len(faults)
            # … until it would have to be loaded again.
            running.reload()
            assert [answered(server, name) for name in faults] == [("1", 1.0)] * len(faults)
            assert running.get("/v2/health/ready").status == 200
            for name in faults:
                shutil.rmtree(store.models_directory / name / "2")
        seconds = load.now()
    refused = {line["model"]: line["message"] for line in server.said("model refused")}
    for name in faults:
        figures.add(
            f"a model's file {name} after it was verified ({worker_class})",
            LOAD.format(rate=RATE, seconds=round(seconds)) + f" over all of these, {times} times",
            f"the verified copy served until a reload, then version 1; log: “{refused[f'{name}/2']}”",
            must_hold="refused with a clear error; the previous version serves",
        )
    assert set(load.outcome.statuses()) == {200}, in_words(load.outcome)


def answered(server: Loaded, name: str) -> tuple[str, float]:
    """Which version answered for ``name``, and what."""
    reply = server.ask(name, *ROW)
    assert reply.status == 200, reply.body
    return reply.json()["version"], reply.json()["prediction"]
