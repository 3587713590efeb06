"""Networks over the 8 × 8 digits that are read from files and become graphs, and digits that nobody trained with."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from secure_ml_api.models.store import Store
from secure_ml_api.packaging.networks.files import read_network
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.pack import pack_estimator
from secure_ml_api.packaging.table import Table

RECURRENT = "digits-recurrent"
"""A SavedModel with an LSTM, whose graph tf2onnx writes."""
BRANCHES = "digits-branches"
"""A ``.keras`` file of layers that branch and join, whose graph is written layer by layer."""
PIXELS = 64


def new_digits(known: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """1000 digits [rows, 64] that are not among ``known``: each of two known ones, moved by a pixel and laid over."""
    random = np.random.default_rng(17)
    first, second = (known[random.integers(0, len(known), 1000)].reshape(-1, 8, 8) for _ in range(2))
    made: np.ndarray[Any, Any] = np.maximum(np.roll(first, 1, axis=2), second // 2).reshape(-1, PIXELS)
    made = made.astype(known.dtype)
    seen = {row.tobytes() for row in known}
    assert not any(row.tobytes() in seen for row in made)
    return made


def pack_read_networks(store: Store, directory: Path, rows: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Pack RECURRENT and BRANCHES; 1000 new digits for each, and what Keras answers to them with what it trained."""
    digits = load_digits()
    known = digits.data.astype(np.float32)
    sample, given = Table.of_matrix(known, [str(name) for name in digits.feature_names]), new_digits(known)
    recurrent, branches = _recurrent(), _branches()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Keras thinks of NumPy
        for model in (recurrent, branches):
            model.compile("adam", "sparse_categorical_crossentropy")
            model.fit(known, digits.target, batch_size=64, epochs=2, verbose=0)
        recurrent.export(directory / RECURRENT, verbose=False)
        branches.save(directory / f"{BRANCHES}.keras")
    read = {
        RECURRENT: read_network(directory / RECURRENT, "saved-model", sample, Options()),
        BRANCHES: read_network(directory / f"{BRANCHES}.keras", "keras", sample, Options()),
    }
    for name, model in ((RECURRENT, recurrent), (BRANCHES, branches)):
        pack_estimator(read[name], sample, store=store, name=name)
        rows[name], wanted[name] = given, model.predict(given, verbose=0)


def _recurrent() -> Any:
    """The rows of pixels of an image, read one after the other."""
    import keras

    keras.utils.set_random_seed(7)
    layers = keras.layers
    shaped = [keras.Input((PIXELS,)), layers.Rescaling(1 / 16), layers.Reshape((8, 8))]
    return keras.Sequential([*shaped, layers.LSTM(12), layers.Dense(10, activation="softmax")])


def _branches() -> Any:
    """Two branches beside each other, and one that is gone around."""
    import keras

    keras.utils.set_random_seed(7)
    layers = keras.layers
    given = keras.Input((PIXELS,))
    scaled = layers.Rescaling(1 / 16)(given)
    both = layers.Concatenate()([layers.Dense(12, activation="tanh")(scaled), layers.Dense(4)(scaled)])
    around = layers.Add()([both, layers.Dense(16, activation="relu")(both)])
    return keras.Model(given, layers.Dense(10, activation="softmax")(around))
