"""What every runtime promises, of those that run networks as they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from secure_ml_api.runtimes.tensorflow import ARCHIVE_FILE, TensorFlowRuntime
from secure_ml_api.runtimes.torch import WEIGHTS_FILE, TorchRuntime
from secure_ml_api.tensors import Column, Signature
from secure_ml_api.testing import ROWS, WEIGHTS, RuntimeContract
from support.networks import ARCHITECTURE, FEATURES, keras_model, offer_architecture, torch_module

_ROWS = np.random.default_rng(0).normal(size=(40, FEATURES)).astype(np.float32)
_CLASSES = Signature(
    task="classification",
    columns=tuple(Column(name=f"x{position}") for position in range(FEATURES)),
    classes=(0, 1, 2),
    labels=("0", "1", "2"),
)


class TestTorch(RuntimeContract):
    """Weights in an architecture that is installed; they are classes, as the architecture has more than one output."""

    runtime = TorchRuntime((ARCHITECTURE,))
    signature = _CLASSES
    rows = {"input": _ROWS}

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def network(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        import torch

        from secure_ml_api.packaging.networks.torch_module import TorchNetwork

        module = torch_module().eval()
        network = TorchNetwork(module, architecture=ARCHITECTURE, parameters={"features": FEATURES, "classes": 3})
        cls.files = {WEIGHTS_FILE: network.native(FEATURES, "logits")}
        with torch.inference_mode():
            probabilities = torch.softmax(module(torch.from_numpy(_ROWS)), dim=1).numpy()
        cls.answers = {"label": probabilities.argmax(axis=1), "probabilities": probabilities}
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(offer_architecture(tmp_path_factory.mktemp("architectures"))))
            yield


class TestTensorFlow(RuntimeContract):
    """A SavedModel that weighs."""

    runtime = TensorFlowRuntime()

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def network(cls) -> None:
        import keras

        from secure_ml_api.packaging.networks.keras_model import KerasNetwork

        layer = keras.layers.Dense(1, use_bias=False)
        model = keras_model(layer, features=ROWS.shape[1])
        layer.set_weights([np.array(WEIGHTS, dtype=np.float32).reshape(-1, 1)])
        cls.files = {ARCHIVE_FILE: KerasNetwork(model).native(ROWS.shape[1], "values")}
