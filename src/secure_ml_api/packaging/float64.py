"""Converters for steps that onnxruntime cannot run in float64 as the stock converter writes them."""

from __future__ import annotations

from typing import Any

import numpy as np


def float64_converters() -> dict[type, Any]:
    """Class of step → converter, for ``convert_sklearn``."""
    from sklearn.impute import SimpleImputer

    return {SimpleImputer: _convert_imputer}


def float64_shapes() -> dict[type, Any]:
    """Class of step → shape calculator: the stock ones, which a converter of our own has to bring along."""
    from skl2onnx.common._registration import get_shape_calculator
    from sklearn.impute import SimpleImputer

    return {SimpleImputer: get_shape_calculator("SklearnSimpleImputer")}


def _convert_imputer(scope: Any, operator: Any, container: Any) -> None:
    """Missing numbers become the imputer's statistics by ``Where``: the stock operator has no float64 kernel."""
    from onnx import TensorProto
    from skl2onnx.common.data_types import StringTensorType
    from skl2onnx.operator_converters.common import concatenate_variables
    from skl2onnx.operator_converters.imputer_op import convert_sklearn_imputer

    imputer = operator.raw_operator
    if isinstance(operator.inputs[0].type, StringTensorType):
        convert_sklearn_imputer(scope, operator, container)
        return
    fill = np.asarray(imputer.statistics_, dtype=np.float64)
    if imputer.add_indicator or not np.isnan(imputer.missing_values) or bool(np.isnan(fill).any()):
        raise NotImplementedError("an imputer with an indicator, an empty column or a marker other than NaN")
    given = concatenate_variables(scope, operator.inputs, container)
    filler, missing = scope.get_unique_variable_name("fill"), scope.get_unique_variable_name("missing")
    container.add_initializer(filler, TensorProto.DOUBLE, [1, fill.size], fill.tolist())
    container.add_node("IsNaN", [given], [missing], op_version=13, name=scope.get_unique_operator_name("IsNaN"))
    where = scope.get_unique_operator_name("Where")
    container.add_node("Where", [missing, filler, given], [operator.outputs[0].full_name], op_version=16, name=where)
