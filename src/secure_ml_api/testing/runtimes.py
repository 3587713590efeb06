"""What every runtime promises, as tests to inherit."""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from ..errors import PackageRefused
from ..models.registry import Registry
from ..models.sample import Sample
from ..models.store import Store
from ..packaging.other_formats import pack_files
from ..runtimes.protocol import Runtime, Session, VerifiedArtifact
from ..tensors import NUMPY_DTYPES, Column, Signature, Tensors

# The model that is easiest to write in any format: a + 2 b.
SIGNATURE = Signature(task="regression", columns=(Column(name="a"), Column(name="b")))
WEIGHTS = (1.0, 2.0)
ROWS = np.array([[1, 2], [3, 4], [0, 0]], dtype=np.float32)

_CHILD_SECONDS = 30


class RuntimeContract:
    """Inherit it under a name that pytest collects and say ``runtime`` and ``files``.

    ``files`` are those of a package whose model answers ``a + 2 b``. A runtime that cannot hold such a model says what
    its model takes (``signature``), some rows (``rows``: the input tensors) and the answers to them (``answers``: every
    output of the signature).
    """

    runtime: Runtime
    files: Mapping[str, bytes]
    signature: Signature = SIGNATURE
    rows: Tensors = {"input": ROWS}  # noqa: RUF012 - never changed; a subclass brings its own
    answers: Tensors = {"value": ROWS @ np.array(WEIGHTS, dtype=np.float32)}  # noqa: RUF012

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return Store(tmp_path / "models", tmp_path / "keys")

    @pytest.fixture
    def artifact(self, store: Store) -> VerifiedArtifact:
        """The model as a signed package that was read back and verified."""
        sample = Sample(self.rows, self.answers)
        packed = pack_files(
            self.files, runtime=self.runtime, signature=self.signature, sample=sample, store=store, name="tiny"
        )
        return packed.artifact

    @pytest.fixture
    def session(self, artifact: VerifiedArtifact) -> Session:
        return self.runtime.load(artifact, 1)

    def test_a_session_answers_with_the_tensors_that_were_asked_for(self, session: Session) -> None:
        names = [spec.name for spec in self.signature.outputs]
        for wanted in ([name] for name in names):
            assert list(session.run(self.rows, wanted)) == wanted
        found = session.run(self.rows, names)
        self._assert_same(found, self.answers)
        for spec in self.signature.outputs:
            assert found[spec.name].dtype == NUMPY_DTYPES[spec.datatype]

    def test_one_row_and_no_row_are_answered_as_many_are(self, session: Session) -> None:
        for rows in (slice(0, 1), slice(0, 0)):
            self._assert_same(self._run(session, rows), _of(self.answers, rows))

    def test_the_answer_to_a_row_does_not_hang_on_its_neighbours(self, session: Session) -> None:
        together = self._run(session, slice(None))
        for row in range(self._count):
            rows = slice(row, row + 1)
            self._assert_same(self._run(session, rows), _of(together, rows))

    def test_a_session_leaves_its_inputs_as_they_were(self, session: Session) -> None:
        given = {name: tensor.copy() for name, tensor in self.rows.items()}
        session.run(given, [spec.name for spec in self.signature.outputs])
        for name, tensor in self.rows.items():
            assert np.array_equal(given[name], tensor)

    def test_an_output_that_does_not_exist_raises(self, session: Session) -> None:
        with pytest.raises(Exception, match="surprise"):
            session.run(self.rows, ["surprise"])

    def test_several_threads_may_run_one_session_at_once(self, session: Session) -> None:
        wrong: list[BaseException] = []

        def run() -> None:
            try:
                for _ in range(50):
                    self._assert_same(self._run(session, slice(None)), self.answers)
            except BaseException as error:  # noqa: BLE001 - told by the thread that waits
                wrong.append(error)

        threads = [Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []

    def test_a_package_without_the_model_is_refused_in_one_line(self, artifact: VerifiedArtifact) -> None:
        self._assert_refused(artifact, {})

    def test_bytes_that_are_no_model_are_refused_in_one_line(self, artifact: VerifiedArtifact) -> None:
        for wrong in (b"", b"\x00\xff\x80 no model", b"{}", b"[]", b"PK\x03\x04", b"\x80\x04."):
            self._assert_refused(artifact, dict.fromkeys(self.files, wrong))

    def test_a_session_is_built_before_a_fork_where_it_survives_that_and_in_the_worker_otherwise(
        self, store: Store, artifact: VerifiedArtifact
    ) -> None:
        """What is not ``fork_safe`` is not even asked before, nor has it started a thread, which a fork would lose."""
        asked = _Asked(self.runtime)
        registry = Registry(store, runtimes=[asked])
        threads = _threads()
        registry.load()

        def run() -> None:
            self._assert_same(self._run(registry.resolve("tiny").session, slice(None)), self.answers)

        if self.runtime.fork_safe:
            assert asked.times == 1
            run()
            assert _succeeds_in_a_child(run)
        else:
            assert asked.times == 0
            assert _threads() <= threads
            registry.start_worker()
            assert asked.times == 1
        assert dict(registry.problems) == {}
        run()

    def test_a_registry_serves_what_the_runtime_loads(self, store: Store, artifact: VerifiedArtifact) -> None:
        registry = Registry(store, runtimes=[self.runtime])
        registry.load()
        registry.start_worker()
        registry.warm_up()
        assert dict(registry.problems) == {}
        self._assert_same(self._run(registry.resolve("tiny").session, slice(None)), self.answers)

    @property
    def _count(self) -> int:
        return len(next(iter(self.rows.values())))

    def _run(self, session: Session, rows: slice) -> Tensors:
        return session.run(_of(self.rows, rows), [spec.name for spec in self.signature.outputs])

    def _assert_same(self, found: Tensors, wanted: Tensors) -> None:
        assert set(found) == set(wanted)
        for name, tensor in wanted.items():
            assert found[name].shape == tensor.shape
            np.testing.assert_allclose(found[name], tensor, rtol=1e-6, atol=1e-7)

    def _assert_refused(self, artifact: VerifiedArtifact, files: dict[str, bytes]) -> None:
        other = VerifiedArtifact(artifact.name, artifact.version, artifact.signature, files, artifact.digest)
        with pytest.raises(PackageRefused, match=r"^tiny/1: [^\n]+$"):
            self.runtime.load(other, 1)


class _Asked:
    """A runtime that counts how often it is asked to load."""

    def __init__(self, runtime: Runtime) -> None:
        self.name, self.fork_safe, self.times = runtime.name, runtime.fork_safe, 0
        self._runtime = runtime

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        self.times += 1
        return self._runtime.load(artifact, threads)


def _threads() -> set[str]:
    """The numbers of the threads of this process."""
    return {task.name for task in Path("/proc/self/task").iterdir()}


def _of(tensors: Tensors, rows: slice) -> dict[str, Any]:
    return {name: tensor[rows] for name, tensor in tensors.items()}


def _succeeds_in_a_child(task: Callable[[], object]) -> bool:
    """Whether ``task`` ends without an error in a forked child, which is killed when it hangs."""
    with warnings.catch_warnings():
        # Python 3.12 warns of threads in the parent: other tests left some asleep, and none of them holds a lock.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_CHILD_SECONDS)
            task()
            status = 0
        except BaseException:  # noqa: BLE001 - the parent is told by the status
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0
