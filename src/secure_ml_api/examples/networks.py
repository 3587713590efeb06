"""The two example networks: handwritten digits, by PyTorch and by Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..packaging.networks.network import NetworkEstimator
from ..packaging.options import Options
from ..packaging.table import Array, Table
from .known_data import DIGITS
from .trained import Trained

_HIDDEN = 64
_FILTERS = 16
_IMAGE = (8, 8, 1)
_EPOCHS = 30
_SEED = 42
# A pixel is the ink in a square of 4 × 4: 0 to 16.
_MOST_INK = 16.0


class NetworkExample(NamedTuple):
    """An example that needs a framework which an extra brings."""

    module: str
    train: Callable[[], Trained]


class _Digits(NamedTuple):
    features: Array
    target: Array
    held_out: Array
    held_out_target: Array
    names: list[str]

    @property
    def all(self) -> Array:
        """The digits that were held out, and after them the others: float32 [rows, 64]."""
        return np.vstack([self.held_out, self.features])

    def trained(self, estimator: NetworkEstimator, sample: Table, by: str) -> Trained:
        accuracy = float((estimator.predict(self.held_out) == self.held_out_target).mean())
        options = Options(
            description=f"Handwritten digits of 8 × 8 pixels, by a network of two layers ({by}).",
            metrics={"accuracy": round(accuracy, 4)},
            bounds=dict.fromkeys(sample.names, (0.0, _MOST_INK)),
            training_data=DIGITS,
        )
        return Trained(estimator, sample, options)


def train_digits_torch() -> Trained:
    import torch

    from ..packaging.networks.torch_module import TorchNetwork

    digits = _digits()
    torch.manual_seed(_SEED)
    torch.set_num_threads(1)  # so that sums are taken in the same order everywhere
    module = torch.nn.Sequential(torch.nn.Linear(64, _HIDDEN), torch.nn.ReLU(), torch.nn.Linear(_HIDDEN, 10))
    optimiser = torch.optim.Adam(module.parameters(), lr=0.003)
    features, target = torch.from_numpy(digits.features), torch.from_numpy(digits.target)
    for _ in range(_EPOCHS):
        for rows in torch.utils.data.BatchSampler(torch.utils.data.RandomSampler(target), 64, drop_last=False):
            optimiser.zero_grad()
            loss: Any = torch.nn.functional.cross_entropy(module(features[rows]), target[rows])
            loss.backward()
            optimiser.step()
    estimator = NetworkEstimator(TorchNetwork(module), digits.features, task="classification")
    return digits.trained(estimator, Table.of_matrix(digits.all, digits.names), "PyTorch")


def train_digits_tensorflow() -> Trained:
    """As images: callers send uint8 [rows, 8, 8, 1], one channel of ink."""
    import keras

    from ..packaging.networks.keras_model import KerasNetwork

    digits = _digits()
    keras.utils.set_random_seed(_SEED)
    model = keras.Sequential(
        [
            keras.Input(_IMAGE),
            keras.layers.Rescaling(1 / _MOST_INK),
            keras.layers.Conv2D(_FILTERS, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
    model.fit(digits.features.reshape(-1, *_IMAGE), digits.target, batch_size=64, epochs=_EPOCHS, verbose=0)
    estimator = NetworkEstimator(KerasNetwork(model), digits.features, task="classification")
    images = digits.all.astype(np.uint8).reshape(-1, *_IMAGE)
    return digits.trained(estimator, Table.of_images(images), "Keras")


def _digits() -> _Digits:
    """1797 digits: float32 [rows, 64] and int64 [rows]; every fifth is held out."""
    from sklearn.datasets import load_digits

    data = load_digits()
    features, target = data.data.astype(np.float32), data.target.astype(np.int64)
    held_out = np.arange(len(features)) % 5 == 0
    names = [str(name) for name in data.feature_names]
    return _Digits(features[~held_out], target[~held_out], features[held_out], target[held_out], names)


NETWORK_EXAMPLES: dict[str, NetworkExample] = {
    "digits-torch": NetworkExample("torch", train_digits_torch),
    "digits-tensorflow": NetworkExample("tensorflow", train_digits_tensorflow),
}
