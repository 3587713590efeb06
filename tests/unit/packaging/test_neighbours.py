"""Nearest neighbours by a matrix product or by differences answer as scikit-learn does, ties included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from secure_ml_api.packaging.graphs.writer import Inapplicable
from support.forms import Form

pytestmark = pytest.mark.slow

FORMS = [
    "hand-written float32",
    "hand-written float32, products in float64",
    "hand-written float32, differences in float64",
    "hand-written float64",
    "hand-written float64, differences",
]


def fewest_and_most_votes(distances: Any, classes: Any, count: int, neighbours: int) -> tuple[Any, Any]:
    """What each class can get when ``neighbours`` are taken and those at the same distance in any order: [classes]."""
    last = np.sort(distances)[neighbours - 1]
    sure = np.bincount(classes[distances < last], minlength=count)
    tied = np.bincount(classes[distances == last], minlength=count)
    left = neighbours - int(sure.sum())
    return sure + np.maximum(0, left - (tied.sum() - tied)), sure + np.minimum(left, tied)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    neighbours=st.integers(1, 6),
    features=st.integers(1, 4),
    count=st.integers(2, 4),
    offset=st.sampled_from([0.0, 1000.0]),
)
def test_on_a_coarse_grid_only_neighbours_at_one_distance_are_exchanged(
    *, form: str, seed: int, neighbours: int, features: int, count: int, offset: float
) -> None:
    random = np.random.default_rng(seed)
    rows = random.integers(0, 4, (30, features)) + offset
    classes = np.append(np.arange(count), random.integers(0, count, 30 - count))
    model = KNeighborsClassifier(neighbours).fit(rows, classes)
    asked = random.integers(0, 4, (40, features)) + offset
    answers = Form(form, model, rows)(asked)
    votes = np.rint(answers["probabilities"] * neighbours).astype(int)
    trained = np.rint(model.predict_proba(asked) * neighbours).astype(int)
    for row, given_votes, trained_votes in zip(asked, votes, trained, strict=True):
        fewest, most = fewest_and_most_votes(np.square(rows - row).sum(axis=1), classes, count, neighbours)
        assert (fewest <= given_votes).all()
        assert (given_votes <= most).all()
        if (fewest == most).all():
            assert given_votes.tolist() == trained_votes.tolist()
    assert answers["label"].tolist() == votes.argmax(axis=1).tolist()
    agreed = (votes == trained).all(axis=1)
    assert answers["label"][agreed].tolist() == model.predict(asked)[agreed].tolist()


@pytest.mark.parametrize("form", FORMS)
def test_numbers_that_lie_far_from_zero_lose_no_digits_that_matter(form: str) -> None:
    random = np.random.default_rng(5)
    rows = (random.normal(size=(200, 3)) + 4000.0).astype(np.float32).astype(np.float64)
    classes = random.integers(0, 3, 200)
    model = KNeighborsClassifier(5).fit(rows, classes)
    asked = (random.normal(size=(1000, 3)) + 4000.0).astype(np.float32).astype(np.float64)
    answers = Form(form, model, rows)(asked)
    assert answers["label"].tolist() == model.predict(asked).tolist()
    np.testing.assert_allclose(answers["probabilities"], model.predict_proba(asked), atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_regression_answers_the_mean_of_its_neighbours(form: str) -> None:
    random = np.random.default_rng(6)
    rows, asked = random.normal(size=(100, 5)), random.normal(size=(500, 5)).astype(np.float32)
    model = make_pipeline(StandardScaler(), KNeighborsRegressor(4)).fit(rows, random.normal(size=100))
    np.testing.assert_allclose(Form(form, model, rows)(asked)["value"], model.predict(asked), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_classes_in_words_are_answered_as_their_index_and_no_rows_by_none(form: str) -> None:
    random = np.random.default_rng(7)
    rows = random.normal(size=(60, 2))
    words = np.array(["ja", "nein", "ähnlich"])[random.integers(0, 3, 60)]
    answer = Form(form, KNeighborsClassifier(1).fit(rows, words), rows)
    assert [answer.signature.classes[index] for index in answer(rows)["label"]] == words.tolist()
    assert answer(rows[:0])["label"].shape == (0,)
    assert answer(rows[:0])["probabilities"].shape == (0, 3)


@pytest.mark.parametrize(
    "model",
    [
        KNeighborsClassifier(3, weights="distance"),
        KNeighborsClassifier(3, metric="manhattan"),
        KNeighborsClassifier(3, metric="minkowski", p=3),
    ],
    ids=["weighted", "manhattan", "cubic"],
)
def test_neighbours_that_are_found_or_weighed_otherwise_are_left_to_the_stock_converter(model: Any) -> None:
    rows = np.random.default_rng(8).normal(size=(40, 2))
    with pytest.raises(Inapplicable):
        Form(FORMS[0], model.fit(rows, np.arange(40) % 2), rows)
