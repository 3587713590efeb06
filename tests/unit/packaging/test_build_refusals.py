"""Estimators that no graph answers like, and samples and options that do not fit, are refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from secure_ml_api.errors import PackingError
from secure_ml_api.packaging.build import build
from secure_ml_api.packaging.candidates import Candidate
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.table import Table
from support.fitted import FRAME, MATRIX, NUMBER, NUMBERS, WORDS, fitted
from support.training import pipeline, table

pytestmark = pytest.mark.slow


class Contrary(LogisticRegression):  # type: ignore[misc]
    """Converted as its parent, and answers the opposite on one row: a converter that is wrong."""

    def predict(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's word
        predicted = super().predict(X)
        if len(predicted) == len(MATRIX):
            predicted[17] = "goes" if predicted[17] == "stays" else "stays"
        return predicted


def test_a_graph_that_differs_on_one_sample_row_is_refused() -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
    from skl2onnx.operator_converters.linear_classifier import convert_sklearn_linear_classifier

    options = {"zipmap": [True, False], "nocl": [True, False], "output_class_labels": [True, False]}
    update_registered_converter(
        Contrary,
        "Contrary",
        calculate_linear_classifier_output_shapes,
        convert_sklearn_linear_classifier,
        options={**options, "raw_scores": [True, False]},
    )
    with pytest.raises(PackingError, match="differ on 1 of 300 sample rows, first on row 17"):
        build(fitted(Contrary(max_iter=500)), NUMBERS, Options())


def without(column: str) -> Table:
    return table(FRAME.drop(columns=column))


@pytest.mark.parametrize(
    ("model", "sample", "complaint"),
    [
        (LogisticRegression, NUMBERS, "fit it before"),
        (LinearRegression, NUMBERS, "cannot predict the sample"),
        (lambda: LinearRegression().fit(MATRIX, np.c_[NUMBER, NUMBER]), NUMBERS, "predicts 2 values a row"),
        (
            lambda: RandomForestClassifier(2).fit(MATRIX, np.c_[WORDS, WORDS]),
            NUMBERS,
            "predicts 2 answers a row; pack one model for each",
        ),
        (lambda: KMeans(2, n_init=1).fit(MATRIX), NUMBERS, "predicts neither classes"),
        (lambda: StandardScaler().fit(MATRIX), NUMBERS, "where a fitted model"),
        (lambda: 3, NUMBERS, "a int where a fitted model"),
        (
            lambda: TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1).fit(MATRIX, NUMBER),
            NUMBERS,
            "sklearn-onnx/supported.*--allow-native",
        ),
        (lambda: pipeline(Ridge()).fit(FRAME, NUMBER), without("age"), "lacks 'age'"),
        (
            lambda: pipeline(Ridge()).fit(FRAME, NUMBER),
            table(FRAME.assign(extra=1.0)),
            "not trained on 'extra'",
        ),
        (
            lambda: pipeline(Ridge()).fit(FRAME, NUMBER),
            table(FRAME.assign(city=1.0)),
            "trained on text in 'city'",
        ),
    ],
)
def test_what_cannot_be_packed_is_refused_with_the_reason_in_one_line(
    model: Callable[[], Any], sample: Table, complaint: str
) -> None:
    with pytest.raises(PackingError, match=complaint) as refusal:
        build(model(), sample, Options())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (Options(labels={"maybe": "x"}), "no class 'maybe'"),
        (Options(bounds={"height": (0.0, 1.0)}), "'height' is none of them"),
        (Options(bounds={"age": (2.0, 1.0)}), "minimum is above maximum"),
        (Options(bounds={"plan": (0.5, None)}), "the bounds 0.5: of 'plan' leave out 0, in row"),
        (Options(bounds={"plan": (-1.0, 1.0)}), "the bounds -1:1 of 'plan' leave out 2, in row"),
        (Options(target="answer"), "no column 'answer'"),
    ],
)
def test_options_that_do_not_fit_the_model_are_refused(options: Options, complaint: str) -> None:
    with pytest.raises(PackingError, match=complaint):
        build(fitted(LogisticRegression(max_iter=500)), NUMBERS, options)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=repr)
def test_sample_without_a_text_that_no_caller_can_leave_out_is_refused(missing: Any) -> None:
    gaps = FRAME.assign(city=FRAME["city"].astype(object))
    gaps.loc[gaps.index % 3 == 1, "city"] = missing
    model = pipeline(LogisticRegression(max_iter=500), handle_unknown="ignore")
    model.fit(gaps.fillna({"city": np.nan}), WORDS)
    with pytest.raises(PackingError, match=r"'city' has no text in row 2 of the sample.* fill such cells in, with"):
        build(model, table(gaps), Options())


class Unfinished(LinearRegression):  # type: ignore[misc]
    def predict(self, rows: Any) -> Any:
        return np.where(np.arange(len(rows)) == 3, np.nan, super().predict(rows))


def test_model_that_answers_nan_is_refused_for_that() -> None:
    with pytest.raises(
        PackingError, match=r"^Unfinished answers NaN or infinity on 1 of \d+ sample rows, first on row 3"
    ):
        build(Unfinished().fit(MATRIX, NUMBER), NUMBERS, Options())


def test_refusal_does_not_advise_what_was_done_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secure_ml_api.packaging.contest.CANDIDATES", ())
    monkeypatch.setattr("secure_ml_api.packaging.natives._skops", lambda _: b"no skops file")
    with pytest.raises(PackingError, match="no graph answers as this LinearRegression") as refusal:
        build(LinearRegression().fit(MATRIX, NUMBER), NUMBERS, Options(allow_native=True))
    assert "--allow-native" not in str(refusal.value)


def test_refusal_tells_what_caused_the_failure_of_a_library_however_much_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(trained: Any, signature: Any) -> bytes:
        try:
            raise TypeError("Expected an int, got a boolean.")
        except TypeError as error:
            raise ValueError(f"Unable to create node with {[0] * 200}") from error

    monkeypatch.setattr(
        "secure_ml_api.packaging.contest.CANDIDATES", (Candidate("a converter", "stock", "FP32", 0, fails),)
    )
    told = r"a converter: Unable to create node with \[0, .* …, because of TypeError: Expected an int, got a boolean\."
    with pytest.raises(PackingError, match=told):
        build(LinearRegression().fit(MATRIX, NUMBER), NUMBERS, Options())
