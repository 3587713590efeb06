"""Trees that XGBoost or LightGBM would read in another way than we do never reach the libraries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from secure_ml_api.errors import PackageRefused
from secure_ml_api.packaging.boosting import lightgbm_trees, xgboost_trees
from secure_ml_api.runtimes import lightgbm
from secure_ml_api.runtimes.lightgbm import open_lightgbm
from secure_ml_api.runtimes.xgboost import open_xgboost
from support.boosted import lightgbm_model, rows, signature, xgboost_model

ROWS = rows(200)


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
        (lambda learner: first_tree(learner).__setitem__("id", 1), "lead nowhere"),
        (lambda learner: first_tree(learner).__setitem__("categories_nodes", [0]), "lead nowhere"),
        (lambda learner: first_tree(learner)["split_type"].__setitem__(0, 1), "lead nowhere"),
        (lambda learner: first_tree(learner)["tree_param"].__setitem__("size_leaf_vector", "9"), "lead nowhere"),
        (lambda learner: first_tree(learner)["tree_param"].__setitem__("num_nodes", "1_5"), "no model of XGBoost"),
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
    ("pattern", "by"),
    [
        (r"\nleft_child=(.*)", r"\nleft_child=100000 \1\n\nleft_child=\1"),
        (r"\nleft_child=(.*)", r"\nleft_child=100000 \1\njunk\nleft_child=\1"),
        (r"\nshrinkage=(.*)", r"\nshrinkage=\1\nshrinkage=\1"),
        (r"\nshrinkage=(.*)", r"\nshrinkage=\1" + "".join(f"\n{letter}=0" for letter in "abcdefg")),
        (r"\n\n+Tree=1", r"\nTree=1"),
        (r"\n\n+end of trees", r"\nend of trees"),
        (r"\nsplit_feature=\d", r"\nsplit_feature=0_0"),
        (r"\nversion=", r"\n=tree_sizes=99999999\nversion="),
        (r"\nversion=", r"\n=max_feature_idx=99\nversion="),
        (r"\nversion=", r"\nnum_class=1\nversion="),
        (r"\nmax_feature_idx=3", r"\nmax_feature_idx=0_3"),
        (r"(?s)\nTree=.*\nend of trees", r"\nend of trees"),
    ],
)
def test_text_that_lightgbm_would_read_in_another_way_is_refused(pattern: str, by: str) -> None:
    """Its trees end at a blank line or after 22 others, its names run to the next '=', its numbers end at a '_'."""
    text, changes = re.subn(pattern, by, lightgbm_trees(lightgbm_model("binary")).decode(), count=1)
    assert changes == 1
    with pytest.raises(PackageRefused, match="no model of LightGBM"):
        lightgbm.checked_text(text.encode(), signature(2))


@pytest.mark.parametrize("by", ["num_class:100000", "num_class:3 :num_class:100000", "num_class:3 num_class:100000"])
def test_an_objective_of_lightgbm_for_other_classes_is_refused(by: str) -> None:
    """It writes as many probabilities as its objective says, wherever the memory for them ends."""
    text = lightgbm_trees(lightgbm_model("multiclass")).decode()
    assert "objective=multiclass num_class:3\n" in text
    with pytest.raises(PackageRefused, match="other numbers"):
        lightgbm.checked_text(text.replace("num_class:3", by, 1).encode(), signature(3))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"trees":[', b'"trees":[],"trees":['),
        (b'"learner":{', b'"learner":{"trees":[{"a":{}}],'),
        (b"}},{", b"}}{"),
        (b"}}]", b"}},]"),
        (b'"trees":[{', b'"trees":[{"more":{"x":{}},'),
        (b'"left_children":', b'"left_\\u0063hildren":'),
        (b'"left_children":', b'"left_children":[],"left_children":'),
        (b'"num_nodes":', b'"num_nodes":"1","num_nodes":'),
        (b'"num_feature":', b'"num_feature":"99","num_feature":'),
        (b'"num_feature":', b'"num_\\u0066eature":'),
        (b'{"learner"', b'{ "learner"'),
    ],
)
def test_json_whose_trees_could_be_read_in_two_ways_is_refused(old: bytes, new: bytes) -> None:
    data = xgboost_trees(xgboost_model("binary"))
    assert old in data
    with pytest.raises(PackageRefused, match=r"no model of XGBoost|lead nowhere"):
        open_xgboost(data.replace(old, new, 1), signature(2))


@pytest.mark.parametrize("data", [b"", b"{}", b"\x80\x04.", b"tree\n", b"[" * 100_000, b"\xff\xfe", b"{L\x00\x00"])
def test_bytes_that_are_no_trees_are_refused(data: bytes) -> None:
    with pytest.raises(PackageRefused, match="no model of XGBoost"):
        open_xgboost(data, signature(2))
    with pytest.raises(PackageRefused, match="no model of LightGBM"):
        open_lightgbm(data, signature(2))
