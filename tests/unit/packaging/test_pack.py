"""Files of trained models become packages, through a process of their own."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from secure_ml_api.errors import PackingError
from secure_ml_api.models.recheck import recheck_package
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.pack import pack, pack_estimator
from secure_ml_api.runtimes.skops_files import skops_io
from support.packages import store_in
from support.training import customers, pipeline, table

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path / "home")


def test_a_skops_file_becomes_a_package_that_serves_and_answers_as_the_model_does(store: Store, tmp_path: Path) -> None:
    frame, words, _ = customers()
    model = pipeline(LogisticRegression()).fit(frame, words)
    skops_io().dump(model, tmp_path / "model.skops")
    frame.assign(answer=words).to_csv(tmp_path / "sample.csv", index=False)
    options = Options(target="answer", description="churn", metrics={"accuracy": 0.9})
    sample = tmp_path / "sample.csv"
    result = pack(tmp_path / "model.skops", store=store, name="churn", sample=sample, options=options)
    assert result.directory == store.models_directory / "churn" / "1"
    assert result.manifest.provenance.source == "skops"
    assert result.manifest.provenance.source_sha256 is not None
    assert (result.manifest.description, result.manifest.metrics) == ("churn", {"accuracy": 0.9})
    assert recheck_package(store.verify("churn", "1")).differing.sum() == 0
    reference = result.manifest.reference
    assert reference is not None
    numbers = [column.name for column in result.manifest.signature.columns if not column.is_text]
    assert ([feature.name for feature in reference.features], reference.rows) == (numbers, 300)
    assert all(sum(feature.counts) == 300 for feature in reference.features)
    registry = Registry(store)
    registry.load()
    loaded = registry.resolve("churn")
    fresh, _, _ = customers(1000)
    given = loaded.session.run(table(fresh).tensors(loaded.signature), ["label", "probabilities"])
    assert [loaded.signature.classes[index] for index in given["label"]] == model.predict(fresh).tolist()
    np.testing.assert_allclose(given["probabilities"], model.predict_proba(fresh), atol=1e-5)


def test_a_joblib_file_becomes_the_next_version_from_a_parquet_sample(store: Store, tmp_path: Path) -> None:
    frame, words, _ = customers()
    model = pipeline(LogisticRegression()).fit(frame, words)
    pack_estimator(model, table(frame), store=store, name="churn")
    joblib.dump(model, tmp_path / "model.joblib")
    frame.to_parquet(tmp_path / "sample.parquet")
    result = pack(
        tmp_path / "model.joblib",
        store=store,
        name="churn",
        sample=tmp_path / "sample.parquet",
        trust_pickle=True,
    )
    assert result.manifest.version == "2"
    assert result.manifest.provenance.source == "joblib"


def test_codes_that_look_like_numbers_stay_the_text_that_the_model_was_trained_on(store: Store, tmp_path: Path) -> None:
    frame, words, _ = customers()
    frame["city"] = frame["city"].map({"Köln": "01", "New York": "02", "Ōsaka": "03"})
    skops_io().dump(pipeline(LogisticRegression()).fit(frame, words), tmp_path / "model.skops")
    frame.to_csv(tmp_path / "sample.csv", index=False)
    result = pack(tmp_path / "model.skops", store=store, name="churn", sample=tmp_path / "sample.csv")
    city = next(column for column in result.manifest.signature.columns if column.name == "city")
    assert city.choices == ("01", "02", "03")


@pytest.mark.parametrize(
    ("name", "version", "complaint"),
    [("Iris", None, "cannot name a model"), ("../x", None, "cannot name"), ("x", "..", "cannot be a version")],
)
def test_a_name_that_cannot_be_used_is_refused_before_anything_is_read(
    store: Store, tmp_path: Path, name: str, version: str | None, complaint: str
) -> None:
    nowhere = tmp_path / "nowhere"
    with pytest.raises(PackingError, match=complaint):
        pack(nowhere, store=store, name=name, version=version, sample=nowhere)


def test_a_taken_version_is_refused_before_any_work(store: Store, tmp_path: Path) -> None:
    frame, words, _ = customers()
    pack_estimator(pipeline(LogisticRegression()).fit(frame, words), table(frame), store=store, name="x", version="7")
    with pytest.raises(PackingError, match="x/7 exists and is never overwritten"):
        pack(tmp_path / "nowhere", store=store, name="x", version="7", sample=tmp_path / "nowhere")
    assert store.next_version("x") == "8"


def test_without_the_train_extra_the_remedy_is_one_line(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from secure_ml_api.packaging import extras

    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(PackingError, match=r"pip install 'secure-ml-api\[train\]'"):
        pack(tmp_path / "model.skops", store=store, name="x", sample=tmp_path / "sample.csv")
