"""The models that all servers are given: trained once, kept as skops, joblib and stock ONNX, with the right answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

_SEED = 42
_FOREST_TREES = 100
# Two layers of this width between 30 features and two classes: 49 million weights, 200 MB as float32.
_BIG_WIDTH = 7000
_SAMPLE_ROWS = 300


@dataclass(frozen=True, slots=True)
class Model:
    """One model; ``directory`` holds model.skops, model.joblib, model.onnx and sample.csv, unless it only sleeps."""

    name: str
    directory: Path
    columns: int

    @property
    def onnx(self) -> Path:
        return self.directory / "model.onnx"

    @property
    def joblib(self) -> Path:
        return self.directory / "model.joblib"


@dataclass(frozen=True, slots=True)
class Question:
    """Rows for a model, float32 [rows, columns] as lists of numbers, and the trained model's class for each."""

    rows: list[list[float]]
    classes: list[int]


SLOW = "slow"


def make(name: str, cache: Path, say: Callable[[str], None]) -> Model:
    """The model ``name``, trained unless ``cache`` has it."""
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    directory = cache / "models" / digest / name
    columns = 4 if name in ("tree", SLOW) else 30
    if name != SLOW and not (directory / "done").exists():
        say(f"training {name} …")
        directory.mkdir(parents=True, exist_ok=True)
        _train(name, directory)
        (directory / "done").touch()
    return Model(name, directory, columns)


def ask(model: Model, rows: int) -> Question:
    """``rows`` rows near those that the model was trained on, the same in every run, and their classes."""
    if model.name == SLOW:
        return Question([[1.0, 2.0, 3.0, 4.0]] * rows, [1] * rows)
    kept = json.loads((model.directory / "question.json").read_text())
    return Question(kept["rows"][:rows], kept["classes"][:rows])


def _train(name: str, directory: Path) -> None:
    import joblib
    import skops.io
    from sklearn.datasets import load_breast_cancer, load_iris

    data = load_iris() if name == "tree" else load_breast_cancer()
    estimator = _ESTIMATORS[name](data.data, data.target)
    joblib.dump(estimator, directory / "model.joblib")
    skops.io.dump(estimator, directory / "model.skops")
    (directory / "model.onnx").write_bytes(_stock_onnx(estimator, data.data.shape[1]))
    names = ",".join(str(column).replace(",", " ") for column in data.feature_names)
    sample = np.random.default_rng(_SEED).permutation(data.data)[:_SAMPLE_ROWS]
    np.savetxt(directory / "sample.csv", sample, delimiter=",", header=names, comments="", fmt="%.6g")
    rows = _rows(data.data)
    classes = estimator.predict(np.array(rows, dtype=np.float32)).tolist()
    (directory / "question.json").write_text(json.dumps({"rows": rows, "classes": classes}))


def _rows(data: Any) -> list[list[float]]:
    """A thousand rows within a twentieth of real ones, each number in six digits as a program would write it."""
    source = np.random.default_rng(_SEED)
    near = data[source.integers(len(data), size=1000)] * source.uniform(0.95, 1.05, size=(1000, data.shape[1]))
    return [[float(f"{value:.6g}") for value in row] for row in near]


def _stock_onnx(estimator: Any, columns: int) -> bytes:
    """What skl2onnx makes of it: the input ``rows`` [n, columns] float32, the first output the classes."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    inputs = [("rows", FloatTensorType([None, columns]))]
    data: bytes = to_onnx(estimator, initial_types=inputs, options={"zipmap": False}).SerializeToString()
    return data


def _tree(data: Any, target: Any) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=_SEED).fit(data, target)


def _forest(data: Any, target: Any) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(_FOREST_TREES, random_state=_SEED).fit(data, target)


def _big(data: Any, target: Any) -> Any:
    """A network of 200 MB. Nothing is learned in its weights: what matters is their size."""
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier((2, 2), max_iter=250, tol=1.0, n_iter_no_change=1, random_state=_SEED).fit(data, target)
    source = np.random.default_rng(_SEED)
    widths = (data.shape[1], _BIG_WIDTH, _BIG_WIDTH, 1)
    pairs = list(pairwise(widths))
    network.coefs_ = [source.normal(0, wide**-0.5, size=(wide, narrow)) for wide, narrow in pairs]
    network.intercepts_ = [np.zeros(narrow) for _, narrow in pairs]
    network.hidden_layer_sizes = (_BIG_WIDTH, _BIG_WIDTH)
    del network._optimizer  # noqa: SLF001 - moments of the weights that were thrown away
    return network


_ESTIMATORS: dict[str, Callable[[Any, Any], Any]] = {"tree": _tree, "wide": _tree, "forest": _forest, "big": _big}
