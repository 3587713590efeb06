"""XGBoost and LightGBM models: their converters, and estimators made of the files that the libraries write themselves.

Neither library is imported before a model of its own turns up.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import PackingError
from .encoders import unwrapped
from .preparation import final_step

# What a skops file of a boosted model holds besides what is trusted everywhere: the trees, in a format of the library's
# own. They are read in the converting process alone, and never while serving.
BOOSTED_TYPES = (
    "collections.OrderedDict",
    "collections.defaultdict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
)
_XGBOOST = ("XGBClassifier", "XGBRegressor")
_LIGHTGBM = ("LGBMClassifier", "LGBMRegressor")


def is_xgboost(estimator: Any) -> bool:
    """Whether ``estimator`` itself, and not a step of it, is XGBoost's."""
    return type(unwrapped(estimator)).__name__ in _XGBOOST and "xgboost" in sys.modules


def is_lightgbm(estimator: Any) -> bool:
    """Whether ``estimator`` itself, and not a step of it, is LightGBM's."""
    return type(unwrapped(estimator)).__name__ in _LIGHTGBM and "lightgbm" in sys.modules


def made_ready(model: Any) -> Any:
    """``model``, a copy, with the converter of its last step made known to skl2onnx, when that is boosted trees."""
    boosted = final_step(model)
    if not (is_xgboost(boosted) or is_lightgbm(boosted)):
        return model
    try:
        import onnxmltools  # noqa: F401
    except ImportError:
        remedy = "run `pip install 'secure-ml-api[train]'`"
        raise PackingError(f"converting a {type(boosted).__name__} needs onnxmltools; {remedy}") from None
    if is_xgboost(boosted):
        _register_xgboost()
        # The converter wants features by number, which is what the trees split on.
        boosted.get_booster().feature_names = None
    else:
        _register_lightgbm()
    return model


def _register_xgboost() -> None:
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from xgboost import XGBClassifier, XGBRegressor

    _register(XGBClassifier, XGBRegressor, convert_xgboost)


def _register_lightgbm() -> None:
    from lightgbm import LGBMClassifier, LGBMRegressor
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    _register(LGBMClassifier, LGBMRegressor, convert_lightgbm)


def _register(classifier: type, regressor: type, converter: Any) -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator

    of_classes = shape_calculator.calculate_linear_classifier_output_shapes
    of_numbers = shape_calculator.calculate_linear_regressor_output_shapes
    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    update_registered_converter(classifier, f"Boosted{classifier.__name__}", of_classes, converter, options=options)
    update_registered_converter(
        regressor, f"Boosted{regressor.__name__}", of_numbers, converter, options={"split": None}
    )


def xgboost_from(data: bytes) -> Any:
    """The XGBoost model in the JSON or UBJSON ``data``, as an estimator; raises PackingError."""
    xgboost = _library("xgboost", "XGBoost")
    try:
        # The library may end the process over JSON that is not its own; UBJSON begins with the length of its first key.
        if not data.startswith(b"{L") and not isinstance(json.loads(data)["learner"]["gradient_booster"], dict):
            raise ValueError("no trees")
        booster = xgboost.Booster({"verbosity": 0})
        booster.load_model(bytearray(data))
        objective = _objective_of(booster)
    except (xgboost.core.XGBoostError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise PackingError(f"the file is no model that XGBoost reads ({type(error).__name__}); save it again") from None
    classes = objective in {"binary:logistic", "multi:softprob"}
    if not classes and not objective.startswith(("reg:", "count:")):
        raise PackingError(f"XGBoost's objective {objective} gives neither classes nor numbers that are served here")
    model = xgboost.XGBClassifier() if classes else xgboost.XGBRegressor()
    model.load_model(bytearray(data))
    return model


def _objective_of(booster: Any) -> str:
    return str(json.loads(booster.save_config())["learner"]["objective"]["name"])


def lightgbm_from(data: bytes) -> Any:
    """The LightGBM model in the text ``data``, as an estimator; raises PackingError."""
    lightgbm = _library("lightgbm", "LightGBM")
    try:
        text = data.decode("utf-8")
        booster = lightgbm.Booster(model_str=text)
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise PackingError(
            f"the file is no model that LightGBM reads ({type(error).__name__}); save it again"
        ) from None
    named = next((line for line in text.splitlines() if line.startswith("objective=")), "objective=").partition("=")[2]
    objective = named.split(" ")[0]
    numbers = ("regression", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie")
    if objective in {"binary", "multiclass", "multiclassova"}:
        model = lightgbm.LGBMClassifier(objective=objective, verbosity=-1)
        model._classes = np.arange(max(2, booster.num_model_per_iteration()))  # noqa: SLF001 - as its own fit() does
        model._n_classes = len(model._classes)  # noqa: SLF001
        from sklearn.preprocessing import LabelEncoder

        model._le = LabelEncoder().fit(model._classes)  # noqa: SLF001
    elif objective.startswith(numbers):
        model = lightgbm.LGBMRegressor(objective=objective, verbosity=-1)
    else:
        raise PackingError(f"LightGBM's objective {objective!r} gives neither classes nor numbers that are served here")
    model._Booster, model._objective = booster, objective  # noqa: SLF001
    model._n_features = model._n_features_in = booster.num_feature()  # noqa: SLF001
    model.fitted_ = True
    return model


def _library(module: str, name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        raise PackingError(f"the file is {name}'s; run `pip install 'secure-ml-api[train,{module}]'`") from None


def feature_names(estimator: Any, given: Sequence[str]) -> list[str] | None:
    """The names of the columns that ``estimator`` was trained on; None when it was given none.

    LightGBM makes up names when it is given none, and has underscores for the spaces in those of ``given``.
    """
    known = getattr(estimator, "feature_names_in_", None)
    names = [] if known is None else [str(name) for name in known]
    if known is None or names == [f"Column_{position}" for position in range(len(names))]:
        return None
    spaced = {name.replace(" ", "_"): name for name in given} if is_lightgbm(estimator) else {}
    return [name if name in given else spaced.get(name, name) for name in names]


def xgboost_trees(estimator: Any) -> bytes:
    """The trees that ``estimator`` answers with, as XGBoost's JSON."""
    booster = unwrapped(estimator).get_booster()
    best = booster.attr("best_iteration")
    if best is not None:
        booster = booster[: int(best) + 1]
    return bytes(booster.save_raw("json"))


def lightgbm_trees(estimator: Any) -> bytes:
    """The trees that ``estimator`` answers with, as LightGBM's text."""
    text: str = unwrapped(estimator).booster_.model_to_string()
    return text.encode()
