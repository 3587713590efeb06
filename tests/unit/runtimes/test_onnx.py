from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Thread, Timer

import numpy as np
import pytest

from secure_ml_api.errors import PackageRefused
from secure_ml_api.runtimes.onnx import OnnxRuntime, open_graph
from secure_ml_api.tensors import Column, Signature
from support.hanging import SIGNATURE as LOOPING
from support.hanging import looping_graph
from support.packages import SIGNATURE, publish, store_in, weighing_graph

ROWS = np.array([[1, 2], [3, 4]], dtype=np.float32)


def test_only_the_outputs_that_are_asked_for_come_back() -> None:
    session = open_graph(weighing_graph(), SIGNATURE)
    assert session.run({"input": ROWS}, ["value"])["value"].tolist() == [5.0, 11.0]
    assert session.run({"input": ROWS[:0]}, ["value"])["value"].tolist() == []


@pytest.mark.parametrize(
    "signature",
    [
        Signature(task="regression", columns=(Column(name="a"),)),
        Signature(task="regression", columns=tuple(Column(name=name, datatype="FP64") for name in "ab")),
        Signature(task="regression", columns=(Column(name="a"), Column(name="b", datatype="BYTES"))),
        Signature(task="regression", columns=(Column(name="a"), Column(name="b")), output_datatype="FP64"),
        Signature(task="anomaly", columns=(Column(name="a"), Column(name="b"))),
    ],
    ids=["columns", "input datatype", "text", "output datatype", "outputs"],
)
def test_a_graph_that_is_not_what_its_signature_says_is_refused(signature: Signature) -> None:
    with pytest.raises(PackageRefused, match=r"signature|not FP|not BYTES"):
        open_graph(weighing_graph(), signature)


def test_an_operator_from_elsewhere_is_refused() -> None:
    with pytest.raises(PackageRefused, match="does not load"):
        open_graph(weighing_graph(domain="com.example.custom"), SIGNATURE)


def test_a_package_without_a_graph_is_refused(tmp_path: Path) -> None:
    artifact = publish(store_in(tmp_path)).artifact
    bare = type(artifact)(artifact.name, artifact.version, artifact.signature, {}, artifact.digest)
    with pytest.raises(PackageRefused, match=r"tiny/1: the package has no model\.onnx"):
        OnnxRuntime().load(bare, 1)


def test_a_run_that_is_stopped_ends_although_its_graph_loops_for_ever() -> None:
    session = open_graph(looping_graph(), LOOPING)
    handle = session.handle()
    rows = np.array([[1e15]], dtype=np.float32)
    Timer(0.05, session.stop, [handle]).start()
    with pytest.raises(Exception, match="terminate"):
        session.run_with(handle, {"input": rows}, ["value"])
    assert session.run_with(session.handle(), {"input": rows * 0}, ["value"])["value"].tolist() == [0.0]


def test_one_session_serves_several_threads_at_once() -> None:
    session = open_graph(weighing_graph(), SIGNATURE)
    gaps: list[float] = []

    def run(seed: int) -> None:
        rows = np.random.default_rng(seed).normal(size=(7, 2)).astype(np.float32)
        for _ in range(50):
            given = session.run({"input": rows}, ["value"])["value"]
            gaps.append(float(np.abs(given - rows @ np.array([1, 2], np.float32)).max()))

    threads = [Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(gaps) == 4 * 50
    assert max(gaps) < 1e-5


_FORKING = """
import os
import numpy as np
from secure_ml_api.runtimes.onnx import open_graph
from support.packages import SIGNATURE, weighing_graph

rows = np.array([[1, 2], [3, 4]], dtype=np.float32)
session = open_graph(weighing_graph(), SIGNATURE)
right = lambda: session.run({"input": rows}, ["value"])["value"].tolist() == [5.0, 11.0]
assert right()
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        os._exit(0 if all(right() for _ in range(100)) else 1)
    children.append(child)
assert all(right() for _ in range(100))
print([os.waitpid(child, 0)[1] for child in children])
"""


def test_a_session_of_one_thread_built_before_a_fork_answers_in_parent_and_children() -> None:
    tests = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _FORKING], capture_output=True, text=True, check=True, timeout=60, cwd=tests
    )
    assert done.stdout.strip() == "[0, 0, 0]"
    assert done.stderr == ""
