"""Attacks on model packages; every refusal is one line, and a server runs without what was refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from secure_ml_api.errors import KeyFileError, NotReady, PackageRefused
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.signing import read_signing_key, sign
from secure_ml_api.models.store import Store
from support.packages import manifest_of, publish, store_in, weighing_graph, weighing_sample

FILES = ("manifest.json", "manifest.sig", "model.onnx", "sample.npz")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = store_in(tmp_path / "home")
    publish(made)
    return made


@pytest.fixture
def package(store: Store) -> Path:
    return store.models_directory / "tiny" / "1"


def refused(store: Store, name: str = "tiny", version: str = "1") -> str:
    """The refusal of a package, which must be one line and keep the server from running it."""
    with pytest.raises(PackageRefused) as refusal:
        store.verify(name, version)
    text = str(refusal.value)
    assert "\n" not in text
    registry = Registry(store)
    registry.load()
    with pytest.raises(NotReady):
        registry.resolve(name, version)
    assert registry.problems[f"{name}/{version}"] == text
    return text


def forge(store: Store, package: Path, **changes: Any) -> None:
    """Change the manifest and sign it with the right key: what a thief of the key, or a bug of ours, could do."""
    content = {**json.loads((package / "manifest.json").read_bytes()), **changes}
    data = json.dumps(content).encode()
    (package / "manifest.json").write_bytes(data)
    (package / "manifest.sig").write_bytes(sign(read_signing_key(store.keys_directory), data))


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("position", [0, 0.5, -1])
def test_a_flipped_bit_is_refused(store: Store, package: Path, file: str, position: float) -> None:
    data = bytearray((package / file).read_bytes())
    data[int(len(data) * position) if position != -1 else -1] ^= 1
    (package / file).write_bytes(data)
    refused(store)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("keep", [0, 1, 40])
def test_a_truncated_file_is_refused(store: Store, package: Path, file: str, keep: int) -> None:
    os.truncate(package / file, keep)
    refused(store)


@pytest.mark.parametrize("file", FILES)
def test_appended_bytes_are_refused(store: Store, package: Path, file: str) -> None:
    with (package / file).open("ab") as opened:
        opened.write(b"\n")
    refused(store)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_refused(store: Store, package: Path, file: str) -> None:
    (package / file).unlink()
    assert f"{file} is missing" in refused(store)


def test_a_histogram_that_was_altered_is_refused(store: Store, package: Path) -> None:
    manifest = package / "manifest.json"
    histogram = {"name": "a", "cuts": [0.5], "counts": [2, 2, 0]}
    forge(store, package, reference={"rows": 4, "features": [histogram]})
    store.verify("tiny", "1")
    manifest.write_bytes(manifest.read_bytes().replace(b'"counts": [2, 2, 0]', b'"counts": [1, 3, 0]'))
    assert "signature" in refused(store)


def test_a_package_without_a_signature_is_refused(store: Store, package: Path) -> None:
    (package / "manifest.sig").write_bytes(b"")
    assert "signature" in refused(store)


def test_a_package_signed_by_another_key_is_refused(store: Store, tmp_path: Path) -> None:
    other = store_in(tmp_path / "other")
    publish(other, name="theirs")
    shutil.copytree(other.models_directory / "theirs", store.models_directory / "theirs")
    assert "another key" in refused(store, "theirs")


def test_the_signature_of_another_package_is_refused(store: Store, package: Path) -> None:
    publish(store, version="2", weights=(9.0, 9.0))
    shutil.copy(package.with_name("2") / "manifest.sig", package / "manifest.sig")
    assert "signature" in refused(store)


@pytest.mark.parametrize("file", FILES)
def test_a_symbolic_link_to_the_right_bytes_is_refused(store: Store, package: Path, file: str) -> None:
    (package / file).rename(package.parent.parent / file)
    (package / file).symlink_to(package.parent.parent / file)
    assert "links are refused" in refused(store)


@pytest.mark.parametrize("file", FILES)
def test_a_hard_link_is_refused(store: Store, package: Path, file: str, tmp_path: Path) -> None:
    os.link(package / file, tmp_path / "second name")
    assert "more than one link" in refused(store)


@pytest.mark.parametrize("file", FILES)
def test_a_fifo_is_refused_and_nothing_waits_for_it(store: Store, package: Path, file: str) -> None:
    (package / file).unlink()
    os.mkfifo(package / file)
    assert "not a regular file" in refused(store)


@pytest.mark.parametrize("file", FILES)
def test_a_directory_in_place_of_a_file_is_refused(store: Store, package: Path, file: str) -> None:
    (package / file).unlink()
    (package / file).mkdir()
    assert "not a regular file" in refused(store)


def test_a_linked_version_directory_is_refused(store: Store, package: Path) -> None:
    (package.with_name("2")).symlink_to(package)
    assert "links are refused" in refused(store, version="2")


def test_a_linked_model_directory_is_refused(store: Store, package: Path, tmp_path: Path) -> None:
    package.parent.rename(tmp_path / "tiny")
    (store.models_directory / "tiny").symlink_to(tmp_path / "tiny")
    assert "links are refused" in refused(store)


def test_an_extra_file_is_refused_by_name(store: Store, package: Path) -> None:
    (package / "payload.so").write_bytes(b"\x7fELF")
    assert "payload.so" in refused(store)


def test_a_control_character_in_a_file_name_does_not_reach_the_log(store: Store, package: Path) -> None:
    (package / 'x\n{"level": "forged"}').write_bytes(b"")
    assert "is not in the manifest" in refused(store)


@pytest.mark.parametrize("file", ["../tiny/1/model.onnx", "/etc/passwd", "a/../model.onnx", "..", "sub/model.onnx"])
def test_a_file_name_that_leaves_the_package_is_refused_even_when_it_is_signed(
    store: Store, package: Path, file: str
) -> None:
    record = json.loads((package / "manifest.json").read_bytes())["files"]["model.onnx"]
    forge(store, package, files={file: record})
    assert "manifest.json" in refused(store)


@pytest.mark.parametrize(("name", "version"), [("..", "1"), ("tiny", ".."), ("tiny/../tiny", "1"), ("tiny", "1/../1")])
def test_a_name_that_leaves_the_home_is_refused(store: Store, name: str, version: str) -> None:
    with pytest.raises(PackageRefused, match="not one that a package can have"):
        store.verify(name, version)


def test_an_older_version_in_the_directory_of_a_newer_one_is_refused(store: Store, package: Path) -> None:
    publish(store, version="2")
    shutil.rmtree(package.with_name("2"))
    shutil.copytree(package, package.with_name("2"))
    assert "the package inside is tiny/1" in refused(store, version="2")


def test_a_model_in_the_directory_of_another_is_refused(store: Store) -> None:
    shutil.copytree(store.models_directory / "tiny", store.models_directory / "iris")
    assert "the package inside is tiny/1" in refused(store, "iris")


def test_the_bytes_that_were_verified_are_the_bytes_that_load(store: Store, package: Path) -> None:
    verified = store.verify("tiny", "1")
    (package / "model.onnx").write_bytes(weighing_graph((666.0, 666.0)))
    assert verified.artifact.files["model.onnx"] == weighing_graph()


def test_a_file_that_is_said_to_be_huge_is_refused_without_reading_it(store: Store, package: Path) -> None:
    files = json.loads((package / "manifest.json").read_bytes())["files"]
    forge(store, package, files={**files, "model.onnx": {**files["model.onnx"], "size": 2**62}})
    assert "larger than" in refused(store)


def test_a_sparse_file_of_a_terabyte_is_refused_without_reading_it(store: Store, package: Path) -> None:
    os.truncate(package / "model.onnx", 2**40)
    assert "larger than" in refused(store)


def test_weights_in_a_file_outside_of_the_graph_are_refused(store: Store, tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(8))
    for version, location in (("2", str(secret)), ("3", "../../../secret.bin"), ("4", "weights.bin")):
        publish(store, version=version, graph=weighing_graph(external=location))
        registry = Registry(store)
        registry.load()
        assert "other files" in registry.problems[f"tiny/{version}"]
        assert registry.resolve("tiny").version == "1"


def test_a_previous_version_serves_when_a_package_was_tampered_with(store: Store, package: Path) -> None:
    publish(store, version="2")
    (package.with_name("2") / "model.onnx").write_bytes(weighing_graph((666.0, 666.0)))
    registry = Registry(store)
    registry.load()
    assert registry.resolve("tiny").version == "1"


def test_a_signing_key_that_others_can_read_signs_nothing(store: Store) -> None:
    (store.keys_directory / "model-signing.pem").chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        publish(store, version="2")
    assert store.versions("tiny") == ["1"]


def test_a_published_manifest_cannot_name_a_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name"):
        manifest_of({"model.onnx": b"", "sample.npz": weighing_sample()}, name="../../keys")


def test_serving_code_never_imports_a_library_that_unpickles_models(store: Store) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path\n"
        "from secure_ml_api.models.registry import Registry; from secure_ml_api.models.store import Store\n"
        f"registry = Registry(Store(Path({str(store.models_directory)!r}), Path({str(store.keys_directory)!r})))\n"
        "registry.load(); registry.start_worker(); registry.warm_up(); registry.resolve('tiny')\n"
        "training = {'sklearn', 'joblib', 'skops', 'onnx', 'skl2onnx', 'pandas', 'torch', 'xgboost', 'lightgbm'}\n"
        "print(sorted(training & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
