"""Readers of texts become tables of words, proven on texts that no one has thought of, or a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from secure_ml_api.errors import PackingError
from secure_ml_api.packaging.build import build
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.pack import pack
from secure_ml_api.packaging.table import Table
from secure_ml_api.runtimes.skops_files import skops_io
from secure_ml_api.runtimes.words import open_words
from support.boosted import texts
from support.packages import store_in

pytestmark = pytest.mark.slow

TEXTS, TOPICS = texts(200)
TABLE = Table({"text": TEXTS})


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        (make_pipeline(TfidfVectorizer(), LogisticRegression()), TOPICS),
        (make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression()), TOPICS == "food"),
        (make_pipeline(TfidfVectorizer(strip_accents="unicode", stop_words=["ball"]), LogisticRegression()), TOPICS),
        (make_pipeline(CountVectorizer(binary=True), MultinomialNB()), TOPICS),
        (make_pipeline(CountVectorizer(), MultinomialNB()), TOPICS == "food"),
        (make_pipeline(CountVectorizer(), TfidfTransformer(), SGDClassifier(loss="log_loss", random_state=0)), TOPICS),
        (make_pipeline(TfidfVectorizer(norm="l1"), LinearSVC()), TOPICS),
        (make_pipeline(TfidfVectorizer(norm=None), Ridge()), (TOPICS == "news") * 2.5),
    ],
    ids=["logistic", "two", "accents", "bayes", "bayes-two", "sgd", "svc", "number"],
)
def test_counted_words_and_a_linear_model_need_no_consent_and_answer_alike(model: Any, answer: Any) -> None:
    model = model.fit(TEXTS, answer)
    built = build(model, TABLE, Options())
    assert (built.blueprint.runtime, built.blueprint.provenance.graph) == ("words", "counted words")
    assert built.blueprint.parity.generated_rows == 1000
    signature = built.blueprint.signature
    (column,) = signature.columns
    assert (column.name, column.datatype, column.max_length) == ("text", "BYTES", 32_768)
    fresh, _ = texts(300, seed=8)
    found = open_words(built.model, signature).run({"text": fresh.reshape(-1, 1)}, [s.name for s in signature.outputs])
    if signature.task == "regression":
        np.testing.assert_allclose(found["value"], model.predict(fresh), atol=1e-5)
    else:
        known = model.classes_.tolist()
        assert [known[index] for index in found["label"]] == model.predict(fresh).tolist()


def test_what_cannot_be_counted_that_way_is_refused_unless_scikit_learn_may_serve_it() -> None:
    model = make_pipeline(TfidfVectorizer(analyzer="char"), LogisticRegression()).fit(TEXTS, TOPICS)
    with pytest.raises(PackingError, match=r"pad every text to the longest.*analyzer is 'char'.*--allow-native"):
        build(model, TABLE, Options())
    built = build(model, TABLE, Options(allow_native=True))
    assert built.blueprint.runtime == "sklearn"
    assert built.blueprint.signature.columns[0].max_length == 32_768


def test_text_beside_numbers_is_served_by_scikit_learn_and_bounded_as_well() -> None:
    import pandas as pd

    frame = pd.DataFrame({"text": TEXTS, "length": [float(len(text)) for text in TEXTS]})
    columns = ColumnTransformer([("text", TfidfVectorizer(), "text"), ("length", "passthrough", ["length"])])
    model = make_pipeline(columns, LogisticRegression(max_iter=2000)).fit(frame, TOPICS)
    given = Table({"text": TEXTS, "length": frame["length"].to_numpy()})
    built = build(model, given, Options(allow_native=True))
    assert built.blueprint.runtime == "sklearn"
    assert [column.max_length for column in built.blueprint.signature.columns] == [32_768, None]


def test_a_sample_with_other_columns_is_refused_with_the_remedy() -> None:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, TOPICS)
    with pytest.raises(PackingError, match=r"one text a row.*--target"):
        build(model, Table({"text": TEXTS, "topic": TOPICS.astype(object)}), Options())


def test_texts_that_look_like_numbers_stay_texts_on_their_way_from_a_file(tmp_path: Path) -> None:
    given = np.array(["10 20", "20", "30", "10", "30 30", "20 10"] * 5, dtype=np.object_)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(given, [0, 1, 1, 0, 1, 0] * 5)
    skops_io().dump(model, tmp_path / "model.skops")
    (tmp_path / "sample.csv").write_text("text\n10\n20\n30\n")
    result = pack(tmp_path / "model.skops", store=store_in(tmp_path), name="codes", sample=tmp_path / "sample.csv")
    assert result.manifest.signature.columns[0].is_text
    assert result.manifest.runtime == "words"
