"""One candidate of packaging by name, as a session on an estimator."""

from __future__ import annotations

from typing import Any

import numpy as np

from secure_ml_api.packaging.candidates import CANDIDATES
from secure_ml_api.packaging.extras import quiet
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.subject import Subject
from secure_ml_api.packaging.table import Table
from secure_ml_api.runtimes.onnx import open_graph
from secure_ml_api.tensors import NUMPY_DTYPES, Tensors


class Form:
    """What the candidate ``name`` makes of ``estimator``, which was trained on ``rows`` [rows, features]."""

    def __init__(self, name: str, estimator: Any, rows: Any) -> None:
        candidate = next(candidate for candidate in CANDIDATES if candidate.name == name)
        names = [f"x{column}" for column in range(rows.shape[1])]
        with quiet():
            subject = Subject.of(estimator, Table.of_matrix(rows, names), Options())
            self.signature = subject.reference(candidate.datatype).signature
            self.model = candidate.build(subject.trained, self.signature)
        self.session = open_graph(self.model, self.signature)
        self.dtype = NUMPY_DTYPES[self.signature.inputs[0].datatype]

    def __call__(self, rows: Any) -> Tensors:
        """Every output for ``rows``."""
        given = np.ascontiguousarray(rows, dtype=self.dtype)
        return self.session.run({"input": given}, [spec.name for spec in self.signature.outputs])
