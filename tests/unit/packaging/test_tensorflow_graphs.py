"""What TensorFlow's operators are all that is known of becomes a graph by tf2onnx, where it knows them."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secure_ml_api.errors import PackingError
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.networks.keras_model import KerasNetwork
from secure_ml_api.packaging.networks.saved_model import SavedModelNetwork
from secure_ml_api.packaging.networks.tensorflow_graph import tensorflow_graph
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.pack import pack, pack_network
from secure_ml_api.runtimes.onnx import OnnxRuntime
from support.lazily import Lazily
from support.networks import CLASSES, FEATURES, keras_model, table, unwritable
from support.packages import store_in

pytestmark = pytest.mark.slow

keras = Lazily("keras")
layers = Lazily("keras.layers")
tensorflow = Lazily("tensorflow")
convert = Lazily("tf2onnx.convert")

ROWS = np.random.default_rng(11).normal(size=(1000, FEATURES)).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path)


@pytest.fixture(autouse=True)
def installed() -> None:
    assert convert.from_function  # without which there is nothing to test


def exported(place: Path, *made: Any) -> Any:
    """A Keras model, which is also in ``place`` as a SavedModel."""
    model = keras_model(*made)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Keras thinks of NumPy
        model.export(place, verbose=False)
    return model


def graph_answers(store: Store) -> np.ndarray[Any, Any]:
    """The probabilities that the packed graph gives ROWS, without TensorFlow."""
    package = store.verify("net", "1")
    assert package.manifest.runtime == "onnx"
    assert package.manifest.provenance.graph.split(",")[0] == "tf2onnx"
    session = OnnxRuntime().load(package.artifact, 1)
    return np.asarray(session.run({"input": ROWS}, ["probabilities"])["probabilities"])


NETWORKS: dict[str, Callable[[], list[Any]]] = {
    "perceptron": lambda: [layers.Dense(8, activation="relu"), layers.LayerNormalization()],
    "convolutions": lambda: [
        layers.Reshape((3, 2, 1)),
        layers.Conv2D(4, 2, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D((2, 1)),
        layers.Flatten(),
    ],
    "gelu": lambda: [layers.Dense(8, activation="gelu")],
    "recurrent": lambda: [layers.Reshape((6, 1)), layers.LSTM(5)],
}


@pytest.mark.parametrize("network", NETWORKS)
def test_saved_model_becomes_a_graph_that_answers_1000_rows_as_it_does(
    store: Store, tmp_path: Path, network: str
) -> None:
    model = exported(tmp_path / "net", *NETWORKS[network](), layers.Dense(CLASSES, activation="softmax"))
    pack_network(SavedModelNetwork(tmp_path / "net"), table(), store=store, name="net")
    np.testing.assert_allclose(graph_answers(store), model(ROWS).numpy(), rtol=1e-4, atol=1e-5)


def test_saved_model_is_packed_as_a_graph_by_a_process_of_its_own(store: Store, tmp_path: Path) -> None:
    model = exported(tmp_path / "net", layers.Dense(CLASSES, activation="softmax"))
    sample = tmp_path / "sample.csv"
    rows = np.column_stack(list(table().columns.values()))
    np.savetxt(sample, rows, delimiter=",", header=",".join(table().names), comments="")
    manifest = pack(tmp_path / "net", store=store, name="net", sample=sample).manifest
    assert manifest.provenance.source == "saved-model"
    assert "tf2onnx" in manifest.provenance.libraries
    np.testing.assert_allclose(graph_answers(store), model(ROWS).numpy(), rtol=1e-4, atol=1e-5)


def test_saved_model_of_one_number_is_two_classes_as_is_said(store: Store, tmp_path: Path) -> None:
    """TensorFlow does not know how many numbers this one gives."""
    module = tensorflow.Module()
    module.weights = tensorflow.Variable(np.ones((FEATURES, 1), dtype=np.float32))
    module.serve = tensorflow.function(
        lambda rows: tensorflow.reshape(
            tensorflow.matmul(rows, module.weights), tensorflow.stack([tensorflow.shape(rows)[0], -1])
        ),
        input_signature=[tensorflow.TensorSpec([None, FEATURES], tensorflow.float32)],
    )
    tensorflow.saved_model.save(module, str(tmp_path / "net"), signatures={"serving_default": module.serve})
    options = Options(task="classification")
    pack_network(SavedModelNetwork(tmp_path / "net"), table(), store=store, name="net", options=options)
    wanted = 1 / (1 + np.exp(-ROWS.sum(axis=1)))
    np.testing.assert_allclose(graph_answers(store)[:, 1], wanted, rtol=1e-4, atol=1e-5)


def test_saved_model_of_one_feature_that_takes_no_columns_is_given_none(tmp_path: Path) -> None:
    module = tensorflow.Module()
    module.serve = tensorflow.function(
        lambda rows: tensorflow.stack([rows, -rows], axis=1),
        input_signature=[tensorflow.TensorSpec([None], tensorflow.float32)],
    )
    tensorflow.saved_model.save(module, str(tmp_path / "net"), signatures={"serving_default": module.serve})
    found = SavedModelNetwork(tmp_path / "net").outputs(ROWS[:, :1])
    np.testing.assert_array_equal(found, np.column_stack((ROWS[:, 0], -ROWS[:, 0])))


@pytest.mark.parametrize("level", [logging.NOTSET, logging.WARNING])
def test_writing_a_graph_leaves_the_log_of_tf2onnx_as_it_was(level: int) -> None:
    log = logging.getLogger("tf2onnx")
    before = log.level
    try:
        log.setLevel(level)
        tensorflow_graph(lambda rows: rows * 2, FEATURES)
        assert log.level == level
    finally:
        log.setLevel(before)


def test_keras_layers_without_a_form_become_a_graph_too(store: Store) -> None:
    given = keras.Input((FEATURES,))
    tokens = layers.Reshape((3, 2))(given)
    attended = layers.Flatten()(layers.MultiHeadAttention(2, 4)(tokens, tokens))
    model = keras.Model(given, layers.Dense(CLASSES, activation="softmax")(attended))
    pack_network(KerasNetwork(model), table(), store=store, name="net")
    np.testing.assert_allclose(graph_answers(store), model(ROWS).numpy(), rtol=1e-4, atol=1e-5)


def test_operators_that_tf2onnx_does_not_know_are_named(store: Store, tmp_path: Path) -> None:
    exported(tmp_path / "net", *unwritable(), layers.Dense(CLASSES))
    with pytest.raises(PackingError, match=r"tf2onnx writes no graph of the operators Log1p.*--allow-native$"):
        pack_network(SavedModelNetwork(tmp_path / "net"), table(), store=store, name="net")


def test_without_tf2onnx_its_extra_is_named(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported(tmp_path / "net", layers.Dense(CLASSES))
    for name in [name for name in sys.modules if name.split(".")[0] == "tf2onnx"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(
        PackingError, match=r"tf2onnx.*is not installed; run `pip install 'secure-ml-api\[tensorflow\]'"
    ):
        pack_network(SavedModelNetwork(tmp_path / "net"), table(), store=store, name="net")
