"""Customers, also as numbers alone, estimators fitted to them, and the answers of what is built of an estimator."""

from __future__ import annotations

import warnings
from typing import Any

from secure_ml_api.packaging.build import Built
from secure_ml_api.packaging.table import Table
from secure_ml_api.runtimes.onnx import open_graph
from secure_ml_api.tensors import Tensors
from support.training import customers

FRAME, WORDS, NUMBER = customers()
MATRIX = FRAME.drop(columns="city").fillna(40.0).to_numpy()
NAMES = ("income (€)", "age", "plan")
NUMBERS = Table.of_matrix(MATRIX, NAMES)


def answers(built: Built, rows: Table) -> Tensors:
    """What the graph of ``built`` answers to ``rows``."""
    signature = built.blueprint.signature
    return open_graph(built.model, signature).run(rows.tensors(signature), [spec.name for spec in signature.outputs])


def fitted(model: Any) -> Any:
    """``model``, fitted to the numbers; what it thinks of them is not said."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(MATRIX, WORDS)
