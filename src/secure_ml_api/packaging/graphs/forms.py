"""Which class of model has which hand-written graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Converter = Callable[[Any, Any, Any], None]
Shapes = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Form:
    """How skl2onnx is to convert models of some classes: what writes their nodes, and what says their types."""

    converters: Mapping[type, Converter]
    shapes: Mapping[type, Shapes]


def direct_form() -> Form:
    """Isolation forests, support vector machines, and nearest neighbours by a matrix product."""
    from skl2onnx.common._registration import get_shape_calculator
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import IsolationForest
    from sklearn.svm import SVC, SVR, NuSVC, NuSVR

    from .isolation_forest import convert_isolation_forest
    from .neighbours import by_product
    from .support_vectors import (
        convert_calibrated_classifier,
        convert_support_vector_classifier,
        convert_support_vector_regressor,
    )
    from .writer import classifier_shapes

    neighbours = _neighbours(by_product())
    classifiers: dict[type, Converter] = {
        CalibratedClassifierCV: convert_calibrated_classifier,
        SVC: convert_support_vector_classifier,
        NuSVC: convert_support_vector_classifier,
    }
    regressors: dict[type, Converter] = {
        SVR: convert_support_vector_regressor,
        NuSVR: convert_support_vector_regressor,
    }
    shapes: dict[type, Shapes] = {
        **neighbours.shapes,
        **dict.fromkeys(classifiers, classifier_shapes),
        **dict.fromkeys(regressors, get_shape_calculator("SklearnSVR")),
        IsolationForest: get_shape_calculator("SklearnIsolationForest"),
    }
    forest: dict[type, Converter] = {IsolationForest: convert_isolation_forest}
    return Form({**neighbours.converters, **classifiers, **regressors, **forest}, shapes)


def histogram_form() -> Form:
    """Gradient boosting over histograms, wherever in a model it stands."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    from .histogram_trees import (
        convert_histogram_classifier,
        convert_histogram_regressor,
        histogram_classifier_shapes,
        histogram_regressor_shapes,
    )

    return Form(
        {
            HistGradientBoostingClassifier: convert_histogram_classifier,
            HistGradientBoostingRegressor: convert_histogram_regressor,
        },
        {
            HistGradientBoostingClassifier: histogram_classifier_shapes,
            HistGradientBoostingRegressor: histogram_regressor_shapes,
        },
    )


def wide_product_form() -> Form:
    """Nearest neighbours by a matrix product in float64, whatever the graph's own numbers are."""
    from .neighbours import by_product

    return _neighbours(by_product(np.float64))


def wide_differences_form() -> Form:
    """Nearest neighbours by squared differences in float64, whatever the graph's own numbers are."""
    from .neighbours import by_differences

    return _neighbours(by_differences(np.float64))


def _neighbours(converter: Converter) -> Form:
    from skl2onnx.common._registration import get_shape_calculator
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    from .writer import classifier_shapes

    regressor = get_shape_calculator("SklearnKNeighborsRegressor")
    return Form(
        {KNeighborsClassifier: converter, KNeighborsRegressor: converter},
        {KNeighborsClassifier: classifier_shapes, KNeighborsRegressor: regressor},
    )
