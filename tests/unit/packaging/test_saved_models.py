"""SavedModels: TensorFlow serves what it exported, and what does more than compute is not read."""

from __future__ import annotations

import io
import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secure_ml_api.errors import PackageRefused, PackingError
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.networks.keras_model import KerasNetwork
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.pack import pack
from secure_ml_api.runtimes.tensorflow import ARCHIVE_FILE, open_saved_model
from secure_ml_api.runtimes.tensorflow_ops import operators_of, unknown_operators
from support.lazily import Lazily
from support.networks import CLASSES, FEATURES, keras_model, unwritable, write_sample
from support.packages import store_in
from support.packed_networks import ROWS, answers, dense, packed

pytestmark = pytest.mark.slow

tensorflow = Lazily("tensorflow")
keras = Lazily("keras")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path)


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def signature_of(store: Store) -> Any:
    packed(store, KerasNetwork(dense(CLASSES)))
    return store.verify("net", "1").manifest.signature


def test_saved_model_that_reads_a_file_is_refused(store: Store, tmp_path: Path) -> None:
    """An artifact that would hand out a file of the server as its answer."""
    module = tensorflow.Module()
    module.serve = tensorflow.function(
        lambda rows: tensorflow.strings.to_number(tensorflow.io.read_file("/etc/hostname")) + rows,
        input_signature=[tensorflow.TensorSpec([None, FEATURES], tensorflow.float32)],
    )
    tensorflow.saved_model.save(module, str(tmp_path / "saved"), signatures={"serve": module.serve})
    graph = (tmp_path / "saved" / "saved_model.pb").read_bytes()
    assert unknown_operators(operators_of(graph)) == ["ReadFile", "StringToNumber"]
    data = archive(**{"saved_model.pb": graph, "gives.txt": b"logits"})
    with pytest.raises(PackageRefused, match="not trusted: ReadFile"):
        open_saved_model(data, signature_of(store))


@pytest.mark.parametrize("name", ["/etc/cron.d/x", "../x", "variables/../../x"])
def test_archive_that_would_write_elsewhere_is_refused(store: Store, name: str) -> None:
    data = archive(**{"saved_model.pb": b"", "gives.txt": b"logits", name: b"x"})
    with pytest.raises(PackageRefused, match="no plain file of a SavedModel"):
        open_saved_model(data, signature_of(store))


def test_archive_with_a_link_is_refused(store: Store) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        link = tarfile.TarInfo("variables")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        made.addfile(link)
    with pytest.raises(PackageRefused, match="no plain file of a SavedModel"):
        open_saved_model(buffer.getvalue(), signature_of(store))


@pytest.mark.parametrize("data", [b"", b"no archive", archive(**{"gives.txt": b"logits"})])
def test_bytes_that_are_no_saved_model_are_refused(store: Store, data: bytes) -> None:
    with pytest.raises(PackageRefused, match=ARCHIVE_FILE):
        open_saved_model(data, signature_of(store))


def saved_model(place: Path, *layers: Any) -> Any:
    """A SavedModel in ``place`` that Keras exported, and the model."""
    model = keras_model(*layers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.export(place, verbose=False)
    return model


def test_saved_model_is_served_by_tensorflow_as_keras_exported_it(store: Store, tmp_path: Path) -> None:
    place, sample = tmp_path / "net", write_sample(tmp_path / "sample.csv")
    model = saved_model(place, *unwritable(), keras.layers.Dense(CLASSES, activation="softmax"))
    options = Options(allow_native=True)
    manifest = pack(place, store=store, name="net", sample=sample, options=options).manifest
    assert (manifest.runtime, manifest.provenance.source) == ("tensorflow", "saved-model")
    np.testing.assert_allclose(answers(store)["probabilities"], model(ROWS).numpy(), rtol=1e-4, atol=1e-5)


def test_saved_model_with_operators_that_do_more_than_compute_is_not_read(store: Store, tmp_path: Path) -> None:
    class Reads(tensorflow.Module):  # type: ignore[misc, name-defined]
        @tensorflow.function(input_signature=[tensorflow.TensorSpec([None, FEATURES], tensorflow.float32)])  # type: ignore[untyped-decorator]
        def serve(self, rows: Any) -> Any:
            tensorflow.io.read_file("/etc/hostname")
            return rows

    module = Reads()
    tensorflow.saved_model.save(module, str(tmp_path / "net"), signatures={"serving_default": module.serve})
    sample = write_sample(tmp_path / "sample.csv")
    with pytest.raises(PackingError, match=r"net holds operators that are not trusted: ReadFile"):
        pack(tmp_path / "net", store=store, name="net", sample=sample, options=Options(allow_native=True))


def test_folder_that_is_no_saved_model_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    with pytest.raises(PackingError, match=r"no SavedModel of TensorFlow: it has no saved_model\.pb"):
        pack(tmp_path / "net", store=store, name="net", sample=write_sample(tmp_path / "sample.csv"))
