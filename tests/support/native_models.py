"""Models that are served by their own frameworks, since no graph answers like them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.semi_supervised import LabelPropagation

from secure_ml_api.models.store import Store
from secure_ml_api.packaging.networks.keras_model import KerasNetwork
from secure_ml_api.packaging.networks.network import Network
from secure_ml_api.packaging.networks.torch_module import TorchNetwork
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.pack import pack_estimator, pack_network

from .lazily import Lazily
from .networks import ARCHITECTURE, CLASSES, FEATURES, keras_model, table, torch_module

keras = Lazily("keras")

NATIVE = ("torch-itself", "tensorflow-itself")
ESTIMATOR = "scikit-learn-itself"


def pack_natives(store: Store, architectures: Path, rows: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Two networks, and an estimator, that no graph answers like; 1000 rows of each and what it answers to them."""
    drawn = np.random.default_rng(13).normal(size=(1000, FEATURES)).astype(np.float32)
    sys.path.insert(0, str(architectures))
    try:
        torch_network = TorchNetwork(
            torch_module(), architecture=ARCHITECTURE, parameters={"features": FEATURES, "classes": CLASSES}
        )
        torch_network.graphs = lambda: ()  # type: ignore[method-assign]
        keras_network = KerasNetwork(
            keras_model(keras.layers.LayerNormalization(), keras.layers.Dense(CLASSES, activation="softmax"))
        )
        keras_network.graphs = lambda: ()  # type: ignore[method-assign]
        networks: tuple[Network, ...] = (torch_network, keras_network)
        for name, network in zip(NATIVE, networks, strict=True):
            pack_network(network, table(), store=store, name=name, options=Options(allow_native=True))
            outputs = network.outputs(drawn)
            rows[name], wanted[name] = drawn, outputs if name == NATIVE[1] else _softmax(outputs)
    finally:
        sys.path.remove(str(architectures))
    estimator = LabelPropagation(gamma=0.5, max_iter=5000).fit(drawn[:200], drawn[:200, :CLASSES].argmax(axis=1))
    pack_estimator(estimator, table(), store=store, name=ESTIMATOR, options=Options(allow_native=True))
    rows[ESTIMATOR], wanted[ESTIMATOR] = drawn, estimator.predict_proba(drawn)


def _softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
