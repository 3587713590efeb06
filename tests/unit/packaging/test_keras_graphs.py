"""Keras models become graphs layer by layer, however their layers are joined; what is not known is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secure_ml_api.errors import PackingError
from secure_ml_api.packaging.graphs.writer import Inapplicable
from secure_ml_api.packaging.networks.keras_graph import keras_graph
from secure_ml_api.packaging.networks.keras_model import KerasNetwork
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.pack import pack_network
from support.lazily import Lazily
from support.networks import CLASSES, FEATURES, keras_model, table
from support.packages import store_in

pytestmark = pytest.mark.slow

keras = Lazily("keras")
layers = Lazily("keras.layers")

ROWS = np.random.default_rng(11).normal(size=(1000, FEATURES)).astype(np.float32)


def graph_of(model: Any) -> np.ndarray[Any, Any]:
    """What the graph of ``model`` answers to ROWS."""
    import onnxruntime

    given = keras_graph(model, FEATURES)
    session = onnxruntime.InferenceSession(given.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"given": ROWS})[0])


def assert_written(model: Any) -> None:
    model.set_weights([_drawn(position, each) for position, each in enumerate(model.get_weights())])
    wanted = np.asarray(model(ROWS, training=False))
    np.testing.assert_allclose(graph_of(model), wanted, rtol=1e-4, atol=1e-5)


def _drawn(seed: int, weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """No weight is left at nought or one, where a mistake would not show; variances stay above nought."""
    return np.asarray(np.random.default_rng(seed).uniform(0.1, 1, weights.shape), dtype=weights.dtype)


JOINED: dict[str, Callable[[Any], Any]] = {
    "residual connection": lambda given: layers.Add()([given, layers.Dense(FEATURES, activation="relu")(given)]),
    "two branches": lambda given: layers.Concatenate()(
        [layers.Dense(4, activation="tanh")(given), layers.Dense(3)(given)]
    ),
    "three branches": lambda given: layers.Multiply()([layers.Dense(4)(given) for _ in range(3)]),
    "average": lambda given: layers.Average()([given, layers.Dense(FEATURES)(given)]),
    "difference": lambda given: layers.Subtract()([given, layers.Dense(FEATURES)(given)]),
    "maximum": lambda given: layers.Maximum()([given, layers.Dense(FEATURES)(given)]),
    "minimum": lambda given: layers.Minimum()([given, layers.Dense(FEATURES)(given)]),
    "arithmetic between layers": lambda given: (1.0 - given * layers.Dense(FEATURES)(given)) / 3.0 + given,
    "model inside": lambda given: layers.Dense(2)(keras.Sequential([layers.Dense(4), layers.Dense(2)])(given)),
    "gate over channels": lambda given: layers.Multiply()(
        [image := layers.Reshape((3, 2))(given), layers.Dense(2, activation="sigmoid")(image)]
    ),
}


@pytest.mark.parametrize("joined", JOINED)
def test_layers_that_branch_and_join_are_written_as_they_are(joined: str) -> None:
    given = keras.Input((FEATURES,))
    assert_written(keras.Model(given, layers.Dense(CLASSES)(layers.Flatten()(JOINED[joined](given)))))


def test_a_function_that_only_has_the_name_of_an_activation_is_not_taken_for_it() -> None:
    def relu(given: Any) -> Any:
        return given * 2

    for layer in (layers.Dense(CLASSES, activation=relu), layers.Activation(relu)):
        with pytest.raises(Inapplicable, match=r"activation 'relu', which is code of its own"):
            keras_graph(keras_model(layer), FEATURES)


def test_an_embedding_counts_numbers_below_nought_from_its_end_as_keras_does() -> None:
    assert_written(
        keras_model(layers.Rescaling(0.01, offset=-2), layers.Embedding(4, 5), layers.GlobalAveragePooling1D())
    )


def test_a_layer_that_is_called_twice_is_written_twice_with_the_same_weights() -> None:
    given = keras.Input((FEATURES,))
    shared = layers.Dense(FEATURES, activation="tanh")
    assert_written(keras.Model(given, layers.Concatenate()([shared(given), shared(shared(given))])))


def test_functional_model_inside_another_is_written_with_it() -> None:
    inner_given = keras.Input((4,))
    inner = keras.Model(inner_given, layers.Add()([inner_given, layers.Dense(4)(inner_given)]))
    given = keras.Input((FEATURES,))
    assert_written(keras.Model(given, layers.Dense(2)(inner(layers.Dense(4)(given)))))


IMAGE: dict[str, Callable[[], list[Any]]] = {
    "conv 1d": lambda: [layers.Reshape((6, 1)), layers.Conv1D(4, 3, strides=2, activation="relu")],
    "causal conv": lambda: [layers.Reshape((6, 1)), layers.Conv1D(4, 2, padding="causal", dilation_rate=2)],
    "conv 2d": lambda: [layers.Reshape((3, 2, 1)), layers.Conv2D(4, 2, padding="same", strides=2)],
    "conv in groups": lambda: [layers.Reshape((3, 1, 2)), layers.Conv2D(4, (2, 1), groups=2)],
    "conv 3d": lambda: [layers.Reshape((3, 2, 1, 1)), layers.Conv3D(4, (2, 2, 1))],
    "depthwise conv": lambda: [
        layers.Reshape((3, 1, 2)),
        layers.DepthwiseConv2D((2, 1), depth_multiplier=2, padding="same"),
    ],
    "separable conv": lambda: [layers.Reshape((3, 2)), layers.SeparableConv1D(5, 2, activation="relu")],
    "max pooling": lambda: [layers.Reshape((3, 2, 1)), layers.MaxPooling2D(2, padding="same")],
    "average pooling": lambda: [layers.Reshape((6, 1)), layers.AveragePooling1D(4, 2, padding="same")],
    "global pooling": lambda: [layers.Reshape((3, 2, 1)), layers.Conv2D(4, 2), layers.GlobalAveragePooling2D()],
    "global max": lambda: [layers.Reshape((3, 2)), layers.GlobalMaxPooling1D(keepdims=True)],
    "zero padding": lambda: [layers.Reshape((3, 2, 1)), layers.ZeroPadding2D(((1, 0), (2, 1)))],
    "zero padding 1d": lambda: [layers.Reshape((3, 2)), layers.ZeroPadding1D((1, 2))],
    "permute": lambda: [layers.Reshape((3, 2)), layers.Permute((2, 1)), layers.Dense(2)],
    "repeat": lambda: [layers.RepeatVector(3), layers.Dense(2)],
    "batch normalisation": lambda: [layers.BatchNormalization()],
    "batch normalisation by row": lambda: [layers.Reshape((3, 2)), layers.BatchNormalization(axis=1)],
    "layer normalisation": lambda: [layers.LayerNormalization()],
    "layer normalisation of two axes": lambda: [layers.Reshape((3, 2)), layers.LayerNormalization(axis=(1, 2))],
    "bare layer normalisation": lambda: [layers.LayerNormalization(scale=False, center=False)],
    "normalization": lambda: [layers.Normalization(mean=[1, 2, 3, 4, 5, 6], variance=[1, 2, 3, 4, 5, 0])],
    "rescaling": lambda: [layers.Rescaling(0.5, offset=1)],
    "embedding": lambda: [layers.ReLU(max_value=3), layers.Embedding(4, 5), layers.GlobalAveragePooling1D()],
    "relu": lambda: [layers.ReLU()],
    "bounded relu": lambda: [layers.ReLU(max_value=1)],
    "sloping relu": lambda: [layers.ReLU(max_value=1, negative_slope=0.3)],
    "leaky relu": lambda: [layers.LeakyReLU(negative_slope=0.1)],
    "prelu": lambda: [layers.PReLU()],
    "elu": lambda: [layers.ELU(alpha=0.7)],
    "softmax": lambda: [layers.Reshape((3, 2)), layers.Softmax(axis=1)],
    "silent layers": lambda: [layers.Dropout(0.5), layers.GaussianNoise(1.0), layers.Identity()],
}


@pytest.mark.parametrize("name", IMAGE)
def test_layer_is_written_as_keras_runs_it(name: str) -> None:
    assert_written(keras_model(*IMAGE[name](), layers.Flatten(), layers.Dense(CLASSES)))


@pytest.mark.parametrize(
    "name",
    """
    celu elu exponential gelu hard_sigmoid hard_silu leaky_relu linear log_softmax mish relu relu6 selu sigmoid silu
    softmax softplus softsign swish tanh
    """.split(),  # noqa: SIM905 - names are read as words
)
def test_activation_is_written_as_keras_runs_it(name: str) -> None:
    assert_written(keras_model(layers.Activation(name), layers.Dense(CLASSES, activation=name)))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: [layers.UnitNormalization()], "the layer UnitNormalization$"),
        (lambda: [layers.Reshape((6, 1)), layers.LSTM(2)], "the layer LSTM$"),
        (lambda: [layers.Dense(2, activation="squareplus")], "the activation 'squareplus'$"),
        (lambda: [layers.Lambda(lambda rows: rows * 2)], "the layer Lambda$"),
        (lambda: [layers.Embedding(4, 5, mask_zero=True)], "the layer Embedding that masks zeros$"),
    ],
)
def test_what_is_not_known_is_refused_by_its_name(made: Callable[[], list[Any]], said: str) -> None:
    with pytest.raises(Inapplicable, match=f"no graph is written for {said}"):
        keras_graph(keras_model(*made()), FEATURES)


def test_layer_of_someone_else_is_not_taken_for_keras_own_of_that_name() -> None:
    class Dense(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, rows: Any) -> Any:
            return rows * 2

    with pytest.raises(Inapplicable, match="the layer Dense, which is code of its own"):
        keras_graph(keras_model(Dense()), FEATURES)


def test_functional_network_is_packed_as_a_graph_without_consent(tmp_path: Path) -> None:
    given = keras.Input((FEATURES,))
    hidden = layers.Dense(8, activation="tanh")(given)
    joined = layers.Concatenate()([given, layers.Add()([hidden, layers.Dense(8)(hidden)])])
    model = keras.Model(given, layers.Dense(CLASSES, activation="softmax")(joined))
    store = store_in(tmp_path)
    manifest = pack_network(KerasNetwork(model), table(), store=store, name="net").manifest
    assert (manifest.runtime, manifest.provenance.graph.split(",")[0]) == ("onnx", "layer by layer")


def test_network_of_several_inputs_takes_them_one_after_the_other_in_a_row(tmp_path: Path) -> None:
    first, second = keras.Input((4,)), keras.Input((2, 1))
    joined = layers.Concatenate()([layers.Dense(3)(first), layers.Flatten()(second)])
    model = keras.Model([first, second], layers.Dense(CLASSES)(joined))
    network = KerasNetwork(model)
    wanted = np.asarray(model([ROWS[:, :4], ROWS[:, 4:].reshape(-1, 2, 1)]))
    np.testing.assert_allclose(network.outputs(ROWS), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(graph_of(model), wanted, rtol=1e-4, atol=1e-5)
    store = store_in(tmp_path)
    packed = pack_network(network, table(), store=store, name="net", options=Options(allow_native=True))
    assert [timing.graph for timing in packed.manifest.timings].count("TensorFlow itself") == 3


def test_network_of_several_outputs_or_of_none_yet_is_refused() -> None:
    given = keras.Input((FEATURES,))
    for model in (keras.Model(given, [layers.Dense(2)(given), layers.Dense(3)(given)]), keras.Sequential()):
        with pytest.raises(PackingError, match="has to be built, with one output"):
            KerasNetwork(model)


def test_network_of_rows_of_any_size_is_refused_with_the_remedy() -> None:
    given = keras.Input((None, 2))
    model = keras.Model(given, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(given)))
    with pytest.raises(PackingError, match=r"build it for rows of one size, keras\.Input\(\(6,\)\)"):
        KerasNetwork(model)
