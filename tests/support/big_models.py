"""Models that take much memory in their frameworks, as packages; small ones of the same kind bring the framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from secure_ml_api.models.store import Store
from secure_ml_api.packaging.boosting import lightgbm_trees, xgboost_trees
from secure_ml_api.packaging.networks.keras_model import KerasNetwork
from secure_ml_api.packaging.networks.torch_module import TorchNetwork
from secure_ml_api.runtimes.lightgbm import TREES_FILE
from secure_ml_api.runtimes.sklearn import ESTIMATOR_FILE
from secure_ml_api.runtimes.skops_files import skops_io
from secure_ml_api.runtimes.tensorflow import ARCHIVE_FILE
from secure_ml_api.runtimes.torch import WEIGHTS_FILE
from secure_ml_api.runtimes.xgboost import BOOSTER_FILE

from .lazily import Lazily
from .networks import ARCHITECTURE, keras_model, torch_module
from .packages import manifest_of

keras = Lazily("keras")

_COLUMNS = 2


def publish_heavy(store: Store, runtime: str, *, name: str, is_big: bool) -> None:
    """A package for ``runtime``, that gives one number for a row of two; a network may be wider than its rows."""
    file, write = _KINDS[runtime]
    files = {file: write(is_big)}
    store.publish(manifest_of(files, name=name, runtime=runtime, parity=None), files)


def _drawn(rows: int) -> tuple[Any, Any]:
    drawn = np.random.default_rng(5).normal(size=(rows, _COLUMNS + 1))
    return drawn[:, :_COLUMNS], drawn[:, _COLUMNS]


def _neighbours(is_big: bool) -> bytes:
    from sklearn.neighbors import KNeighborsRegressor

    data: bytes = skops_io().dumps(KNeighborsRegressor(algorithm="brute").fit(*_drawn(3_000_000 if is_big else 100)))
    return data


def _xgboost(is_big: bool) -> bytes:
    from xgboost import XGBRegressor

    trees = XGBRegressor(n_estimators=200 if is_big else 2, max_depth=10, n_jobs=1)
    return xgboost_trees(trees.fit(*_drawn(20_000)))


def _lightgbm(is_big: bool) -> bytes:
    from lightgbm import LGBMRegressor

    trees = LGBMRegressor(
        n_estimators=200 if is_big else 2, num_leaves=1000, min_child_samples=5, n_jobs=1, verbosity=-1
    )
    return lightgbm_trees(trees.fit(*_drawn(20_000)))


def _torch(is_big: bool) -> bytes:
    features = 2_000_000 if is_big else _COLUMNS
    parameters = {"features": features, "classes": 1}
    network = TorchNetwork(torch_module(1, features), architecture=ARCHITECTURE, parameters=parameters)
    return network.native(features, "values")


def _tensorflow(is_big: bool) -> bytes:
    features = 4_000 if is_big else _COLUMNS
    network = KerasNetwork(keras_model(keras.layers.Dense(features), keras.layers.Dense(1), features=features))
    return network.native(features, "values")


_KINDS: dict[str, tuple[str, Callable[[bool], bytes]]] = {
    "sklearn": (ESTIMATOR_FILE, _neighbours),
    "xgboost": (BOOSTER_FILE, _xgboost),
    "lightgbm": (TREES_FILE, _lightgbm),
    "torch": (WEIGHTS_FILE, _torch),
    "tensorflow": (ARCHIVE_FILE, _tensorflow),
}
