"""The trees of XGBoost and LightGBM as they are: nothing that is not theirs reaches the libraries."""

from __future__ import annotations

import json
import re
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
from secure_ml_api.tensors import Column, Datatype, Signature
from support.boosted import COLUMNS, classes, lightgbm_model, rows, xgboost_model

ROWS = rows(200)


def signature(count: int, datatype: Datatype = "FP64", columns: tuple[str, ...] = COLUMNS) -> Signature:
    return Signature(
        task="classification" if count else "regression",
        columns=tuple(Column(name=name, datatype=datatype) for name in columns),
        classes=tuple(range(count)),
        labels=tuple(map(str, range(count))),
        output_datatype="FP32",
    )


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


def xgboost_with(change: Callable[[Any], object]) -> bytes:
    model = json.loads(xgboost_trees(xgboost_model("binary")))
    change(model["learner"])
    return json.dumps(model, separators=(",", ":")).encode()


def first_tree(learner: Any) -> Any:
    return learner["gradient_booster"]["model"]["trees"][0]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda learner: first_tree(learner)["left_children"].__setitem__(0, 10**6), "lead nowhere"),
        (lambda learner: first_tree(learner)["left_children"].__setitem__(0, 0), "lead nowhere"),
        (lambda learner: first_tree(learner)["right_children"].__setitem__(0, -5), "lead nowhere"),
        (lambda learner: first_tree(learner)["split_indices"].__setitem__(0, 99), "lead nowhere"),
        (lambda learner: first_tree(learner)["parents"].__setitem__(1, 10**6), "lead nowhere"),
        (lambda learner: first_tree(learner)["split_conditions"].pop(), "lead nowhere"),
        (lambda learner: learner["gradient_booster"]["model"]["iteration_indptr"].append(-1), "lead nowhere"),
        (lambda learner: learner["learner_model_param"].__setitem__("num_class", "1000000000"), "other numbers"),
        (lambda learner: first_tree(learner).__setitem__("left_children", [10**30]), "no model of XGBoost"),
        (lambda learner: learner["gradient_booster"].__setitem__("name", "gblinear"), "lead nowhere"),
        (lambda learner: learner["gradient_booster"]["model"]["tree_info"].__setitem__(0, 7), "lead nowhere"),
        (lambda learner: learner.pop("objective"), "no model of XGBoost"),
        (lambda learner: learner["objective"].__setitem__("name", "reg:squarederror"), "other numbers"),
        (lambda learner: learner["learner_model_param"].__setitem__("num_class", "3"), "other numbers"),
    ],
)
def test_trees_of_xgboost_that_were_tampered_with_are_refused(change: Callable[[Any], object], complaint: str) -> None:
    with pytest.raises(PackageRefused, match=complaint):
        open_xgboost(xgboost_with(change), signature(2))


@pytest.mark.parametrize(
    ("pattern", "by", "complaint"),
    [
        (r"left_child=\S+", "left_child=100000", "lead nowhere"),
        (r"left_child=\S+", "left_child=0", "lead nowhere"),
        (r"right_child=\S+", "right_child=-100000", "lead nowhere"),
        (r"split_feature=\S+", "split_feature=99", "lead nowhere"),
        (r"threshold=\S+ ", "threshold=", "lead nowhere"),
        (r"leaf_value=\S+ ", "leaf_value=", "lead nowhere"),
        (r"decision_type=\S+", "decision_type=1", "lead nowhere"),
        (r"num_leaves=\d+", "num_leaves=1000000", "lead nowhere"),
        (r"num_leaves=\d+", "num_leaves=many", "no model of LightGBM"),
        (r"is_linear=0", "is_linear=1", "lead nowhere"),
        (r"end of trees", "", "no model of LightGBM"),
        (r"num_tree_per_iteration=1", "num_tree_per_iteration=0", "no model of LightGBM"),
        (r"objective=binary", "objective=regression", "other numbers"),
    ],
)
def test_trees_of_lightgbm_that_were_tampered_with_are_refused(pattern: str, by: str, complaint: str) -> None:
    text, changes = re.subn(pattern, by, lightgbm_trees(lightgbm_model("binary")).decode(), count=1)
    assert changes == 1
    with pytest.raises(PackageRefused, match=complaint):
        open_lightgbm(text.encode(), signature(2))


def test_sizes_that_would_have_lightgbm_jump_are_not_followed() -> None:
    text = re.sub(r"tree_sizes=\d+", "tree_sizes=99999999", lightgbm_trees(lightgbm_model("binary")).decode())
    answers = open_lightgbm(text.encode(), signature(2)).run({"input": ROWS}, ["label"])
    assert answers["label"].tolist() == lightgbm_model("binary").predict(ROWS).tolist()


def test_a_line_that_only_lightgbm_would_see_is_refused() -> None:
    """It ends lines at a carriage return, too: behind one, sizes of trees would have it jump after all."""
    text = lightgbm_trees(lightgbm_model("binary")).decode()
    for hidden in ("x\rtree_sizes=99999999", "x\rTree=0", "x\0"):
        with pytest.raises(PackageRefused, match="no model of LightGBM"):
            open_lightgbm(text.replace("\nversion=", f"\n{hidden}\nversion=", 1).encode(), signature(2))


def test_a_line_that_only_we_would_see_is_none() -> None:
    """Python knows more ends of lines than LightGBM: what stands behind one of them is a part of the line before."""
    text = lightgbm_trees(lightgbm_model("binary")).decode()
    hidden = re.sub(r"\nleft_child=(\S+)", "\nleft_child=100000 \x0bleft_child=\\1", text, count=1)
    with pytest.raises(PackageRefused, match=r"LightGBM|lead nowhere"):
        open_lightgbm(hidden.encode(), signature(2))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"trees":[', b'"trees":[],"trees":['),
        (b'"learner":{', b'"learner":{"trees":[{"a":{}}],'),
        (b"}},{", b"}}{"),
        (b"}}]", b"}},]"),
        (b'"trees":[{', b'"trees":[{"more":{"x":{}},'),
    ],
)
def test_json_whose_trees_could_be_read_in_two_ways_is_refused(old: bytes, new: bytes) -> None:
    data = xgboost_trees(xgboost_model("binary"))
    assert old in data
    with pytest.raises(PackageRefused, match=r"no model of XGBoost|lead nowhere"):
        open_xgboost(data.replace(old, new, 1), signature(2))


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


@pytest.mark.parametrize("data", [b"", b"{}", b"\x80\x04.", b"tree\n", b"[" * 100_000, b"\xff\xfe", b"{L\x00\x00"])
def test_bytes_that_are_no_trees_are_refused(data: bytes) -> None:
    with pytest.raises(PackageRefused, match="no model of XGBoost"):
        open_xgboost(data, signature(2))
    with pytest.raises(PackageRefused, match="no model of LightGBM"):
        open_lightgbm(data, signature(2))


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
