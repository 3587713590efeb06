"""XGBoost's trees as they are, from its own JSON, for those that no graph answers like.

A package names this runtime only when the person who packed the model agreed that the server needs XGBoost.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import orjson

from ..errors import PackageRefused
from ..tensors import Signature
from .boosted import BoostedSession, is_tree, require_numbers, unhurried
from .libraries import for_good
from .protocol import Session, VerifiedArtifact

BOOSTER_FILE = "model.xgboost.json"

_NO_PARENT = 2**31 - 1
_PROBABILITIES = {"binary:logistic", "multi:softprob"}
_TREES = b'"trees":['
_ESCAPED = re.compile(rb"(?<!\\)(?:\\\\)*\\u")
_OF_CATEGORIES = ("categories", "categories_nodes", "categories_segments", "categories_sizes")


class XgboostRuntime:
    """Loads JSON that XGBoost wrote and whose trees were looked at first; nothing in it is code.

    XGBoost's threads do not survive a fork, so sessions are built in each worker.
    """

    name = "xgboost"
    fork_safe = False
    framework = "xgboost"

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        """A session on the trees in ``model.xgboost.json``.

        Raises PackageRefused when XGBoost is not installed, and when the file is not XGBoost's or does not fit the
        signature.
        """
        where = f"{artifact.name}/{artifact.version}"
        data = artifact.files.get(BOOSTER_FILE)
        if data is None:
            raise PackageRefused(f"{where}: the package has no {BOOSTER_FILE}")
        try:
            return open_xgboost(data, artifact.signature, threads=threads)
        except PackageRefused as refused:
            raise PackageRefused(f"{where}: {refused}") from None


def open_xgboost(data: bytes, signature: Signature, *, threads: int = 1) -> Session:
    """A session on the JSON in ``data``; raises PackageRefused as ``load`` does."""
    require_numbers(signature)
    check_trees(data, signature)
    from threadpoolctl import threadpool_limits

    try:
        with for_good():
            import xgboost
    except ImportError:
        remedy = "run `pip install 'secure-ml-api[xgboost]'` where it serves"
        raise PackageRefused(f"XGBoost itself runs this model and is not installed; {remedy}") from None
    try:
        # Its log goes to stderr as plain text; and it reads trees on all CPUs, whatever the booster is told.
        with xgboost.config_context(verbosity=0), threadpool_limits(threads, "openmp"):
            booster = xgboost.Booster({"nthread": threads, "verbosity": 0})
            booster.load_model(bytearray(data))
            booster.set_param({"nthread": threads, "device": "cpu"})
    except (xgboost.core.XGBoostError, ValueError) as error:
        raise PackageRefused(f"{BOOSTER_FILE} does not load ({type(error).__name__}); pack the model again") from None

    def predict(rows: Any) -> Any:
        # Trees may be asked by several threads at once; what is asked by name was checked when the body was read.
        return booster.inplace_predict(rows, validate_features=False)

    return BoostedSession(predict, signature)


def check_trees(data: bytes, signature: Signature) -> None:
    """Raises PackageRefused unless ``data`` is XGBoost's JSON of trees that fit ``signature``.

    The library walks the arrays of a tree without looking where they end, so that is looked at here.
    """
    try:
        around, trees = _apart(data)
        learner = _read_as_xgboost_does(around)["learner"]
        booster = learner["gradient_booster"]
        kind = str(booster["name"])
        # Trees that were dropped while training are stored with their weights around them.
        model = booster["gbtree"]["model"] if kind == "dart" else booster["model"]
        shape = learner["learner_model_param"]
        features, classes, targets = (_natural(shape[key]) for key in ("num_feature", "num_class", "num_target"))
        objective = str(learner["objective"]["name"])
        sound = kind in {"gbtree", "dart"} and model["trees"] == []
        each = enumerate(unhurried(data[place] for place in trees))
        sound &= all(_is_sound(_tree(text), number, features) for number, text in each)
        sound &= _fit_together(model, len(trees), groups=max(1, classes))
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError, OverflowError, RecursionError):
        raise PackageRefused(f"{BOOSTER_FILE} is no model of XGBoost's trees in JSON; pack the model again") from None
    if not sound:
        raise PackageRefused(f"{BOOSTER_FILE} holds trees that lead nowhere, or splits on categories")
    wanted = len(signature.classes)
    agrees = features == len(signature.columns) and targets == 1 and classes == (wanted if wanted > 2 else 0)
    if not agrees or (wanted > 0) != (objective in _PROBABILITIES):
        raise PackageRefused(f"{BOOSTER_FILE} takes or gives other numbers than the signature says")


def _apart(data: bytes) -> tuple[bytes, list[slice]]:
    """The JSON without its trees, and where in ``data`` each of these is; raises ValueError.

    So that no more than a tree is parsed at once, which nobody can interrupt. XGBoost writes no blanks, and each tree
    ends with an object inside it. Where a tree is taken to end too early, what is before it is no JSON by itself; and
    a JSON value that begins at some place ends at one alone, so what is found is what any other reader finds.
    """
    start = end = data.index(_TREES) + len(_TREES)
    trees: list[slice] = []
    while data[end : end + 1] == (b"," if trees else b"{"):
        begin = end + 1 if trees else end
        end = data.index(b"}}", begin) + 2
        trees.append(slice(begin, end))
    around = data[:start] + data[end:]
    if around.count(_TREES) != 1:
        raise ValueError("more than one array of trees")
    return around, trees


def _read_as_xgboost_does(around: bytes) -> Any:
    """What is in the JSON; raises ValueError for names that are there twice, or spelled as XGBoost does not read them.

    It leaves ``\\u0061`` as it stands, and takes what begins otherwise than with ``{"`` for another format.
    """
    orjson.loads(around)  # which knows how deep is too deep
    if not around.startswith(b'{"') or _ESCAPED.search(around):
        raise ValueError("not as XGBoost writes it")
    return json.loads(around, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name that is there twice")
    return found


def _tree(text: bytes) -> dict[str, Any]:
    """One tree; its names stand before the only colons, so that these tell whether one is there twice."""
    tree: dict[str, Any] = orjson.loads(text)
    if b"\\" in text or text.count(b":") != len(tree) + len(tree["tree_param"]):
        raise ValueError("not as XGBoost writes it")
    return tree


def _natural(text: str) -> int:
    """``text`` as a number; XGBoost would read some others otherwise than Python, as 1_0."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError("no number")
    return int(text)


def _fit_together(model: dict[str, Any], trees: int, groups: int) -> bool:
    """Whether each tree is for one of the ``groups`` of answers, and the rounds of training end at the last tree."""
    group, ends = (np.array(model[key], np.int64) for key in ("tree_info", "iteration_indptr"))
    known = group.shape == (trees,) and bool(((group >= 0) & (group < groups)).all())
    return known and ends.size > 0 and ends[0] == 0 and ends[-1] == trees and bool((np.diff(ends) >= 0).all())


def _is_sound(tree: dict[str, Any], number: int, features: int) -> bool:
    """Whether ``tree`` leads somewhere and stands at the place that it names, where XGBoost puts it."""
    names = ("left_children", "right_children", "split_indices", "parents")
    left, right, split, parents = (np.array(tree[key], np.int64) for key in names)
    about = tree["tree_param"]
    nodes = _natural(about["num_nodes"])
    each = (*names, "split_conditions", "default_left", "base_weights", "split_type")
    if nodes < 1 or any(len(tree[key]) != nodes for key in each):
        return False
    if any(tree["split_type"]) or any(tree[key] for key in _OF_CATEGORIES):
        return False
    if tree["id"] != number or about["size_leaf_vector"] not in {"0", "1"}:
        return False
    inner = left != -1
    fits = bool(((split[inner] >= 0) & (split[inner] < features)).all()) and bool(((right != -1) == inner).all())
    if not (fits and is_tree(left[inner], right[inner], nodes=nodes)):
        return False
    # The library walks upwards too, to find the depth of a tree; the root's own parent is a number that is none.
    wanted = np.full(nodes, _NO_PARENT)
    for side in (left[inner], right[inner]):
        wanted[side] = np.flatnonzero(inner)
    # Nodes that were pruned stay in the arrays, with the parent that they had: one that came before them.
    pruned = (wanted == _NO_PARENT) & (parents >= 0) & (parents < np.arange(nodes))
    return bool((pruned | (parents == wanted)).all())
