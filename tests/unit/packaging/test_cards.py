"""The signed card of a packaged model: evaluations are kept in it, shown, promoted by, and of one package alone."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from conftest import copied
from secure_ml_api.cli import main
from secure_ml_api.errors import PackageRefused
from secure_ml_api.models.card import metrics_of, read_card
from secure_ml_api.models.manifest import TrainingData
from secure_ml_api.models.signing import CARD_DOMAIN, read_signing_key, sign
from support.application import Application
from support.measured import flowers, loaded
from support.packages import store_in

pytestmark = pytest.mark.slow

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
