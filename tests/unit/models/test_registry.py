"""Which version of a model a registry answers with, and what it says of those that it does not load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from secure_ml_api.errors import KeyFileError, ModelNotFound, NotReady
from secure_ml_api.models.aliases import write_aliases
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.store import Store
from support.packages import loaded, publish, store_in


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path)


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
