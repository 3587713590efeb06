"""Pipelines of counted words and a linear model, as the runtime ``words`` holds them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..runtimes.words import PATTERNS, Reading, write_words
from .encoders import unwrapped
from .graphs.writer import Inapplicable
from .table import Array

_COUNTING = ("CountVectorizer", "TfidfVectorizer")
_NAIVE_BAYES = "MultinomialNB"


def reads_words(estimator: Any) -> bool:
    """Whether ``estimator`` is a pipeline of the parts that can be written as counted words."""
    steps = _steps(estimator)
    kinds = [type(step).__name__ for step in steps]
    middle = kinds[1:-1]
    linear = bool(steps) and (hasattr(steps[-1], "coef_") or kinds[-1] == _NAIVE_BAYES)
    return len(steps) > 1 and kinds[0] in _COUNTING and middle in ([], ["TfidfTransformer"]) and linear


def words_table(estimator: Any) -> bytes:
    """The bytes of ``model.words.npz``; raises Inapplicable for settings that the runtime does not know."""
    steps = _steps(estimator)
    counting, model = steps[0], steps[-1]
    weighing = steps[1] if len(steps) == 3 else counting
    coefficients, intercept = _linear(model)
    terms = sorted(counting.vocabulary_, key=counting.vocabulary_.__getitem__)
    reading = Reading(
        lowercase=bool(counting.lowercase),
        strip_accents=_plain(counting.strip_accents, ("ascii", "unicode", None), "strip_accents"),
        token_pattern=_plain(counting.token_pattern, PATTERNS, "token_pattern"),
        stop_words=frozenset(counting.get_stop_words() or ()),
        smallest_ngram=int(counting.ngram_range[0]),
        largest_ngram=int(counting.ngram_range[1]),
        binary=bool(counting.binary),
        sublinear_tf=bool(getattr(weighing, "sublinear_tf", False)),
        norm=_plain(getattr(weighing, "norm", None), ("l1", "l2", None), "norm"),
        link=_link(model),
        terms=tuple(terms),
    )
    if _plain(counting.analyzer, ("word",), "analyzer") and (counting.preprocessor or counting.tokenizer):
        raise Inapplicable("texts are taken apart by a function, which a package cannot hold")
    uses_idf = bool(getattr(weighing, "use_idf", False))
    scale = np.asarray(weighing.idf_, np.float64) if uses_idf else np.ones(len(terms))
    return write_words(reading, scale=scale, coefficients=coefficients, intercept=intercept)


def _linear(model: Any) -> tuple[Array, Array]:
    if type(model).__name__ == _NAIVE_BAYES:
        return np.asarray(model.feature_log_prob_, np.float64), np.asarray(model.class_log_prior_, np.float64)
    coefficients = model.coef_.toarray() if hasattr(model.coef_, "toarray") else np.asarray(model.coef_)
    coefficients = np.atleast_2d(coefficients).astype(np.float64)
    intercept = np.broadcast_to(np.asarray(model.intercept_, np.float64).reshape(-1), len(coefficients))
    return coefficients, np.array(intercept)


def _link(model: Any) -> Any:
    """How this model makes probabilities of its scores; the proof shows whether that is right."""
    kind = type(model).__name__
    if not hasattr(model, "predict_proba"):
        return None
    if kind == _NAIVE_BAYES or (kind.startswith("LogisticRegression") and len(model.classes_) > 2):
        return "logistic" if getattr(model, "solver", "") == "liblinear" else "softmax"
    return "logistic"


def _plain(value: Any, known: tuple[Any, ...], name: str) -> Any:
    if isinstance(value, bool) or value not in known:
        raise Inapplicable(f"{name} is {value!r}")
    return value


def _steps(estimator: Any) -> list[Any]:
    steps = [step for _, step in getattr(unwrapped(estimator), "steps", [])]
    return [unwrapped(step) for step in steps if step is not None and step != "passthrough"]
