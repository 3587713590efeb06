"""Models to be measured, as a server loads them, and flowers whose species is known."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_iris

from secure_ml_api.models.model import RUNTIMES, Model, load_model
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.table import Table


def loaded(store: Store, name: str, version: str = "1") -> Model:
    return load_model(store.verify(name, version), {runtime.name: runtime for runtime in RUNTIMES})


def flowers() -> Table:
    """The 150 irises, with their species by number."""
    data = load_iris()
    table = Table.of_matrix(data.data, data.feature_names)
    target = np.asarray(data.target, dtype=np.float64)
    return Table({**table.columns, "species": target})
