"""Counted words: found as scikit-learn finds them, and no table that is not one."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from secure_ml_api.errors import PackageRefused
from secure_ml_api.packaging.words import words_table
from secure_ml_api.runtimes.words import Reading, analyzer, open_words
from secure_ml_api.tensors import Column, Signature
from support.boosted import text_model, texts

SIGNATURE = Signature(
    task="classification",
    columns=(Column(name="text", datatype="BYTES"),),
    classes=("food", "news", "sport"),
    labels=("food", "news", "sport"),
)


def reading(**changes: Any) -> Reading:
    parts: dict[str, Any] = {
        "lowercase": True,
        "strip_accents": None,
        "token_pattern": r"(?u)\b\w\w+\b",
        "stop_words": frozenset(),
        "smallest_ngram": 1,
        "largest_ngram": 1,
        "binary": False,
        "sublinear_tf": False,
        "norm": "l2",
        "link": None,
        "terms": (),
    }
    return Reading(**{**parts, **changes})


@pytest.mark.parametrize(
    "text", ["", "A bee SEES", "Straße İSTANBUL e\u0301té naïve", "日本語 の テキスト", "a_b 0_0 ½ x²", "👩‍👩‍👧 ok"]
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lowercase": False},
        {"strip_accents": "ascii"},
        {"strip_accents": "unicode"},
        {"ngram_range": (1, 3)},
        {"ngram_range": (2, 2), "stop_words": ["sees"]},
        {"token_pattern": r"(?u)\b\w+\b"},
    ],
)
def test_terms_are_those_that_scikit_learn_finds(text: str, options: dict[str, Any]) -> None:
    of_ours = {key: value for key, value in options.items() if key != "ngram_range"}
    smallest, largest = options.get("ngram_range", (1, 1))
    of_ours["stop_words"] = frozenset(options.get("stop_words", ()))
    ours = analyzer(reading(**of_ours, smallest_ngram=smallest, largest_ngram=largest))
    assert sorted(ours(text)) == sorted(TfidfVectorizer(**options).build_analyzer()(text))


def test_a_table_answers_as_the_pipeline_does() -> None:
    given, _ = texts(200)
    answers = open_words(words_table(text_model()), SIGNATURE).run(
        {"text": given.reshape(-1, 1)}, ["label", "probabilities"]
    )
    assert [SIGNATURE.classes[index] for index in answers["label"]] == text_model().predict(given).tolist()
    np.testing.assert_allclose(answers["probabilities"], text_model().predict_proba(given), atol=1e-6)


def with_parts(**changes: Any) -> bytes:
    with np.load(io.BytesIO(words_table(text_model()))) as stored:
        parts = {name: stored[name] for name in stored}
    head = bytes(parts["head"])
    parts |= {name: change(head if name == "head" else parts[name]) for name, change in changes.items()}
    buffer = io.BytesIO()
    np.savez(buffer, **parts)
    return buffer.getvalue()


def text_bytes(data: bytes) -> Any:
    return np.frombuffer(data, np.uint8)


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (lambda: b"", "cannot be read"),
        (lambda: b"PK\x03\x04 no archive", "cannot be read"),
        (lambda: b"\x80\x04.", "cannot be read"),
        (lambda: with_parts(head=lambda _: text_bytes(b"{}")), "cannot be read"),
        (lambda: with_parts(scale=lambda scale: scale[1:]), "other terms or weights"),
        (lambda: with_parts(coefficients=lambda weights: weights[:2]), "other terms or weights"),
        (lambda: with_parts(intercept=lambda intercept: intercept[:, None]), "other terms or weights"),
        (
            lambda: with_parts(head=lambda head: text_bytes(head.replace(rb"(?u)\\b\\w\\w+\\b", rb"(\\w+)+$"))),
            "known to be quick",
        ),
        (lambda: with_parts(head=lambda head: text_bytes(head.replace(b'"softmax"', b"null"))), "no probabilities"),
    ],
)
def test_what_is_no_table_of_words_is_refused(made: Callable[[], bytes], complaint: str) -> None:
    data = made()
    with pytest.raises(PackageRefused, match=complaint):
        open_words(data, SIGNATURE)


def test_a_table_for_other_columns_is_refused() -> None:
    other = SIGNATURE.model_copy(update={"columns": (*SIGNATURE.columns, Column(name="more", datatype="BYTES"))})
    with pytest.raises(PackageRefused, match="takes one text"):
        open_words(words_table(text_model()), Signature.model_validate(other.model_dump()))


def test_one_long_text_does_not_make_its_neighbours_dear() -> None:
    """In a graph each of them would be padded to as many words: here that would be ten thousand million."""
    given = np.array([["goal"]] * 10_000 + [["goal " * 1_000_000]], dtype=np.object_)
    session = open_words(words_table(text_model()), SIGNATURE)
    assert len(set(session.run({"text": given}, ["label"])["label"].tolist())) == 1
