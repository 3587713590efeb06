"""Models of XGBoost and LightGBM become packages: from memory, from skops files and from the libraries' own files."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier, XGBRegressor

from secure_ml_api.errors import PackingError
from secure_ml_api.models.recheck import recheck_package
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.boosting import lightgbm_from, xgboost_from
from secure_ml_api.packaging.build import Built, build
from secure_ml_api.packaging.candidates import CANDIDATES
from secure_ml_api.packaging.natives import open_model
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.pack import pack
from secure_ml_api.packaging.source_file import format_of
from secure_ml_api.packaging.table import Table
from secure_ml_api.runtimes.skops_files import skops_io
from support.boosted import COLUMNS, classes, lightgbm_model, rows, table, xgboost_model
from support.packages import store_in

pytestmark = pytest.mark.slow

GIVEN = rows(300)
NATIVE = Options(allow_native=True)
TRIED = "secure_ml_api.packaging.contest.CANDIDATES"


def fitted(model: Any, given: Any = GIVEN) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = np.asarray(given)
        return model.fit(given, classes(values, 3) if hasattr(model, "predict_proba") else values[:, 0] * values[:, 1])


def differ(*_: object) -> bytes:
    raise PackingError("answers differ on every row")


def answers(built: Built, given: Table) -> dict[str, Any]:
    signature = built.blueprint.signature
    session = open_model(built.blueprint.runtime, built.model, signature)
    return session.run(given.tensors(signature), [spec.name for spec in signature.outputs])


@pytest.mark.parametrize(
    "model",
    [
        XGBClassifier(n_jobs=1, n_estimators=10),
        XGBRegressor(n_jobs=1, n_estimators=10, objective="reg:absoluteerror"),
        LGBMClassifier(n_jobs=1, n_estimators=10, verbosity=-1),
        LGBMRegressor(n_jobs=1, n_estimators=10, objective="quantile", verbosity=-1),
        make_pipeline(StandardScaler(), XGBClassifier(n_jobs=1, n_estimators=10)),
        make_pipeline(StandardScaler(), LGBMClassifier(n_jobs=1, n_estimators=10, verbosity=-1)),
        GridSearchCV(XGBClassifier(n_jobs=1, n_estimators=5), {"max_depth": [2, 3]}, cv=2),
    ],
    ids=["xgboost", "xgboost-number", "lightgbm", "lightgbm-number", "xgboost-pipeline", "lightgbm-pipeline", "search"],
)
def test_a_graph_answers_as_the_model_does(model: Any) -> None:
    model = fitted(model)
    built = build(model, table(GIVEN), Options())
    assert built.blueprint.runtime == "onnx"
    fresh = rows(500, seed=9)
    found = answers(built, table(fresh))
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(fresh), rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_allclose(found["value"], model.predict(fresh), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "model", [XGBClassifier(n_jobs=1, n_estimators=5), LGBMClassifier(n_estimators=5, verbosity=-1)]
)
def test_columns_go_by_the_names_of_the_frame_that_the_model_was_trained_on(model: Any) -> None:
    names = ["net income", "age", "plan", "days"]
    model = fitted(model, pd.DataFrame(GIVEN, columns=names))
    shuffled = Table({name: GIVEN[:, names.index(name)] for name in reversed(names)})
    built = build(model, shuffled, Options())
    assert list(built.blueprint.signature.column_names) == names
    with pytest.raises(PackingError, match=r"lacks 'net.income'"):
        build(model, table(GIVEN), Options())


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize(("library", "model"), [("xgboost", xgboost_model), ("lightgbm", lightgbm_model)])
def test_without_a_graph_the_library_itself_serves_only_by_consent(
    monkeypatch: pytest.MonkeyPatch, library: str, model: Callable[[str], Any], kind: str
) -> None:
    monkeypatch.setattr(TRIED, (replace(CANDIDATES[0], build=differ),))
    with pytest.raises(PackingError, match="no graph answers"):
        build(model(kind), table(GIVEN), Options())
    built = build(model(kind), table(GIVEN), NATIVE)
    assert built.blueprint.runtime == library
    assert built.blueprint.parity.differing_near_ties == 0
    assert library in " ".join(built.blueprint.provenance.libraries)


def test_a_gap_is_taken_where_the_sample_has_one_and_is_answered_as_the_library_does() -> None:
    given = GIVEN.copy()
    given[::7, 1] = np.nan
    for model in (XGBRegressor(n_jobs=1, n_estimators=10), LGBMRegressor(n_jobs=1, n_estimators=10, verbosity=-1)):
        model.fit(given, GIVEN[:, 0])
        built = build(model, table(given), NATIVE)
        allowed = {column.name for column in built.blueprint.signature.columns if column.allow_missing}
        assert allowed == {"b"}
        found = answers(built, table(given))["value"]
        np.testing.assert_allclose(found, model.predict(given), rtol=1e-4, atol=1e-5)


def test_training_that_stopped_early_is_packed_up_to_its_best_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = rows(200, seed=21)
    model = XGBClassifier(n_jobs=1, n_estimators=200, early_stopping_rounds=2, learning_rate=0.9)
    model.fit(GIVEN, classes(GIVEN, 2), eval_set=[(fresh, classes(fresh, 2))], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    for candidates in (CANDIDATES, ()):
        monkeypatch.setattr(TRIED, candidates)
        found = answers(build(model, table(GIVEN), NATIVE), table(fresh))
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(fresh), atol=1e-5)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path / "home")


def saved(directory: Path, ending: str) -> tuple[Path, Any]:
    """A file of a model in the format of ``ending``, and the model."""
    path = directory / f"model{ending}"
    if ending == ".txt":
        model = lightgbm_model("binary")
        model.booster_.save_model(path)
    elif ending == ".skops":
        model = lightgbm_model("multiclass")
        skops_io().dump(model, path)
    else:
        model = xgboost_model("multiclass")
        model.save_model(path)
    return path, model


@pytest.mark.parametrize("ending", [".json", ".ubj", ".txt", ".skops"])
def test_a_file_that_is_no_pickle_is_packed_without_trust(store: Store, tmp_path: Path, ending: str) -> None:
    path, model = saved(tmp_path, ending)
    pd.DataFrame(GIVEN, columns=list(COLUMNS)).to_csv(tmp_path / "sample.csv", index=False)
    result = pack(path, store=store, name="trees", sample=tmp_path / "sample.csv")
    expected = {".json": "xgboost", ".ubj": "xgboost", ".txt": "lightgbm", ".skops": "skops"}[ending]
    assert result.manifest.provenance.source == expected
    assert recheck_package(store.verify("trees", "1")).differing.sum() == 0
    assert len(result.manifest.signature.classes) == len(model.classes_)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"learner": 1}', b'{"learner": {}}', b"tree\n", b"tree\nversion=v4\n", b"\xff"]
)
def test_bytes_that_only_look_like_a_model_are_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(PackingError, match=r"^the file is no model that XGBoost reads [^\n]*$"):
        xgboost_from(data)
    with pytest.raises(PackingError, match=r"^the file is no model that LightGBM reads [^\n]*$"):
        lightgbm_from(data)


def test_a_file_that_only_looks_like_a_model_is_refused_in_one_line(store: Store, tmp_path: Path) -> None:
    """One on which the library, given it, ends the whole process."""
    (tmp_path / "model.bin").write_bytes(b"{L\xff")
    (tmp_path / "sample.csv").write_text("a,b,c,d\n1,2,3,4\n")
    with pytest.raises(PackingError, match=r"^(the file is no model that|the process that read the file) [^\n]*$"):
        pack(tmp_path / "model.bin", store=store, name="trees", sample=tmp_path / "sample.csv")
    assert store.names() == []


def test_the_format_is_told_by_the_content_and_not_by_the_name(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(PackingError, match="a pickle may run any code"):
        format_of(path, trust_pickle=False)


def test_an_objective_that_ranks_is_refused_by_name() -> None:
    from xgboost import DMatrix, train

    booster = train({"objective": "rank:pairwise"}, DMatrix(GIVEN[:20], label=np.arange(20) % 2), 1)
    with pytest.raises(PackingError, match="rank:pairwise"):
        xgboost_from(bytes(booster.save_raw("json")))
