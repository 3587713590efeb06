"""Networks that were packed: what their packages answer, and what they should."""

from __future__ import annotations

from typing import Any

import numpy as np

from secure_ml_api.models.installed import installed
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.networks.network import Network
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.pack import PackResult, pack_network
from support.lazily import Lazily
from support.networks import FEATURES, keras_model, table

keras = Lazily("keras")

ROWS = np.random.default_rng(11).normal(size=(1000, FEATURES)).astype(np.float32)


def packed(store: Store, network: Network, **said: Any) -> PackResult:
    """The package ``net`` of ``network``, with what was ``said`` of it as options."""
    return pack_network(network, table(), store=store, name="net", options=Options(**said))


def answers(store: Store, architectures: tuple[str, ...] = ()) -> dict[str, np.ndarray[Any, Any]]:
    """What the package answers to ROWS, loaded as a server loads it."""
    package = store.verify("net", "1")
    runtimes = {runtime.name: runtime for runtime in installed(architectures=architectures)}
    session = runtimes[package.manifest.runtime].load(package.artifact, 1)
    return session.run({"input": ROWS}, [spec.name for spec in package.manifest.signature.outputs])


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def dense(*units: int) -> Any:
    """A model of Keras's with layers of so many units, that tells classes apart."""
    *hidden, end = units
    layers = [keras.layers.Dense(size, activation="relu") for size in hidden]
    return keras_model(*layers, keras.layers.Dense(end, activation="softmax"))
