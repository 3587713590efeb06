from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from secure_ml_api.errors import KeyFileError, ModelNotFound, NotReady
from secure_ml_api.models.aliases import write_aliases
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.signing import create_signing_key
from secure_ml_api.models.store import Store
from secure_ml_api.runtimes.onnx import OnnxRuntime
from secure_ml_api.runtimes.protocol import Session, VerifiedArtifact
from secure_ml_api.tensors import Tensors
from support.packages import publish, store_in


class AfterForkRuntime:
    """A runtime whose sessions must be built after the fork; says when it built one."""

    name = "onnx"
    fork_safe = False

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        self.loaded.append(artifact.version)
        return OnnxRuntime().load(artifact, threads)


class FailingRuntime(AfterForkRuntime):
    """A runtime whose sessions load and then fail."""

    fork_safe = True

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        return self

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        raise RuntimeError("out of order")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path)


def loaded(store: Store) -> Registry:
    registry = Registry(store)
    registry.load()
    return registry


def break_package(store: Store, version: str, name: str = "tiny") -> None:
    (store.models_directory / name / version / "model.onnx").write_bytes(b"something else")


def test_a_loaded_model_answers(store: Store) -> None:
    package = publish(store, weights=(1.0, 10.0))
    model = loaded(store).resolve("tiny")
    answers = model.session.run({"input": np.array([[2, 3]], np.float32)}, ["value"])
    assert answers["value"].tolist() == [32.0]
    assert (model.name, model.version, model.runtime) == ("tiny", "1", "onnx")
    assert model.digest == package.artifact.digest
    assert model.signature == package.manifest.signature


def test_the_highest_version_serves_without_aliases(store: Store) -> None:
    for version in ("2", "10", "9"):
        publish(store, version=version)
    registry = loaded(store)
    assert registry.resolve("tiny").version == "10"
    assert registry.resolve("tiny", "9").version == "9"
    assert [model.version for model in registry.models()] == ["2", "9", "10"]
    assert [model.version for model in registry.serving()] == ["10"]


def test_the_promoted_version_serves_and_aliases_name_versions(store: Store) -> None:
    publish(store, version="1")
    publish(store, version="2")
    store.promote("tiny", "1")
    registry = loaded(store)
    assert registry.resolve("tiny").version == "1"
    assert registry.resolve("tiny", "production").version == "1"
    assert registry.resolve("tiny", "previous").version == "2"


def test_an_unknown_model_version_or_alias_is_not_found(store: Store) -> None:
    publish(store)
    registry = loaded(store)
    for name, version in (("other", None), ("tiny", "2"), ("tiny", "canary"), ("tiny", "")):
        with pytest.raises(ModelNotFound):
            registry.resolve(name, version)


def test_an_older_version_serves_when_the_promoted_one_does_not_verify(store: Store) -> None:
    for version in ("1", "2", "3"):
        publish(store, version=version)
    store.promote("tiny", "2")
    write_aliases(store.models_directory / "tiny", {"production": "2"})
    break_package(store, "2")
    registry = loaded(store)
    assert registry.resolve("tiny").version == "1"
    assert list(registry.problems) == ["tiny/2"]
    assert registry.unready == ()
    with pytest.raises(NotReady):
        registry.resolve("tiny", "2")


def test_a_broken_package_never_stops_the_others(store: Store) -> None:
    publish(store, name="good")
    publish(store, name="bad")
    break_package(store, "1", "bad")
    registry = loaded(store)
    assert registry.resolve("good").version == "1"
    with pytest.raises(NotReady):
        registry.resolve("bad")
    assert registry.unready == ("bad",)
    assert {state.name: state.state for state in registry.states()} == {"good": "READY", "bad": "UNAVAILABLE"}
    assert all("\n" not in problem for problem in registry.problems.values())


def test_a_graph_that_does_not_load_is_a_problem_of_its_own(store: Store) -> None:
    publish(store, version="1")
    publish(store, version="2", graph=b"no graph at all")
    registry = loaded(store)
    assert registry.resolve("tiny").version == "1"
    assert "does not load" in registry.problems["tiny/2"]


def test_a_runtime_that_is_not_installed_is_a_problem(store: Store) -> None:
    publish(store, runtime="abacus")
    assert "abacus" in loaded(store).problems["tiny/1"]


def test_a_broken_aliases_file_is_a_problem_and_the_newest_serves(store: Store) -> None:
    publish(store, version="1")
    publish(store, version="2")
    (store.models_directory / "tiny/aliases.json").write_text("{")
    registry = loaded(store)
    assert registry.resolve("tiny").version == "2"
    assert list(registry.problems) == ["tiny/aliases.json"]


def test_packages_without_a_key_to_verify_them_are_refused_as_a_whole(store: Store) -> None:
    publish(store)
    (store.keys_directory / "model-signing.pub.pem").unlink()
    with pytest.raises(KeyFileError):
        Registry(store).load()


def test_an_empty_home_has_no_models(store: Store) -> None:
    registry = loaded(store)
    assert (registry.models(), registry.states(), dict(registry.problems), registry.unready) == ((), (), {}, ())


def test_sessions_that_do_not_survive_a_fork_are_built_in_the_worker(store: Store) -> None:
    publish(store)
    runtime = AfterForkRuntime()
    registry = Registry(store, runtimes=[runtime])
    registry.load()
    assert runtime.loaded == []
    assert [state.state for state in registry.states()] == ["LOADING"]
    assert list(registry.unready) == ["tiny"]
    with pytest.raises(NotReady):
        registry.resolve("tiny")
    registry.start_worker()
    assert runtime.loaded == ["1"]
    assert registry.resolve("tiny").version == "1"
    assert not registry.unready


def test_several_threads_a_run_wait_for_the_fork_too(store: Store) -> None:
    publish(store)
    registry = Registry(store, threads=2)
    registry.load()
    assert [state.state for state in registry.states()] == ["LOADING"]
    registry.start_worker()
    assert [state.state for state in registry.states()] == ["READY"]


def test_warming_up_takes_the_pace_of_every_model(store: Store) -> None:
    publish(store)
    registry = loaded(store)
    session = registry.resolve("tiny").session
    registry.warm_up()
    warm = registry.resolve("tiny")
    assert warm.session is session
    assert warm.pace is not None
    assert warm.pace.one_seconds > 0


def test_a_model_that_fails_on_its_own_sample_is_taken_off(store: Store) -> None:
    publish(store)
    registry = Registry(store, runtimes=[FailingRuntime()])
    registry.load()
    registry.warm_up()
    assert registry.unready == ("tiny",)
    assert "RuntimeError" in registry.problems["tiny/1"]


def rewrite_unnoticed(path: Path) -> None:
    """Another byte in the file, which has the size and the time of before."""
    before = path.stat()
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # file systems count time in ticks
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_refreshing_reads_nothing_again_that_is_loaded_and_was_not_touched(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, version="1")
    registry = loaded(store)
    publish(store, version="2")
    verify = Mock(wraps=store.verify)
    monkeypatch.setattr(store, "verify", verify)
    registry.refresh(["tiny"])
    registry.refresh(["tiny"])
    verify.assert_called_once_with("tiny", "2")
    assert registry.resolve("tiny").version == "2"


@pytest.mark.parametrize("what", ["rewritten", "linked", "joined", "another key"])
def test_refreshing_verifies_again_what_was_touched(store: Store, what: str) -> None:
    publish(store, version="1")
    registry = loaded(store)
    directory = store.models_directory / "tiny" / "1"
    if what == "rewritten":
        rewrite_unnoticed(directory / "model.onnx")
    elif what == "linked":
        directory.rename(store.models_directory.parent / "elsewhere")
        directory.symlink_to(store.models_directory.parent / "elsewhere")
    elif what == "joined":
        (directory / "more").touch()
    else:
        shutil.rmtree(store.keys_directory)
        create_signing_key(store.keys_directory)
    registry.refresh(["tiny"])
    assert registry.unready == ("tiny",)
    assert "tiny/1" in registry.problems


def test_refreshing_keeps_a_session_whose_files_were_touched_and_still_verify(store: Store) -> None:
    publish(store, version="1")
    registry = loaded(store)
    kept = registry.resolve("tiny")
    os.utime(store.models_directory / "tiny" / "1" / "model.onnx")
    registry.refresh(["tiny"])
    assert registry.resolve("tiny") is kept


def test_registry_says_whether_it_lacks_a_version_of_those_asked_for(store: Store) -> None:
    publish(store, version="1")
    registry = loaded(store)
    assert not registry.lacks()
    publish(store, name="other")
    assert (registry.lacks(), registry.lacks(["tiny"]), registry.lacks(["other"])) == (True, False, True)


def test_loading_again_takes_the_home_as_it_is_and_keeps_unchanged_sessions(store: Store) -> None:
    publish(store, version="1")
    registry = loaded(store)
    kept = registry.resolve("tiny").session
    publish(store, version="2")
    registry.load()
    assert registry.resolve("tiny").version == "2"
    assert registry.resolve("tiny", "1").session is kept
    store.remove("tiny", "2")
    registry.load()
    assert registry.resolve("tiny").version == "1"
