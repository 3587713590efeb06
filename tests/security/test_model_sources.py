"""Attacks on the files that packages are made from: no code in them runs unasked; every refusal is one line."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import FunctionTransformer

from secure_ml_api.errors import PackingError
from secure_ml_api.models.store import Store
from secure_ml_api.packaging import source_file
from secure_ml_api.packaging.pack import pack
from secure_ml_api.runtimes.skops_files import skops_io
from support.packages import store_in


class _Marks:
    """A pickle that leaves a file behind when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.mark,)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path / "home")


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    return path


@pytest.mark.parametrize("file", ["model.pkl", "model.joblib", "model.skops", "model.onnx"])
def test_a_pickle_is_never_read_without_consent_whatever_it_is_called(
    store: Store, tmp_path: Path, sample: Path, file: str
) -> None:
    mark = tmp_path / "executed"
    (tmp_path / file).write_bytes(pickle.dumps(_Marks(mark)))
    with pytest.raises(PackingError, match="--trust-pickle"):
        pack(tmp_path / file, store=store, name="evil", sample=sample)
    assert not mark.exists()
    assert store.versions("evil") == []


def test_a_pickle_that_was_consented_to_is_read_in_another_process(
    store: Store, tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECURE_ML_API_DATABASE__URL", "postgresql://user:secret@host/name")
    report = tmp_path / "report"
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(_Reports(report)))
    with pytest.raises(PackingError, match="where a fitted model"):
        pack(tmp_path / "model.pkl", store=store, name="evil", sample=sample, trust_pickle=True)
    process, environment = report.read_text().split(" ", 1)
    assert int(process) != os.getpid()
    assert "secret" not in environment


class _Reports:
    """A pickle that writes down the process and the settings that it sees when it is read."""

    def __init__(self, report: Path) -> None:
        self.report = report

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        code = f"import os; open({str(self.report)!r}, 'w').write(f'{{os.getpid()}} {{dict(os.environ)}}')"
        return exec, (code,)


def test_a_pickle_that_kills_its_process_is_an_error_of_one_line(store: Store, tmp_path: Path, sample: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(_Kills()))
    with pytest.raises(PackingError, match="status 66") as refusal:
        pack(tmp_path / "model.pkl", store=store, name="evil", sample=sample, trust_pickle=True)
    assert "\n" not in str(refusal.value)


class _Kills:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os._exit, (66,)


def _shout(x: Any) -> Any:
    return x


def test_a_skops_file_with_an_unknown_type_is_refused_by_name(store: Store, tmp_path: Path, sample: Path) -> None:
    skops_io().dump(FunctionTransformer(_shout), tmp_path / "model.skops")
    with pytest.raises(PackingError, match=r"not trusted here: .*_shout"):
        pack(tmp_path / "model.skops", store=store, name="evil", sample=sample)


def test_a_skops_file_that_names_a_function_of_the_system_is_refused(
    store: Store, tmp_path: Path, sample: Path
) -> None:
    skops_io().dump(LinearRegression(), tmp_path / "honest.skops")
    schema = json.loads(zipfile.ZipFile(tmp_path / "honest.skops").read("schema.json"))
    text = json.dumps(schema).replace('"LinearRegression"', '"system"').replace(schema["__module__"], "os")
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        archive.writestr("schema.json", text)
    with pytest.raises(PackingError, match=r"not trusted here: os\.system"):
        pack(tmp_path / "model.skops", store=store, name="evil", sample=sample)


@pytest.mark.parametrize(
    ("name", "says"), [("archive/data.pkl", "written by torch.save"), ("model.pkl", "no readable skops file")]
)
def test_a_zip_that_is_no_skops_file_is_refused(
    store: Store, tmp_path: Path, sample: Path, name: str, says: str
) -> None:
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        archive.writestr(name, pickle.dumps(_Kills()))
    with pytest.raises(PackingError, match=says):
        pack(tmp_path / "model.skops", store=store, name="evil", sample=sample, trust_pickle=True)


def test_a_skops_file_that_unpacks_to_more_than_a_model_may_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_file, "SOURCE_LIMIT_BYTES", 1_000_000)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes(1_000_001))
    assert len(bomb.getvalue()) < 10_000
    with pytest.raises(PackingError, match="unpacks to more than"):
        source_file.read_source(bomb.getvalue(), "skops")
