"""What is decided about a model while it serves, and who is answered by whom."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from secure_ml_api.errors import ModelNotFound, PackageRefused
from secure_ml_api.models.life import Canary, Life, is_in_canary, read_life, write_life
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.store import Store
from support.packages import publish, store_in

NAMES = st.text(min_size=1, max_size=20)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two versions of ``tiny``, of which the first is in production."""
    made = store_in(tmp_path)
    publish(made, version="1")
    publish(made, version="2", weights=(3.0, 4.0))
    made.promote("tiny", "1")
    return made


def serving(store: Store) -> Registry:
    registry = Registry(store)
    registry.load()
    registry.start_worker()
    registry.warm_up()
    return registry


def trial_of(store: Store) -> str:
    canary = store.life("tiny").canary
    assert canary is not None
    return canary.trial


def answered_by(registry: Registry, caller: str | None = "shop", version: str | None = None) -> str:
    return registry.resolve("tiny", version, caller).version


def test_nothing_decided_is_a_model_that_serves(store: Store) -> None:
    assert store.life("tiny") == Life()


@given(
    st.builds(
        Life,
        unloaded=st.booleans(),
        canary=st.none()
        | st.builds(
            Canary,
            version=st.just("2"),
            percent=st.floats(0, 100, exclude_min=True),
            max_error_rate=st.none() | st.floats(0, 1),
            minimum_requests=st.integers(1, 10**6),
            trial=st.text("0123456789abcdef", max_size=32),
        ),
        shadow=st.none() | st.just("3"),
    )
)
def test_what_is_decided_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, life: Life) -> None:
    directory = tmp_path_factory.mktemp("life")
    write_life(directory, life)
    assert read_life(directory) == life


@pytest.mark.parametrize("data", ["", "[]", '{"unloaded": 1}', '{"canary": {"version": "../x", "percent": 1}}', "{"])
def test_spoiled_file_is_named_and_the_model_serves_on(store: Store, data: str) -> None:
    (store.models_directory / "tiny" / "life.json").write_text(data)
    registry = serving(store)
    assert "life.json is not what this program wrote" in registry.problems["tiny/life.json"]
    assert answered_by(registry) == "1"


def test_file_from_before_there_were_trials_is_read_and_its_canary_can_be_ended(store: Store) -> None:
    (store.models_directory / "tiny" / "life.json").write_text('{"canary": {"version": "2", "percent": 30.0}}')
    assert store.life("tiny").canary == Canary(version="2", percent=30)
    assert store.end_trial("tiny", "")
    assert store.life("tiny") == Life()


def test_file_that_is_a_link_is_not_followed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text('{"unloaded": true}')
    (store.models_directory / "tiny" / "life.json").symlink_to(tmp_path / "elsewhere")
    assert answered_by(serving(store)) == "1"


@pytest.mark.parametrize("percent", [0, -1, 100.1, float("nan")])
def test_part_of_the_callers_is_a_part(percent: float) -> None:
    with pytest.raises(ValidationError):
        Canary(version="2", percent=percent)


def test_unloaded_model_is_not_there_until_it_is_loaded_also_after_a_restart(store: Store) -> None:
    registry = serving(store)
    store.unload("tiny")
    registry.refresh(["tiny"])
    for each in (registry, serving(store)):
        with pytest.raises(ModelNotFound, match="unloaded"):
            each.resolve("tiny")
        assert each.unready == ()
        assert {(state.version, state.state, state.reason) for state in each.states()} == {
            ("1", "UNAVAILABLE", "unloaded"),
            ("2", "UNAVAILABLE", "unloaded"),
        }
    store.load("tiny")
    registry.refresh(["tiny"])
    assert answered_by(registry) == "1"


def test_refresh_takes_only_the_models_that_it_is_told_of(store: Store) -> None:
    registry = serving(store)
    publish(store, name="other")
    store.promote("tiny", "2")
    registry.refresh(["other"])
    assert answered_by(registry) == "1"
    assert registry.resolve("other").version == "1"
    registry.refresh()
    assert answered_by(registry) == "2"


def test_refresh_keeps_the_sessions_of_what_has_not_changed(store: Store) -> None:
    registry = serving(store)
    before = registry.resolve("tiny")
    publish(store, version="3")
    registry.refresh(["tiny"])
    assert registry.resolve("tiny") is before
    assert registry.resolve("tiny", "3").pace is not None


def test_version_that_does_not_load_leaves_the_old_one_in_its_place(store: Store) -> None:
    registry = serving(store)
    publish(store, version="3")
    (store.models_directory / "tiny" / "3" / "model.onnx").write_bytes(b"something else")
    registry.refresh(["tiny"])
    assert answered_by(registry) == "1"
    assert "not the file that was signed" in registry.problems["tiny/3"]


def test_model_that_was_removed_is_gone_after_a_refresh(store: Store) -> None:
    publish(store, name="other")
    registry = serving(store)
    store.remove("other", "1")
    registry.refresh(["other"])
    with pytest.raises(ModelNotFound):
        registry.resolve("other")


def test_canary_answers_its_part_of_the_callers_and_versions_are_answered_by_themselves(store: Store) -> None:
    store.set_canary("tiny", Canary(version="2", percent=30))
    registry = serving(store)
    callers = [f"client-{number}" for number in range(1000)]
    sides = {caller: answered_by(registry, caller) for caller in callers}
    assert 0.25 < sum(side == "2" for side in sides.values()) / 1000 < 0.35
    assert {caller: answered_by(registry, caller) for caller in callers} == sides
    assert {answered_by(registry, caller, "1") for caller in callers} == {"1"}
    assert answered_by(registry, None) == "1"


def test_canary_that_is_not_loaded_answers_nobody(store: Store) -> None:
    store.set_canary("tiny", Canary(version="2", percent=100))
    (store.models_directory / "tiny" / "2" / "model.onnx").write_bytes(b"something else")
    assert answered_by(serving(store)) == "1"


def test_each_time_that_a_canary_is_set_it_is_another_trial(store: Store) -> None:
    canary, trials = Canary(version="2", percent=30), set()
    for _ in range(3):
        store.set_canary("tiny", canary)
        trials.add(trial_of(store))
        assert store.life("tiny").canary == canary.model_copy(update={"trial": trial_of(store)})
    assert len(trials) == 3


def test_trial_that_is_over_cannot_end_the_next(store: Store) -> None:
    store.set_canary("tiny", Canary(version="2", percent=30))
    first = trial_of(store)
    store.set_canary("tiny", Canary(version="2", percent=30))
    assert not store.end_trial("tiny", first)
    assert store.end_trial("tiny", trial_of(store))
    assert store.life("tiny").canary is None


def test_promotion_of_a_canary_or_shadow_ends_its_trial(store: Store) -> None:
    store.set_canary("tiny", Canary(version="2", percent=100))
    store.set_shadow("tiny", "2")
    assert serving(store).has_trials
    store.promote("tiny", "2")
    assert store.life("tiny") == Life()
    assert not serving(store).has_trials


def test_version_that_there_is_not_is_neither_canary_nor_shadow(store: Store) -> None:
    with pytest.raises(PackageRefused, match="no such package"):
        store.set_canary("tiny", Canary(version="9", percent=1))
    with pytest.raises(PackageRefused, match="no such package"):
        store.set_shadow("tiny", "9")
    with pytest.raises(PackageRefused, match="no such model"):
        store.unload("other")


def test_version_that_is_removed_ends_its_trials(store: Store) -> None:
    store.set_canary("tiny", Canary(version="2", percent=50))
    store.remove("tiny", "2")
    assert store.life("tiny").canary is None


def test_every_change_of_the_folder_changes_its_fingerprint(store: Store) -> None:
    seen = {store.fingerprint()}
    for change in (
        lambda: publish(store, version="3"),
        lambda: store.promote("tiny", "3"),
        lambda: store.unload("tiny"),
        lambda: store.remove("tiny", "2"),
    ):
        change()
        assert store.fingerprint() not in seen
        seen.add(store.fingerprint())
    assert store.fingerprint() in seen


@given(NAMES, NAMES, st.floats(0, 100), st.floats(0, 100))
def test_larger_part_keeps_all_who_were_in_a_smaller_one(name: str, caller: str, one: float, other: float) -> None:
    smaller, larger = sorted((one, other))
    assert is_in_canary(name, caller, larger) or not is_in_canary(name, caller, smaller)


def test_nobody_is_in_no_part_and_everybody_in_the_whole() -> None:
    callers = [f"client-{number}" for number in range(100)]
    assert not any(is_in_canary("tiny", caller, 0) for caller in callers)
    assert all(is_in_canary("tiny", caller, 100) for caller in callers)


def test_other_callers_are_first_for_other_models() -> None:
    callers = [f"client-{number}" for number in range(200)]
    first = {name: frozenset(caller for caller in callers if is_in_canary(name, caller, 50)) for name in "ab"}
    assert len(first["a"] & first["b"]) < 75
