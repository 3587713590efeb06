"""Networks become packages: as graphs that answer like them, or for their own framework where that is allowed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secure_ml_api.errors import PackingError
from secure_ml_api.models.recheck import recheck_package
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.networks.keras_model import KerasNetwork
from secure_ml_api.packaging.networks.network import NetworkEstimator
from secure_ml_api.packaging.networks.torch_module import TorchNetwork
from secure_ml_api.packaging.pack import pack
from support.lazily import Lazily
from support.networks import CLASSES, FEATURES, keras_model, table, torch_module, unwritable, write_sample
from support.packages import store_in
from support.packed_networks import ROWS, answers, dense, packed, softmax

pytestmark = pytest.mark.slow

keras = Lazily("keras")
torch = Lazily("torch")

ALONE = "^Deciding answers a row alone otherwise than beside others"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path)


def test_torch_module_becomes_a_graph_that_answers_1000_rows_as_it_does(store: Store) -> None:
    module = torch_module()
    manifest = packed(store, TorchNetwork(module)).manifest
    assert manifest.runtime == "onnx"
    assert manifest.provenance.graph.startswith("torch exporter")
    assert any(timing.graph == "as trained" for timing in manifest.timings)
    with torch.inference_mode():
        wanted = softmax(module(torch.from_numpy(ROWS)).numpy())
    given = answers(store)
    assert given["label"].tolist() == wanted.argmax(axis=1).tolist()
    np.testing.assert_allclose(given["probabilities"], wanted, rtol=1e-4, atol=1e-5)


def deciding(decide: Callable[[Any, Any], Any]) -> Any:
    """A module whose outputs are those of ``torch_module`` as ``decide`` changes them, given also the rows."""

    class Deciding(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch_module()

        def forward(self, rows: Any) -> Any:
            return decide(rows, self.inner(rows))

    return Deciding()


@pytest.mark.parametrize(
    ("decide", "said"),
    [
        (lambda _, outputs: outputs * 2 if outputs.sum() > 0 else outputs, ALONE),
        # No row of the sample comes near: only the code shows it.
        (
            lambda rows, outputs: outputs / 255 if rows.max() > 100 else outputs,
            r"makes a Python boolean of its data \(test_networks\.py line \d+\)",
        ),
        (
            lambda rows, outputs: outputs * max(1.0, rows.max().item() / 100),
            r"makes a Python number of its data \(test_networks\.py line \d+\).*--architecture and --allow-native$",
        ),
    ],
)
def test_torch_module_that_decides_by_its_data_is_refused(
    store: Store, decide: Callable[[Any, Any], Any], said: str
) -> None:
    with pytest.raises(PackingError, match=said):
        packed(store, TorchNetwork(deciding(decide)))


def test_torch_module_that_checks_its_shapes_becomes_a_graph(store: Store) -> None:
    def check(rows: Any, outputs: Any) -> Any:
        if rows.shape[1] != FEATURES:
            raise ValueError("wrong features")
        return outputs

    assert packed(store, TorchNetwork(deciding(check))).manifest.runtime == "onnx"


def test_network_whose_answer_to_a_row_hangs_on_its_neighbours_is_refused(store: Store) -> None:
    def doubled_in_company(rows: Any, outputs: Any) -> Any:
        return outputs * 2 if len(rows) > 1 else outputs

    with pytest.raises(PackingError, match=ALONE):
        packed(store, TorchNetwork(deciding(doubled_in_company)))


def test_keras_model_becomes_a_graph_that_answers_1000_rows_as_it_does(store: Store) -> None:
    model = dense(8, CLASSES)
    manifest = packed(store, KerasNetwork(model)).manifest
    assert manifest.runtime == "onnx"
    wanted = model(ROWS).numpy()
    given = answers(store)
    assert given["label"].tolist() == wanted.argmax(axis=1).tolist()
    np.testing.assert_allclose(given["probabilities"], wanted, rtol=1e-4, atol=1e-5)


def test_keras_network_of_convolutions_becomes_a_graph_too(store: Store) -> None:
    model = keras_model(
        keras.layers.Reshape((3, 2, 1)),
        keras.layers.Conv2D(4, 2, padding="same", activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.MaxPooling2D((2, 1)),
        keras.layers.Dropout(0.5),
        keras.layers.Flatten(),
        keras.layers.Dense(CLASSES),
    )
    assert packed(store, KerasNetwork(model)).manifest.runtime == "onnx"
    np.testing.assert_allclose(answers(store)["probabilities"], softmax(model(ROWS).numpy()), rtol=1e-4, atol=1e-5)


def test_torch_network_of_images_takes_their_pixels_as_features(store: Store) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8, 2))
    assert packed(store, TorchNetwork(module, row_shape=(1, 3, 2))).manifest.runtime == "onnx"
    with torch.inference_mode():
        wanted = softmax(module(torch.from_numpy(ROWS.reshape(-1, 1, 3, 2))).numpy())
    np.testing.assert_allclose(answers(store)["probabilities"], wanted, rtol=1e-4, atol=1e-5)


def test_network_of_one_number_is_a_regression_or_two_classes_as_is_said(tmp_path: Path) -> None:
    value, second = store_in(tmp_path / "value"), store_in(tmp_path / "second")
    module = torch_module(classes=1)
    with torch.inference_mode():
        given = module(torch.from_numpy(ROWS)).numpy()[:, 0]
    packed(value, TorchNetwork(module), task="regression")
    np.testing.assert_allclose(answers(value)["value"], given, rtol=1e-4, atol=1e-5)
    packed(second, TorchNetwork(module), task="classification")
    probabilities = answers(second)["probabilities"]
    np.testing.assert_allclose(probabilities[:, 1], 1 / (1 + np.exp(-given)), rtol=1e-4, atol=1e-5)
    assert answers(second)["label"].tolist() == (given > 0).astype(int).tolist()
    with pytest.raises(PackingError, match="--task"):
        packed(store_in(tmp_path / "unsaid"), TorchNetwork(module))


def test_network_without_a_graph_needs_consent_to_be_served_by_its_framework(store: Store) -> None:
    model = keras_model(*unwritable(), keras.layers.Dense(CLASSES))
    refused = r"layer Log1p.*operators Log1p\); .*of layers that a graph can hold, or .*--allow-native$"
    with pytest.raises(PackingError, match=refused):
        packed(store, KerasNetwork(model))
    manifest = packed(store, KerasNetwork(model), allow_native=True).manifest
    assert manifest.runtime == "tensorflow"
    np.testing.assert_allclose(answers(store)["probabilities"], softmax(model(ROWS).numpy()), rtol=1e-4, atol=1e-5)
    assert not recheck_package(store.verify("net", "1")).differing.any()


def test_outputs_are_told_apart_and_must_fit_the_task() -> None:
    rows = table().tensors(_matrix_signature())["input"]
    logits = NetworkEstimator(TorchNetwork(torch_module()), rows, task="classification")
    probabilities = NetworkEstimator(KerasNetwork(dense(CLASSES)), rows, task="classification")
    assert (logits.gives, probabilities.gives) == ("logits", "probabilities")
    with pytest.raises(PackingError, match="gives 3 numbers a row"):
        NetworkEstimator(TorchNetwork(torch_module()), rows, task="regression")
    with pytest.raises(PackingError, match="3 classes apart and 2 are named"):
        NetworkEstimator(TorchNetwork(torch_module()), rows, task="classification", classes=["a", "b"])


def _matrix_signature() -> Any:
    from secure_ml_api.tensors import Column, Signature

    return Signature(task="regression", columns=tuple(Column(name=name) for name in table().names))


def save(model: Any, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Keras thinks of NumPy
        model.save(path)


def test_keras_file_is_packed_by_a_process_of_its_own(store: Store, tmp_path: Path) -> None:
    model = dense(8, CLASSES)
    save(model, tmp_path / "net.keras")
    sample = write_sample(tmp_path / "sample.csv")
    manifest = pack(tmp_path / "net.keras", store=store, name="net", sample=sample).manifest
    assert (manifest.runtime, manifest.provenance.source) == ("onnx", "keras")
    np.testing.assert_allclose(answers(store)["probabilities"], model(ROWS).numpy(), rtol=1e-4, atol=1e-5)


def test_keras_file_with_code_in_it_is_refused(store: Store, tmp_path: Path) -> None:
    save(keras_model(keras.layers.Lambda(lambda rows: rows * 2), keras.layers.Dense(CLASSES)), tmp_path / "net.keras")
    with pytest.raises(PackingError, match=r"net\.keras cannot be read"):
        pack(tmp_path / "net.keras", store=store, name="net", sample=write_sample(tmp_path / "sample.csv"))
