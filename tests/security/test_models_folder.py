"""Tricks with the folders of a home by somebody who may write to one of them, but has no key."""

from __future__ import annotations

import errno
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from secure_ml_api.errors import HomeError, KeyFileError, NotReady, PackageRefused, PackingError
from secure_ml_api.models.aliases import read_aliases
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.pack import pack
from secure_ml_api.server.application import _wipe_run_directory
from secure_ml_api.settings import read_settings
from support.doormen import open_lodge
from support.packages import loaded, publish, store_in, weighing_graph


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = store_in(tmp_path / "home")
    publish(made)
    return made


@pytest.fixture
def package(store: Store) -> Path:
    return store.models_directory / "tiny" / "1"


@pytest.mark.parametrize(
    "target", ["/proc/self/environ", "/proc/self/mem", "/proc/self/fd/0", "/dev/zero", "/dev/stdin", "/etc/passwd"]
)
@pytest.mark.parametrize("file", ["manifest.json", "manifest.sig", "model.onnx", "aliases"])
def test_a_link_to_the_system_is_neither_followed_nor_quoted(
    store: Store, package: Path, file: str, target: str
) -> None:
    place = package.with_name("aliases.json") if file == "aliases" else package / file
    place.unlink(missing_ok=True)
    place.symlink_to(target)
    problems = " ".join(loaded(store).problems.values())
    assert "links are refused" in problems or "cannot be opened" in problems
    assert "root:" not in problems
    assert "PATH=" not in problems


@pytest.mark.parametrize("target", ["/proc/self/root", "/proc/self/cwd", "/", "/etc"])
@pytest.mark.parametrize("level", ["model", "version"])
def test_a_directory_of_the_system_is_no_model(store: Store, package: Path, level: str, target: str) -> None:
    place = store.models_directory / "other" if level == "model" else package.with_name("2")
    place.symlink_to(target)
    registry = loaded(store)
    assert registry.resolve("tiny").version == "1"
    assert all("links are refused" in problem for problem in registry.problems.values())
    assert len(registry.models()) == 1


def as_fifo(path: Path) -> None:
    os.mkfifo(path)


def as_socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # an address of this kind has 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(path.name)
    finally:
        os.chdir(before)


def as_directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [as_fifo, as_socket, as_directory])
@pytest.mark.parametrize("file", ["manifest.json", "model.onnx", "sample.npz"])
def test_what_is_no_file_is_refused_and_nothing_waits_for_it(
    store: Store, package: Path, file: str, make: Callable[[Path], None]
) -> None:
    (package / file).unlink()
    make(package / file)
    registry = loaded(store)
    with pytest.raises(NotReady):
        registry.resolve("tiny")
    assert registry.problems.keys() == {"tiny/1"}


@pytest.mark.parametrize("make", [as_fifo, as_socket, as_directory])
def test_aliases_that_are_no_file_are_refused_and_the_newest_version_serves(
    store: Store, package: Path, make: Callable[[Path], None]
) -> None:
    publish(store, version="2")
    make(package.with_name("aliases.json"))
    with pytest.raises(PackageRefused):
        read_aliases(package.parent)
    assert loaded(store).resolve("tiny").version == "2"


@pytest.mark.parametrize(
    "content",
    [
        '{"production": "../../keys"}',
        '{"production": "1/../2"}',
        '{"production": 1}',
        '{"../x": "1"}',
        '["1"]',
        "null",
        '{"production": "1"' + " " * 100_000 + "}",
        "[" * 60_000,
    ],
)
def test_aliases_that_are_not_plain_names_are_refused(package: Path, content: str) -> None:
    package.with_name("aliases.json").write_text(content)
    with pytest.raises(PackageRefused, match="must be one JSON object"):
        read_aliases(package.parent)


def test_an_alias_can_choose_among_signed_versions_and_no_others(store: Store, package: Path) -> None:
    package.with_name("aliases.json").write_text('{"production": "9"}')
    unsigned = package.with_name("9")
    unsigned.mkdir()
    for file in package.iterdir():
        (unsigned / file.name).write_bytes(file.read_bytes())
    registry = loaded(store)
    assert registry.resolve("tiny").version == "1"
    assert registry.problems.keys() == {"tiny/9"}


def test_a_half_written_package_is_never_taken_for_a_version(store: Store, package: Path) -> None:
    for name in (".2-abc", ".2", "2.tmp~", "-2", "2 "):
        package.rename(package.with_name(name))
        assert store.versions("tiny") == []
        package.with_name(name).rename(package)


@pytest.fixture
def swapper(package: Path) -> Iterator[None]:
    """Somebody who puts another graph in the place of the signed one, and back, as fast as the disk goes."""
    good, evil = (package / "model.onnx").read_bytes(), weighing_graph((666.0, 666.0))
    enough = threading.Event()
    place = package.parent / ".staged"

    def swap() -> None:
        while not enough.is_set():
            for content in (evil, good):
                place.write_bytes(content)
                place.replace(package / "model.onnx")

    thread = threading.Thread(target=swap)
    thread.start()
    yield
    enough.set()
    thread.join(30)


def test_a_graph_swapped_while_it_is_loaded_never_answers(store: Store, swapper: None) -> None:
    refused = 0
    for _ in range(60):
        registry = loaded(store)
        try:
            session = registry.resolve("tiny").session
        except NotReady:
            refused += 1
            continue
        answer = session.run({"input": np.ones((1, 2), dtype=np.float32)}, ["value"])
        assert answer["value"].tolist() == [3.0]
    assert refused, "the swap was never seen; the test shows nothing"


@pytest.mark.parametrize("make", ["link", "fifo", "readable"])
@pytest.mark.parametrize("file", ["tokens.json", "private"])
def test_a_key_that_could_be_read_or_replaced_by_others_signs_nothing(tmp_path: Path, file: str, make: str) -> None:
    lodge = open_lodge(tmp_path / "home")
    keys = lodge.settings.keys_directory
    path = keys / (file if file != "private" else f"token-{lodge.stores.ring.signing_key().kid}.pem")
    if make == "readable":
        path.chmod(0o640)
    else:
        path.rename(tmp_path / "moved")
        if make == "link":
            path.symlink_to(tmp_path / "moved")
        else:
            os.mkfifo(path, 0o600)
    with pytest.raises(KeyFileError):
        lodge.stores.ring._load()
    lodge.stores.trail.flush()


def test_a_run_directory_that_leads_elsewhere_is_refused_and_nothing_there_is_deleted(tmp_path: Path) -> None:
    settings = read_settings(tmp_path / "home", {})
    victim = tmp_path / "victim"
    settings.home.mkdir()
    victim.mkdir()
    (victim / "precious").write_text("x")
    settings.run_directory.symlink_to(victim)
    with pytest.raises(HomeError, match="is a link"):
        _wipe_run_directory(settings)
    assert (victim / "precious").read_text() == "x"


@pytest.mark.parametrize("broken", ["shutil.rmtree", "pathlib.Path.mkdir"])
def test_a_home_that_cannot_be_written_is_refused_at_the_start_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "metrics")

    settings = read_settings(tmp_path / "home", {})
    settings.run_directory.mkdir(parents=True)
    monkeypatch.setattr(broken, refused)
    words = f"{settings.run_directory}: Read-only file system; the server needs a home that it may write to"
    with pytest.raises(HomeError, match=f"^{re.escape(words)}$"):
        _wipe_run_directory(settings)


MAGIC = {
    "model.h5": (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    "model.pt": (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "written by torch.save, a pickle"),
    "model.npy": (b"\x93NUMPY", "--trust-pickle"),
    "model.pmml": (b"<PMML>", "--trust-pickle"),
}


@pytest.mark.parametrize("name", MAGIC)
def test_no_other_format_is_opened_whatever_it_is_called(store: Store, tmp_path: Path, name: str) -> None:
    begins, says = MAGIC[name]
    (tmp_path / name).write_bytes(begins + bytes(64))
    (tmp_path / "sample.csv").write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(PackingError, match=says):
        pack(tmp_path / name, store=store, name="other", sample=tmp_path / "sample.csv")
    assert store.versions("other") == []


def test_weights_are_not_opened_without_an_architecture_that_the_operator_names(store: Store, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\x40\x00\x00\x00\x00\x00\x00\x00{}" + bytes(64))
    (tmp_path / "sample.csv").write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(PackingError, match="--architecture"):
        pack(tmp_path / "model.safetensors", store=store, name="other", sample=tmp_path / "sample.csv")
    assert store.versions("other") == []


@pytest.mark.parametrize("runtime", ["pickle", "joblib", "dill", "python"])
def test_a_signed_package_for_a_runtime_that_unpickles_is_refused(store: Store, runtime: str) -> None:
    publish(store, version="2", runtime=runtime)
    registry = loaded(store)
    assert "no runtime" in registry.problems["tiny/2"]
    assert registry.resolve("tiny").version == "1"
