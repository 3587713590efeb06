"""The table of forms compares like with like and fails when the kept form is the slower one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from loadtests import forms
from loadtests.forms import Row, main, measure, table
from secure_ml_api.packaging import stopwatch
from secure_ml_api.packaging.table import Table


def rows_of(kept: float) -> list[Row]:
    return [Row("tree", rows, 200.0 * rows, 20.0 * rows, kept * rows, "by hand") for rows in (1, 32, 1000)]


def test_the_ratio_is_to_the_better_one_of_the_other_two() -> None:
    assert [row.ratio for row in rows_of(5.0)] == [4.0, 4.0, 4.0]
    assert Row("forest", 1, 10.0, 300.0, 5.0, "by hand").ratio == 2.0


def test_the_table_has_one_line_a_model() -> None:
    lines = table(rows_of(5.0)).splitlines()
    assert len(lines) == 3
    assert lines[2] == (
        "| tree | by hand | 200 µs / 6.4 ms / 200.0 ms | 20.0 µs / 640 µs / 20.0 ms | 5.0 µs / 160 µs / 5.0 ms "
        "| 4.0 / 4.0 / 4.0 |"
    )


@pytest.mark.parametrize(("kept", "status"), [(5.0, 0), (21.0, 0), (30.0, 1)])
def test_the_exit_status_tells_whether_a_kept_form_is_slower(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kept: float, status: int
) -> None:
    monkeypatch.setattr(forms, "six_models", lambda: {"tree": lambda: (None, None)})
    monkeypatch.setattr(forms, "measure", lambda *given: rows_of(kept))
    assert main([]) == status
    assert "| tree |" in capsys.readouterr().out


def test_a_model_is_measured_as_it_is_as_the_stock_graph_and_as_the_kept_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "_SECONDS_EACH", 0.0)
    random = np.random.default_rng(0)
    features: Any = random.normal(size=(50, 2))
    model = KNeighborsClassifier(3).fit(features, np.arange(50) % 2)
    measured = measure("neighbours", model, Table.of_matrix(features, ["a", "b"]))
    assert [row.rows for row in measured] == [1, 32, 1000]
    assert all(min(row.sklearn, row.stock, row.kept) > 0 for row in measured)


def test_the_six_models_are_those_of_the_decision() -> None:
    assert len(forms.six_models()) == 6
