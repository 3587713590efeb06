"""``secure-ml-api backup`` and ``restore``: a home comes back as it was, or not at all."""

from __future__ import annotations

import errno
import io
import json
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from secure_ml_api.cli import backup_writing
from secure_ml_api.cli.init import prepare
from secure_ml_api.cli.stores import opened
from secure_ml_api.models.store import Store
from secure_ml_api.settings import read_settings
from support.console import Console, Ran
from support.packages import publish


@pytest.fixture(scope="module")
def prepared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two models, as ``init`` would leave it; only to be copied."""
    settings = read_settings(tmp_path_factory.mktemp("prepared") / "home", {})
    prepare(settings, examples=False)
    for name in ("iris", "housing"):
        publish(Store.of(settings), name=name)
    return settings.home


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Console:
    return Console(str(home), capsys, monkeypatch)


@pytest.fixture
def backup(run: Console, tmp_path: Path) -> Path:
    done = run("backup", str(tmp_path / "home.tar"))
    assert (done.status, done.stderr) == (0, "")
    return tmp_path / "home.tar"


@pytest.fixture
def restore(run: Console, tmp_path: Path) -> Callable[[Path], Ran]:
    return lambda backup: run("restore", str(backup), "--home", str(tmp_path / "again"))


def files_of(home: Path) -> dict[str, bytes]:
    """What makes a home, but not what a server leaves behind, and not the trail, in which a restoring is told."""
    made = ("keys", "models")
    places = (place for folder in made for place in (home / folder).rglob("*") if place.is_file())
    return {str(place.relative_to(home)): place.read_bytes() for place in places if place.name != ".lock"}


def test_a_home_comes_back_with_its_keys_clients_models_and_configuration(
    run: Console, home: Path, tmp_path: Path, restore: Callable[[Path], Ran]
) -> None:
    made = json.loads(run("clients", "create", "shop", "--scope", "predict:*", "--json").stdout)
    run("models", "promote", "iris", "1")
    (home / "config.toml").write_text("[quotas]\nrequests = '7/minute'\n")
    assert run("backup", str(tmp_path / "home.tar")).status == 0

    assert restore(tmp_path / "home.tar").status == 0
    again = tmp_path / "again"
    assert files_of(again) == files_of(home)
    assert read_settings(again, {}).quotas.requests == "7/minute"
    listed = json.loads(run("clients", "list", "--json", "--home", str(again)).stdout)
    assert [client["client_id"] for client in listed] == [made["client_id"]]
    for command in (("models", "verify"), ("audit", "verify")):
        assert run(*command, "--home", str(again)).status == 0


def test_a_trail_that_is_written_meanwhile_comes_back_whole(
    run: Console, home: Path, tmp_path: Path, restore: Callable[[Path], Ran]
) -> None:
    begun, enough = Event(), Event()

    def write() -> None:
        with opened(read_settings(home, {})) as stores:
            while not enough.is_set():
                stores.trail.record("model.promote", actor="operator:uid=0", outcome="ok")
                stores.trail.flush()
                begun.set()

    writing = Thread(target=write)
    writing.start()
    try:
        assert begun.wait(20)
        assert run("backup", str(tmp_path / "home.tar")).status == 0
    finally:
        enough.set()
        writing.join()
    assert restore(tmp_path / "home.tar").status == 0
    assert run("audit", "verify", "--home", str(tmp_path / "again")).stderr == ""


def test_backup_is_for_its_owner_alone_and_so_is_what_it_becomes(
    backup: Path, tmp_path: Path, restore: Callable[[Path], Ran]
) -> None:
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert restore(backup).status == 0
    again = tmp_path / "again"
    open_to_others = {place for place in again.rglob("*") if stat.S_IMODE(place.stat().st_mode) & 0o077}
    assert all(place.is_relative_to(again / "models") for place in open_to_others)
    assert stat.S_IMODE(again.stat().st_mode) == 0o700


def test_backup_never_replaces_a_file(run: Console, backup: Path) -> None:
    before = backup.read_bytes()
    refused = run("backup", str(backup))
    assert (refused.status, backup.read_bytes()) == (1, before)
    assert "exists already" in refused.stderr
    assert [place.name for place in backup.parent.iterdir() if place.name.startswith(".")] == []


def test_backup_of_a_home_without_a_database_is_refused(run: Console, home: Path, tmp_path: Path) -> None:
    (home / "data.db").unlink()
    refused = run("backup", str(tmp_path / "home.tar"))
    assert refused.status == 1
    assert "the database cannot be copied" in refused.stderr.splitlines()[-1]
    assert not (tmp_path / "home.tar").exists()
    assert not (home / "data.db").exists()


def test_a_choice_of_versions_that_is_made_meanwhile_is_not_torn(
    run: Console, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = backup_writing._add

    def add_and_promote(archive: Any, path: Path, name: str, digests: dict[str, str]) -> None:
        add(archive, path, name, digests)
        if name == "models/iris/1/manifest.json":
            Store(home / "models", home / "keys").promote("iris", "1")

    monkeypatch.setattr(backup_writing, "_add", add_and_promote)
    refused = run("backup", str(tmp_path / "home.tar"))
    assert refused.status == 1
    assert "changed while it was copied: run it again" in refused.stderr
    assert not (tmp_path / "home.tar").exists()


def test_a_home_that_has_something_in_it_is_never_restored_over(
    backup: Path, tmp_path: Path, restore: Callable[[Path], Ran]
) -> None:
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "note").write_text("mine")
    refused = restore(backup)
    assert refused.status == 1
    assert "is not empty" in refused.stderr
    assert [place.name for place in (tmp_path / "again").iterdir()] == ["note"]


def cut(backup: Path) -> None:
    with tarfile.open(backup) as archive:
        middle = archive.getmember("data.db").offset_data + 1000
    backup.write_bytes(backup.read_bytes()[:middle])


def flip(backup: Path) -> None:
    with tarfile.open(backup) as archive:
        place = archive.getmember("data.db").offset_data + 1000
    content = bytearray(backup.read_bytes())
    content[place] ^= 1
    backup.write_bytes(content)


def leave_the_index_out(backup: Path) -> None:
    with tarfile.open(backup) as archive:
        last = archive.getmember("backup.json").offset
    backup.write_bytes(backup.read_bytes()[:last] + bytes(1024))


def leave_a_file_out(backup: Path) -> None:
    whole = backup.rename(backup.with_name("whole.tar"))
    with tarfile.open(whole) as source, tarfile.open(backup, "w") as target:
        for member in source:
            if member.name != "keys/audit.key":
                target.addfile(member, source.extractfile(member))


@pytest.mark.parametrize("damage", [cut, flip, leave_the_index_out, leave_a_file_out])
def test_damaged_backup_is_refused_in_one_line_and_leaves_nothing(
    backup: Path, tmp_path: Path, restore: Callable[[Path], Ran], damage: Callable[[Path], None]
) -> None:
    damage(backup)
    refused = restore(backup)
    assert refused.status == 1
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    "name", ["../escaped", "/escaped", "models/../../escaped", "keys//x", "other/file", "keys", "run/standing.mdb"]
)
def test_file_that_has_no_place_in_a_home_is_refused(
    backup: Path, tmp_path: Path, restore: Callable[[Path], Ran], name: str
) -> None:
    with tarfile.open(backup, "a") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    refused = restore(backup)
    assert refused.status == 1
    assert "has no place in one" in refused.stderr
    assert not (tmp_path / "again").exists()
    assert not list(tmp_path.rglob("escaped"))


def test_link_is_refused(backup: Path, tmp_path: Path, restore: Callable[[Path], Ran]) -> None:
    link = tarfile.TarInfo("models/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    with tarfile.open(backup, "a") as archive:
        archive.addfile(link)
    assert "is no plain file" in restore(backup).stderr
    assert not (tmp_path / "again").exists()


def test_file_that_is_no_backup_is_refused_in_one_line(tmp_path: Path, restore: Callable[[Path], Ran]) -> None:
    (tmp_path / "other").write_bytes(b"something else")
    refused = restore(tmp_path / "other")
    assert (refused.status, len(refused.stderr.splitlines())) == (1, 1)


def test_empty_volume_is_restored_into(backup: Path, tmp_path: Path, restore: Callable[[Path], Ran]) -> None:
    (tmp_path / "again").mkdir()
    before = (tmp_path / "again").stat().st_ino
    assert restore(backup).status == 0
    assert (tmp_path / "again").stat().st_ino == before


def test_a_restore_that_is_cut_off_leaves_the_keys_and_no_database_so_that_nothing_serves(
    backup: Path, tmp_path: Path, restore: Callable[[Path], Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    rename = Path.rename

    def cut_off(self: Path, target: Path) -> Path:
        if moved:
            raise OSError(errno.ENOSPC, "No space left on device")
        moved.append(self.name)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", cut_off)
    assert restore(backup).status == 1
    assert moved == ["keys"]
    assert not (tmp_path / "again" / "data.db").exists()
