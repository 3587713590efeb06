"""The trees of XGBoost and LightGBM as they are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest

from secure_ml_api.errors import PackageRefused
from secure_ml_api.packaging.boosting import lightgbm_trees, xgboost_trees
from secure_ml_api.runtimes import boosted, lightgbm, xgboost
from secure_ml_api.runtimes.lightgbm import open_lightgbm
from secure_ml_api.runtimes.xgboost import open_xgboost
from secure_ml_api.tensors import Column, Signature
from support.boosted import classes, lightgbm_model, rows, signature, xgboost_model

ROWS = rows(200)


@pytest.mark.parametrize(("kind", "count"), [("binary", 2), ("multiclass", 3), ("regression", 0)])
def test_trees_answer_as_their_library_does(kind: str, count: int) -> None:
    for model, session in (
        (xgboost_model(kind), open_xgboost(xgboost_trees(xgboost_model(kind)), signature(count))),
        (lightgbm_model(kind), open_lightgbm(lightgbm_trees(lightgbm_model(kind)), signature(count))),
    ):
        if count:
            found = session.run({"input": ROWS}, ["label", "probabilities"])
            np.testing.assert_allclose(found["probabilities"], model.predict_proba(ROWS), rtol=1e-6)
            assert model.classes_[found["label"]].tolist() == model.predict(ROWS).tolist()
        else:
            np.testing.assert_allclose(session.run({"input": ROWS}, ["value"])["value"], model.predict(ROWS), rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"gamma": 3.0, "tree_method": "exact"}, {"booster": "dart", "rate_drop": 0.3}, {"num_parallel_tree": 3}],
    ids=["pruned", "dropped", "forest"],
)
def test_trees_of_xgboost_that_grew_otherwise_are_answered_as_well(options: dict[str, Any]) -> None:
    from xgboost import XGBClassifier

    model = XGBClassifier(n_jobs=1, n_estimators=8, **options).fit(ROWS, classes(ROWS, 2))
    session = open_xgboost(xgboost_trees(model), signature(2))
    assert session.run({"input": ROWS}, ["label"])["label"].tolist() == model.predict(ROWS).tolist()


def test_categories_of_lightgbm_are_answered_as_well() -> None:
    from lightgbm import LGBMClassifier

    given = np.column_stack((np.arange(300) % 12, ROWS[np.arange(300) % 200, 0]))
    model = LGBMClassifier(n_jobs=1, n_estimators=5, min_data_per_group=1, cat_smooth=1, verbosity=-1)
    model.fit(given, given[:, 0] % 3 == 0, categorical_feature=[0])
    session = open_lightgbm(lightgbm_trees(model), signature(2, columns=("a", "b")))
    assert (
        session.run({"input": given}, ["label"])["label"].tolist()
        == np.asarray(model.predict(given)).astype(int).tolist()
    )


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_no_more_than_a_tree_is_parsed_before_others_may_have_the_interpreter(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of a hundred megabytes would else keep every caller of the worker that loads it waiting."""
    parsed: list[int] = []
    pauses: list[int] = []

    def noting(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def parse_noted(text: Any) -> Any:
            parsed.append(len(text))
            return parse(text)

        return parse_noted

    monkeypatch.setattr(boosted, "_PIECE", 2000)
    monkeypatch.setattr("secure_ml_api.runtimes.boosted.time.sleep", lambda _: pauses.append(len(parsed)))
    if library == "xgboost":
        data = xgboost_trees(xgboost_model("multiclass"))
        monkeypatch.setattr("secure_ml_api.runtimes.xgboost.orjson.loads", noting(orjson.loads))
        xgboost.check_trees(data, signature(3))
    else:
        data = lightgbm_trees(lightgbm_model("multiclass"))
        monkeypatch.setattr(lightgbm, "_pairs", noting(lightgbm._pairs))
        lightgbm.checked_text(data, signature(3))
    assert max(parsed) < len(data) / 5
    assert len(pauses) > 5
    assert all(sum(parsed[first:last]) < 2000 + max(parsed) for first, last in pairwise([1, *pauses]))


def test_trees_of_other_columns_classes_or_kinds_are_refused() -> None:
    for other in (signature(3), signature(0), signature(2, columns=("a", "b"))):
        with pytest.raises(PackageRefused, match="other numbers"):
            open_xgboost(xgboost_trees(xgboost_model("binary")), other)
        with pytest.raises(PackageRefused, match="other numbers"):
            open_lightgbm(lightgbm_trees(lightgbm_model("binary")), other)
    text = Signature(task="regression", columns=(Column(name="a", datatype="BYTES"),))
    with pytest.raises(PackageRefused, match="columns of numbers"):
        open_xgboost(xgboost_trees(xgboost_model("regression")), text)


def test_a_server_without_the_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    trees = xgboost_trees(xgboost_model("binary")), lightgbm_trees(lightgbm_model("binary"))
    for library in ("xgboost", "lightgbm"):
        monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(PackageRefused, match=r"pip install 'secure-ml-api\[xgboost\]'"):
        open_xgboost(trees[0], signature(2))
    with pytest.raises(PackageRefused, match=r"pip install 'secure-ml-api\[lightgbm\]'"):
        open_lightgbm(trees[1], signature(2))


@pytest.mark.slow
def test_a_run_on_one_thread_starts_no_other() -> None:
    """Counted in a process of its own: whatever trained here has left threads behind."""
    trees = xgboost_trees(xgboost_model("binary")).hex(), lightgbm_trees(lightgbm_model("binary")).hex()
    code = (
        "import os, sys, numpy as np, lightgbm, xgboost\n"
        "from secure_ml_api.runtimes.lightgbm import open_lightgbm\n"
        "from secure_ml_api.runtimes.xgboost import open_xgboost\n"
        "from secure_ml_api.tensors import Signature\n"
        "signature = Signature.model_validate_json(sys.stdin.readline())\n"
        "trees = [bytes.fromhex(line) for line in sys.stdin]\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "for opened, data in zip((open_xgboost, open_lightgbm), trees):\n"
        "    opened(data, signature).run({'input': np.zeros((5000, 4))}, ['label'])\n"
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    given = "\n".join((signature(2).model_dump_json(), *trees))
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("0", "")
