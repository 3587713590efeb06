"""Small networks of both frameworks, with random weights, and an architecture that a distribution offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from secure_ml_api.packaging.table import Table

FEATURES = 6
CLASSES = 3
NAMES = [f"x{position}" for position in range(FEATURES)]
ARCHITECTURE = "small-network"
BRANCHING = "branching-network"
"""An architecture that decides for each row by its numbers which of its layers answer: no graph can follow."""

_CODE = """
import torch

def small_network(features, classes):
    return torch.nn.Sequential(torch.nn.Linear(features, 8), torch.nn.Tanh(), torch.nn.Linear(8, classes))

class Branching(torch.nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.above, self.below = torch.nn.Linear(features, classes), torch.nn.Linear(features, classes)

    def forward(self, rows):
        return torch.stack([self.above(row) if row.sum() > 0 else self.below(row).tanh() for row in rows])
"""


def table(rows: int = 200, features: int = FEATURES) -> Table:
    names = [f"x{position}" for position in range(features)]
    return Table.of_matrix(np.random.default_rng(7).normal(size=(rows, features)), names)


def write_sample(path: Path) -> Path:
    """The rows of ``table`` as CSV in ``path``."""
    sample: Table = table()
    rows = np.column_stack(list(sample.columns.values())).tolist()
    path.write_text("\n".join([",".join(sample.names), *(",".join(map(str, row)) for row in rows)]))
    return path


def torch_module(classes: int = CLASSES, features: int = FEATURES) -> Any:
    import torch

    torch.manual_seed(7)
    return torch.nn.Sequential(torch.nn.Linear(features, 8), torch.nn.Tanh(), torch.nn.Linear(8, classes))


def keras_model(*layers: Any, features: int = FEATURES) -> Any:
    import keras

    keras.utils.set_random_seed(7)
    return keras.Sequential([keras.Input((features,)), *layers])


def unwritable() -> list[Any]:
    """Layers of Keras that no graph is written for: by their names nor, in a SavedModel, by their operators."""
    import keras

    @keras.saving.register_keras_serializable()
    class Log1p(keras.layers.Layer):  # type: ignore[misc]
        def call(self, rows: Any) -> Any:
            return keras.ops.log1p(keras.ops.relu(rows))

    return [Log1p()]


def offer_architecture(directory: Path) -> Path:
    """What to put on the path, so that an installed distribution has the architectures ARCHITECTURE and BRANCHING."""
    place = directory / "architectures"
    information = place / "small_network-1.0.dist-info"
    information.mkdir(parents=True)
    (place / "small_network.py").write_text(_CODE)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: small-network\nVersion: 1.0\n")
    entry = f"[secure_ml_api.architectures]\n{ARCHITECTURE} = small_network:small_network\n"
    entry += f"{BRANCHING} = small_network:Branching\n"
    (information / "entry_points.txt").write_text(entry)
    return place
