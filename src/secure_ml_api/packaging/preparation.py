"""Small changes to a copy of a model that leave its predictions alone and that the converter cannot do without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from .encoders import unwrapped

# These turn their input into float32 themselves before they compare it with a threshold.
_TREES = ("DecisionTree", "ExtraTree", "RandomForest", "GradientBoosting", "XGB")


def prepared(estimator: Any, datatype: Literal["FP32", "FP64"]) -> Any:
    """``estimator`` made ready for a graph whose numbers are ``datatype``; changed in place, so hand in a copy."""
    for part in _parts(estimator):
        kind = type(part).__name__
        if kind == "VotingClassifier":
            # Only the shape of its transform() hangs on it, and the converter refuses the default.
            part.flatten_transform = False
        elif kind == "KBinsDiscretizer" and part.encode == "onehot":
            # The same numbers, not stored as a sparse matrix, which graphs do not have.
            part.encode = "onehot-dense"
        elif hasattr(part, "tree_"):
            _round_thresholds_down(part.tree_)
    return _with_rounding(estimator) if datatype == "FP64" else estimator


def _round_thresholds_down(tree: Any) -> None:
    """Thresholds as the largest float32 that is not above them.

    A tree compares ``x <= threshold`` with x in float32, so this changes no answer, where the nearest float32, which
    the converter takes, may lie on the other side of an x.
    """
    exact = tree.threshold
    nearest = exact.astype(np.float32)
    exact[:] = np.where(nearest > exact, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def final_step(estimator: Any) -> Any:
    """The model at the end of a pipeline and inside a finished search, or ``estimator`` itself."""
    estimator = unwrapped(estimator)
    while hasattr(estimator, "steps"):
        estimator = unwrapped(estimator.steps[-1][1])
    return estimator


def _with_rounding(estimator: Any) -> Any:
    """``estimator`` with a cast to float32 in front of final trees, where scikit-learn has one too.

    What comes before the trees stays in float64, so a scaled value lands on the side of a threshold where it belongs.
    """
    from skl2onnx.sklapi import CastTransformer
    from sklearn.pipeline import Pipeline

    steps = estimator.steps if isinstance(estimator, Pipeline) else [("model", estimator)]
    if not type(steps[-1][1]).__name__.startswith(_TREES):
        return estimator
    return Pipeline([*steps[:-1], ("rounding", CastTransformer(dtype=np.float32)), steps[-1]])


def _parts(estimator: Any) -> Iterator[Any]:
    """``estimator`` and every step, branch or member inside it."""
    yield estimator
    inner = [step for _, step in getattr(estimator, "steps", [])]
    inner += [step for _, step, _ in getattr(estimator, "transformers_", [])]
    inner += [step for _, step in getattr(estimator, "transformer_list", [])]
    inner += list(np.ravel(np.asarray(getattr(estimator, "estimators_", []), dtype=np.object_)))
    inner += [fold.estimator for fold in getattr(estimator, "calibrated_classifiers_", [])]
    for part in inner:
        if part is not None and not isinstance(part, str):
            yield from _parts(part)
