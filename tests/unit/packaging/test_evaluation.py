"""How good a packaged model is: the field's metrics, a comparison that says when there is none, a signed card."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn import metrics
from sklearn.datasets import load_breast_cancer, load_iris

from conftest import copied
from secure_ml_api.cli import main
from secure_ml_api.errors import PackageRefused, PackingError
from secure_ml_api.examples.catalogue import boston_housing, made_samples
from secure_ml_api.models.card import metrics_of, read_card
from secure_ml_api.models.manifest import TrainingData
from secure_ml_api.models.model import RUNTIMES, Model, load_model
from secure_ml_api.models.signing import CARD_DOMAIN, read_signing_key, sign
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.evaluation import compare, evaluate
from secure_ml_api.packaging.figure import figure
from secure_ml_api.packaging.table import Table
from support.application import Application
from support.packages import publish, store_in

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return store_in(copied(prepared_home, tmp_path_factory.mktemp("evaluation")))


def loaded(store: Store, name: str, version: str = "1") -> Model:
    return load_model(store.verify(name, version), {runtime.name: runtime for runtime in RUNTIMES})


def flowers(answers: Any = None) -> Table:
    data = load_iris()
    table = Table.of_matrix(data.data, data.feature_names)
    target = np.asarray(data.target if answers is None else answers, dtype=np.float64)
    return Table({**table.columns, "species": target})


def test_classes_are_measured_as_scikit_learn_measures_them(store: Store) -> None:
    found = evaluate(loaded(store, "iris"), flowers(), "species")
    truth, label = found.truth, found.answers["label"]
    assert found.metrics["accuracy"] == pytest.approx(metrics.accuracy_score(truth, label))
    assert found.metrics["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, label))
    assert found.metrics["f1_macro"] == pytest.approx(metrics.f1_score(truth, label, average="macro"))
    probabilities = np.asarray(found.answers["probabilities"], dtype=np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    area = metrics.roc_auc_score(truth, probabilities, multi_class="ovr", average="macro")
    assert found.metrics["roc_auc"] == pytest.approx(area)
    assert 0 <= found.metrics["calibration_error"] < 0.1
    assert set(found.by_class) == {"setosa", "versicolor", "virginica"}


def test_classes_may_be_told_by_their_words(store: Store) -> None:
    data = load_iris()
    words = np.array([data.target_names[each] for each in data.target], dtype=object)
    table = Table({**flowers().columns, "species": words})
    by_number = evaluate(loaded(store, "iris"), flowers(), "species").metrics
    assert evaluate(loaded(store, "iris"), table, "species").metrics == by_number


def test_numbers_are_measured_as_scikit_learn_measures_them(store: Store) -> None:
    features, target, names = boston_housing()
    table = Table({**Table.of_matrix(features, names).columns, "price": target})
    found = evaluate(loaded(store, "housing"), table, "price")
    assert found.metrics["r2"] == pytest.approx(metrics.r2_score(target, found.answers["value"]))
    assert found.metrics["mae"] == pytest.approx(metrics.mean_absolute_error(target, found.answers["value"]))


def test_anomalies_are_measured_beside_what_is_known(store: Store) -> None:
    features = made_samples()
    strange = np.linalg.norm(features, axis=1) > 3.2
    columns = Table.of_matrix(features, [f"x{column}" for column in range(1, 6)]).columns
    found = evaluate(loaded(store, "outliers"), Table({**columns, "odd": strange.astype(float)}), "odd")
    assert found.metrics["flagged"] == pytest.approx(0.1)
    assert found.metrics["roc_auc"] > 0.9
    signs = Table({**columns, "odd": np.where(strange, -1.0, 1.0)})
    assert evaluate(loaded(store, "outliers"), signs, "odd").metrics == found.metrics


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"species": np.full(150, 7.0)}, "'7', which is no class of the model: setosa, versicolor, virginica"),
        ({"petal width (cm)": None}, "no column 'petal width"),
        ({"species": None}, "no column 'species'"),
    ],
)
def test_data_that_does_not_fit_is_refused_by_name(store: Store, columns: dict[str, Any], reason: str) -> None:
    made = {**flowers().columns, **columns}
    table = Table({name: values for name, values in made.items() if values is not None})
    with pytest.raises(PackingError, match=reason):
        evaluate(loaded(store, "iris"), table, "species")


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        (np.array([1.0, np.nan]), "'sum' has no finite number in row 2 of the data"),
        (np.array([np.inf, 1.0]), "'sum' has no finite number in row 1 of the data"),
        (np.array(["1", "much"], dtype=object), "'sum' has text, 'much' in row 2 of the data; true answers of this"),
    ],
)
def test_truth_that_is_no_number_is_refused_by_row(tmp_path: Path, truth: Any, reason: str) -> None:
    small = store_in(tmp_path)
    publish(small)
    with pytest.raises(PackingError, match=reason):
        evaluate(loaded(small, "tiny"), Table({"a": np.ones(2), "b": np.ones(2), "sum": truth}), "sum")


def test_answer_that_is_no_number_is_refused_by_row(tmp_path: Path) -> None:
    small = store_in(tmp_path)
    publish(small, weights=(3e37, 3e37))
    table = Table({"a": np.array([0.0, 3e38]), "b": np.array([0.0, 3e38]), "sum": np.ones(2)})
    with pytest.raises(PackingError, match="the model answers row 2 of the data with a value that is no number"):
        evaluate(loaded(small, "tiny"), table, "sum")


def test_one_row_has_no_share_of_its_variance(tmp_path: Path) -> None:
    small = store_in(tmp_path)
    publish(small)
    found = evaluate(loaded(small, "tiny"), Table({"a": np.ones(1), "b": np.ones(1), "sum": np.ones(1)}), "sum")
    assert set(found.metrics) == {"mae", "rmse", "median_absolute_error"}


def test_model_beside_itself_is_not_distinguishable(store: Store) -> None:
    found = evaluate(loaded(store, "iris"), flowers(), "species")
    difference = compare(found, found)
    assert (difference.difference, difference.verdict) == (0, "not distinguishable")


def test_better_and_worse_are_told_apart(tmp_path: Path) -> None:
    small = store_in(tmp_path)
    publish(small, version="1", weights=(1.0, 2.0))
    publish(small, version="2", weights=(1.0, 1.0))
    rows = np.random.default_rng(5).normal(size=(200, 2))
    table = Table({"a": rows[:, 0], "b": rows[:, 1], "sum": rows @ [1.0, 2.0]})
    right, wrong = (evaluate(loaded(small, "tiny", version), table, "sum") for version in ("1", "2"))
    assert compare(right, wrong).verdict == "better"
    assert compare(wrong, right).verdict == "worse"


@pytest.mark.parametrize("name", ["iris", "housing", "outliers"])
def test_pictures_are_svg_that_says_what_it_shows(store: Store, name: str) -> None:
    if name == "iris":
        found = evaluate(loaded(store, "iris"), flowers(), "species")
    elif name == "housing":
        features, target, names = boston_housing()
        table = Table({**Table.of_matrix(features, names).columns, "price": target})
        found = evaluate(loaded(store, "housing"), table, "price")
    else:
        columns = Table.of_matrix(made_samples(), [f"x{column}" for column in range(1, 6)]).columns
        odd = (np.linalg.norm(made_samples(), axis=1) > 3.2).astype(float)
        found = evaluate(loaded(store, "outliers"), Table({**columns, "odd": odd}), "odd")
    drawn = ElementTree.fromstring(figure(found, f"{name} <1>"))
    texts = [element.text for element in drawn.iter() if element.tag.endswith("text")]
    assert texts[0] == f"{name} <1>"
    assert len(texts) > 4


DATA = TrainingData(name="Flowers", licence="CC-BY-4.0", as_of=date(1936, 9, 1), rows=150)


@pytest.fixture
def home(prepared_home: Path, tmp_path: Path) -> Path:
    """A home in which ``iris`` has a second version, and a file of flowers."""
    home = copied(prepared_home, tmp_path)
    store = store_in(home)
    package = store.verify("iris", "1")
    origin = package.manifest.provenance.model_copy(update={"packed_by": "Ada"})
    changes = {"version": "2", "training_data": DATA, "provenance": origin}
    store.publish(package.manifest.model_copy(update=changes), package.artifact.files)
    store.promote("iris", "1")
    data = flowers()
    rows = np.column_stack(list(data.columns.values()))
    lines = [",".join(data.names), *(",".join(map(str, row)) for row in rows.tolist())]
    (tmp_path / "flowers.csv").write_text("\n".join(lines))
    return home


def told(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["secure-ml-api", "models", *arguments, "--home", str(home)])
    capsys.readouterr()
    main()  # which returns when all is well, and exits otherwise
    out: str = capsys.readouterr().out
    return out


def test_evaluation_is_told_drawn_kept_in_a_signed_card_and_promoted_by(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, plot = store_in(home), tmp_path / "flowers.svg"
    asked = ("evaluate", "iris:2", "--data", str(tmp_path / "flowers.csv"), "--target", "species")
    said = json.loads(told(home, capsys, monkeypatch, *asked, "--plot", str(plot), "--json"))
    assert said["metrics"]["accuracy"] == pytest.approx(0.96)
    assert said["compared"]["verdict"] == "not distinguishable"
    assert plot.read_text().startswith("<svg")
    assert "accuracy: 0.96" in told(home, capsys, monkeypatch, *asked)
    digest = store.verify("iris", "2").artifact.digest
    first, _ = read_card(store, "iris", "2", digest).evaluations
    assert first.model_dump(mode="json")["compared"] == said["compared"]
    assert metrics_of(store, "iris", "2")["accuracy"] == pytest.approx(0.96)
    assert store.versions("iris") == ["1", "2"]
    told(home, capsys, monkeypatch, "promote", "iris", "2", "--if", "accuracy>=0.95")
    assert store.aliases("iris")["production"] == "2"


@pytest.mark.parametrize(
    "wrong",
    [
        ("iris/2", "x.svg", "say 'iris:2': NAME:VERSION, with a colon"),
        ("iris:2", "nowhere/x.svg", "nowhere/x.svg cannot be written: No such file or directory"),
    ],
)
def test_evaluation_that_was_asked_for_in_a_wrong_way_is_not_kept(
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    wrong: tuple[str, str, str],
) -> None:
    model, plot, reason = wrong
    asked = ("evaluate", model, "--data", str(tmp_path / "flowers.csv"), "--target", "species")
    with pytest.raises(SystemExit):
        told(home, capsys, monkeypatch, *asked, "--plot", str(tmp_path / plot))
    assert reason in capsys.readouterr().err
    store = store_in(home)
    assert not read_card(store, "iris", "2", store.verify("iris", "2").artifact.digest).evaluations


def test_card_from_before_means_were_called_so_is_read_with_their_names_and_promotes_by_no_other(
    prepared_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copied(prepared_home, tmp_path)
    store, folder = store_in(home), home / "models" / "cancer-svm" / ".cards"
    digest = store.verify("cancer-svm", "1").artifact.digest
    means = {"accuracy": 0.9, "precision": 0.8, "recall": 0.7, "f1": 0.6}
    old = {"at": "2026-01-01T00:00:00Z", "data_sha256": "0", "rows": 9, "metrics": means}
    data = json.dumps({"name": "cancer-svm", "version": "1", "digest": digest, "evaluations": [old]}).encode()
    folder.mkdir()
    (folder / "1.json").write_bytes(data)
    (folder / "1.sig").write_bytes(sign(read_signing_key(store.keys_directory), data, CARD_DOMAIN))
    (evaluation,) = read_card(store, "cancer-svm", "1", digest).evaluations
    assert evaluation.metrics == {"accuracy": 0.9, "precision_macro": 0.8, "recall_macro": 0.7, "f1_macro": 0.6}
    told(home, capsys, monkeypatch, "promote", "cancer-svm", "1", "--if", "f1_macro>=0.6")
    with pytest.raises(SystemExit):
        told(home, capsys, monkeypatch, "promote", "cancer-svm", "1", "--if", "f1>=0.1")
    assert "has no metric 'f1' (it has accuracy" in capsys.readouterr().err


def test_positive_class_is_named_where_its_metrics_are_told(
    prepared_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, data = copied(prepared_home, tmp_path), load_breast_cancer()
    names = [column.name for column in loaded(store_in(home), "cancer-svm").signature.columns]
    rows = np.column_stack([data.data, data.target])
    lines = [",".join([*names, "y"]), *(",".join(map(str, row)) for row in rows.tolist())]
    (tmp_path / "known.csv").write_text("\n".join(lines))
    asked = ("evaluate", "cancer-svm", "--data", str(tmp_path / "known.csv"))
    assert "precision, recall and f1 are of the positive class, benign" in told(home, capsys, monkeypatch, *asked)
    assert json.loads(told(home, capsys, monkeypatch, *asked, "--json"))["positive_class"] == "benign"
    assert "(precision, recall, f1: of benign)" in told(home, capsys, monkeypatch, "show", "cancer-svm", "1")


def test_metadata_and_the_command_show_the_card(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("evaluate", "iris:2", "--data", str(tmp_path / "flowers.csv"), "--target", "species")
    told(home, capsys, monkeypatch, *asked)
    card = metadata_of(home)
    assert card["estimator"] == "KNeighborsClassifier"
    assert card["hyperparameters"]["n_neighbors"] == "3"
    assert card["proved_rows"] > 1000
    assert (card["source"], card["packed_by"], card["training_data"]) == (
        "estimator",
        "Ada",
        DATA.model_dump(mode="json"),
    )
    assert [evaluation["metrics"]["accuracy"] for evaluation in card["evaluations"]] == [pytest.approx(0.96)]
    shown = told(home, capsys, monkeypatch, "show", "iris", "2")
    assert "n_neighbors=3" in shown
    assert "on 150 rows: accuracy 0.96" in shown
    assert "not distinguishable by accuracy: +0 beside 1 (95 % interval +0 to +0)" in shown
    shown = json.loads(told(home, capsys, monkeypatch, "show", "iris", "2", "--json"))
    assert shown["evaluations"] == card["evaluations"]
    serving = store_in(home).verify("iris", "1").artifact.digest
    compared = shown["evaluations"][0]["compared"]
    assert (compared["with"], compared["digest"], compared["metric"]) == ("1", serving, "accuracy")


def test_metadata_leaves_out_evaluations_that_do_not_verify(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("evaluate", "iris:2", "--data", str(tmp_path / "flowers.csv"), "--target", "species")
    told(home, capsys, monkeypatch, *asked)
    path = store_in(home).models_directory / "iris" / ".cards" / "2.json"
    path.write_text(path.read_text().replace("0.96", "0.99"))
    assert metadata_of(home)["evaluations"] == []
    assert json.loads(told(home, capsys, monkeypatch, "show", "iris", "2", "--json"))["evaluations"] == []


def metadata_of(home: Path) -> dict[str, Any]:
    """The card of iris/2, as the API tells it."""
    with Application(home) as application:
        headers = {"Authorization": f"Bearer {application.token('models:read')}"}
        reply = application.client.get("/v2/models/iris/versions/2", headers=headers)
        assert reply.status_code == 200
        card: dict[str, Any] = reply.get_json()["parameters"]
        return card


def test_card_that_was_altered_or_belongs_to_another_package_is_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_in(home)
    told(
        home, capsys, monkeypatch, "evaluate", "iris:2", "--data", str(tmp_path / "flowers.csv"), "--target", "species"
    )
    with pytest.raises(PackageRefused, match="that of another package"):
        read_card(store, "iris", "2", "sha256:0")
    card = store.models_directory / "iris" / ".cards" / "2.json"
    card.write_text(card.read_text().replace("0.96", "0.99"))
    with pytest.raises(PackageRefused, match="the signature of the card of iris/2 does not hold"):
        metrics_of(store, "iris", "2")
