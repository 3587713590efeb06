"""Gradient boosting over histograms: the stock converter's nodes, as onnx takes them and, in float64, unrounded."""

from __future__ import annotations

from typing import Any

import numpy as np

# The first version of the operators for trees that holds thresholds in float64.
_TREES_VERSION = 3


def convert_histogram_classifier(scope: Any, operator: Any, container: Any) -> None:
    """As skl2onnx has it; raises NotImplementedError for trees that ask for categories, which it would get wrong."""
    from skl2onnx.operator_converters.random_forest import convert_sklearn_random_forest_classifier

    _refuse_categories(operator.raw_operator)
    convert_sklearn_random_forest_classifier(scope, operator, _Container(container), op_version=_TREES_VERSION)


def convert_histogram_regressor(scope: Any, operator: Any, container: Any) -> None:
    """As ``convert_histogram_classifier``; raises NotImplementedError too."""
    from skl2onnx.operator_converters.random_forest import convert_sklearn_random_forest_regressor_converter

    _refuse_categories(operator.raw_operator)
    convert_sklearn_random_forest_regressor_converter(scope, operator, _Container(container), op_version=_TREES_VERSION)


def histogram_classifier_shapes(operator: Any) -> None:
    """The types of its outputs, for skl2onnx: whatever the trees compare, they give float32."""
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    classes = operator.raw_operator.classes_
    label = Int64TensorType if classes.dtype.kind in "biuf" else StringTensorType
    operator.outputs[0].type = label([None])
    operator.outputs[1].type = FloatTensorType([None, len(classes)])


def histogram_regressor_shapes(operator: Any) -> None:
    """As ``histogram_classifier_shapes``."""
    from skl2onnx.common.data_types import FloatTensorType

    operator.outputs[0].type = FloatTensorType([None, 1])


class _Container:
    """The container of a conversion, which takes truth values for whole numbers and arrays of float64.

    onnx refuses the first since 1.23, and knows the second as tensors only.
    """

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *args: Any, **attributes: Any) -> None:
        from onnx import numpy_helper

        tracks = "nodes_missing_value_tracks_true"
        if tracks in attributes:
            attributes[tracks] = [int(value) for value in attributes[tracks]]
        for name, value in list(attributes.items()):
            if isinstance(value, np.ndarray) and value.dtype == np.float64:
                attributes[f"{name}_as_tensor"] = numpy_helper.from_array(attributes.pop(name))
        self._container.add_node(*args, **attributes)


def _refuse_categories(model: Any) -> None:
    trees = (tree for trees in model._predictors for tree in trees)  # noqa: SLF001 - as the stock converter reads them
    if any(tree.nodes["is_categorical"].any() for tree in trees):
        raise NotImplementedError("trees that split by category (categorical_features) have no operator")
