from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from secure_ml_api.errors import PackageRefused
from secure_ml_api.models.aliases import choose_version, read_aliases, write_aliases
from support.packages import publish, store_in


def test_versions_are_listed_oldest_first(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for version in ("10", "2", "1"):
        publish(store, version=version)
    assert store.names() == ["tiny"]
    assert store.versions("tiny") == ["1", "2", "10"]
    assert store.next_version("tiny") == "11"
    assert store.next_version("new") == "1"


def test_a_home_without_models_has_no_names(tmp_path: Path) -> None:
    assert store_in(tmp_path).names() == []


def test_a_published_version_is_never_overwritten(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    before = publish(store, version="1").artifact.digest
    with pytest.raises(PackageRefused, match="never overwritten"):
        publish(store, version="1", weights=(3.0, 4.0))
    assert store.verify("tiny", "1").artifact.digest == before
    assert [path.name for path in (tmp_path / "models" / "tiny").iterdir()] == ["1"]


def test_a_package_half_written_by_a_crash_is_no_version(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    publish(store)
    shutil.copytree(tmp_path / "models/tiny/1", tmp_path / "models/tiny/.2-abc")
    assert store.versions("tiny") == ["1"]


def test_promotion_remembers_what_served_before_and_rollback_returns_to_it(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for version in ("1", "2", "3"):
        publish(store, version=version)
    assert store.promote("tiny", "2") == {"production": "2", "previous": "3"}
    assert store.promote("tiny", "1") == {"production": "1", "previous": "2"}
    assert store.rollback("tiny") == {"production": "2"}
    assert store.promote("tiny", "2") == {"production": "2"}


def test_rollback_said_twice_does_not_let_what_was_rolled_back_serve_again(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for version in ("1", "2", "3"):
        publish(store, version=version)
    store.promote("tiny", "1")
    store.promote("tiny", "2")
    store.rollback("tiny")
    with pytest.raises(PackageRefused, match=r"rolled back\); choose one with `models promote tiny VERSION`"):
        store.rollback("tiny")
    assert store.aliases("tiny") == {"production": "1"}
    store.promote("tiny", "3")
    assert store.rollback("tiny") == {"production": "1"}


def test_rollback_to_a_package_that_does_not_verify_changes_nothing(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    publish(store, version="1")
    publish(store, version="2")
    store.promote("tiny", "1")
    (tmp_path / "models/tiny/2/model.onnx").write_bytes(b"other")
    with pytest.raises(PackageRefused, match="not the file that was signed"):
        store.rollback("tiny")
    assert store.aliases("tiny") == {"production": "1", "previous": "2"}


def test_a_package_that_does_not_verify_is_not_promoted(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    publish(store, version="1")
    publish(store, version="2")
    (tmp_path / "models/tiny/1/model.onnx").write_bytes(b"other")
    with pytest.raises(PackageRefused, match="not the file that was signed"):
        store.promote("tiny", "1")
    assert store.aliases("tiny") == {}


def test_rollback_without_a_promotion_is_refused(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    publish(store)
    with pytest.raises(PackageRefused, match="no previous version"):
        store.rollback("tiny")


def test_the_version_in_production_is_removed_only_as_the_last(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    publish(store, version="1")
    publish(store, version="2")
    store.promote("tiny", "1")
    with pytest.raises(PackageRefused, match="in production"):
        store.remove("tiny", "1")
    store.remove("tiny", "2")
    assert store.aliases("tiny") == {"production": "1"}
    store.remove("tiny", "1")
    assert store.names() == []
    assert not (tmp_path / "models/tiny").exists()


def test_removing_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageRefused, match="no such package"):
        store_in(tmp_path).remove("tiny", "1")


@pytest.mark.parametrize("content", ["", "[]", '{"production": 2}', '{"production": "../1"}', "x" * 70_000])
def test_an_aliases_file_that_is_not_as_it_must_be_is_refused_with_the_remedy(tmp_path: Path, content: str) -> None:
    (tmp_path / "aliases.json").write_text(content)
    with pytest.raises(PackageRefused, match="remove it"):
        read_aliases(tmp_path)


def test_aliases_are_written_whole_and_read_back(tmp_path: Path) -> None:
    write_aliases(tmp_path, {"production": "2", "previous": "1"})
    assert read_aliases(tmp_path) == {"production": "2", "previous": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["aliases.json"]


@pytest.mark.parametrize(
    ("usable", "aliases", "chosen"),
    [
        (["1", "2", "10"], {}, "10"),
        (["1", "2", "10"], {"production": "2"}, "2"),
        (["1", "3", "10"], {"production": "2", "previous": "10"}, "10"),
        (["1", "3", "10"], {"production": "2", "previous": "9"}, "1"),
        (["3", "10"], {"production": "2"}, "10"),
        ([], {"production": "2"}, None),
        ([], {}, None),
    ],
)
def test_the_version_that_serves(usable: list[str], aliases: dict[str, str], chosen: str | None) -> None:
    assert choose_version(usable, aliases) == chosen
