"""LightGBM's trees as they are, from its own text, for those that no graph answers like.

A package names this runtime only when the person who packed the model agreed that the server needs LightGBM.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import PackageRefused
from ..tensors import Signature
from .boosted import BoostedSession, is_tree, require_numbers, unhurried
from .libraries import for_good
from .protocol import Session, VerifiedArtifact

log = logging.getLogger(__name__)

TREES_FILE = "model.lightgbm.txt"

_CATEGORICAL = 1
# The library's reader is lenient, and takes other values than we would from what is written otherwise than it writes:
# it drops what is empty between two '=', seeks a tree's names beyond the ends of lines, and ends a tree at a blank line
# or after 22 others. Of what has these forms, both read the same.
_HEAD = re.compile(r"(?:(?:[a-z_]+(?:=[^\n]*)?)?\n)*")
_TREE = re.compile(r"Tree=[0-9]+\n(?:[a-z_]+=[-+.0-9a-zA-Z ]*\n){1,22}\n+")
_SIZES = "tree_sizes"


class LightgbmRuntime:
    """Loads text that LightGBM wrote and whose trees were looked at first; nothing in it is code.

    LightGBM's threads do not survive a fork, so sessions are built in each worker.
    """

    name = "lightgbm"
    fork_safe = False
    framework = "lightgbm"

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        """A session on the trees in ``model.lightgbm.txt``.

        Raises PackageRefused when LightGBM is not installed, and when the file is not LightGBM's or does not fit the
        signature.
        """
        where = f"{artifact.name}/{artifact.version}"
        data = artifact.files.get(TREES_FILE)
        if data is None:
            raise PackageRefused(f"{where}: the package has no {TREES_FILE}")
        try:
            return open_lightgbm(data, artifact.signature, threads=threads)
        except PackageRefused as refused:
            raise PackageRefused(f"{where}: {refused}") from None


def open_lightgbm(data: bytes, signature: Signature, *, threads: int = 1) -> Session:
    """A session on the text in ``data``; raises PackageRefused as ``load`` does."""
    require_numbers(signature)
    text = checked_text(data, signature)
    try:
        with for_good():
            import lightgbm
    except ImportError:
        remedy = "run `pip install 'secure-ml-api[lightgbm]'` where it serves"
        raise PackageRefused(f"LightGBM itself runs this model and is not installed; {remedy}") from None
    try:
        lightgbm.register_logger(log)  # otherwise it prints
        booster = lightgbm.Booster(model_str=text)
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise PackageRefused(f"{TREES_FILE} does not load ({type(error).__name__}); pack the model again") from None

    def predict(rows: Any) -> Any:
        return booster.predict(rows, num_threads=threads)

    return BoostedSession(predict, signature)


def checked_text(data: bytes, signature: Signature) -> str:
    """``data`` as text for LightGBM; raises PackageRefused unless it holds LightGBM's trees and they fit ``signature``.

    The library reads where the text tells it to, without looking where the arrays end, so that is looked at here. The
    line with the sizes of the trees, which would have it jump, is left out: it then reads one after the other.
    """
    try:
        text = data.decode("utf-8")
        end = text.index("\nend of trees") + 1
        if not text.startswith("tree\n") or "\r" in text or "\0" in text:
            raise ValueError("the text is not whole, or has other ends of lines")
        starts = list(_starts(text, end))
        head = text[: starts[0]]
        names = _pairs(head)
        features, groups, classes = (
            _natural(names[key]) for key in ("max_feature_idx", "num_tree_per_iteration", "num_class")
        )
        features += 1
        trees = (text[first:last] for first, last in pairwise([*starts, end]))
        sound = all(_is_sound(_pairs(tree), features) for tree in unhurried(trees)) and len(starts) % groups == 0
    except (ValueError, LookupError, OverflowError, ZeroDivisionError):
        raise PackageRefused(f"{TREES_FILE} is no model of LightGBM's in text; pack the model again") from None
    if not sound:
        raise PackageRefused(f"{TREES_FILE} holds trees that lead nowhere, or lines in their leaves")
    wanted = len(signature.classes)
    agrees = features == len(signature.columns) and classes == groups == (wanted if wanted > 2 else 1)
    if not agrees or not _is_for(names.get("objective", ""), wanted):
        raise PackageRefused(f"{TREES_FILE} takes or gives other numbers than the signature says")
    kept = (line for line in head.split("\n") if line.partition("=")[0] != _SIZES)
    return "\n".join(kept) + text[len(head) :]


def _starts(text: str, end: int) -> Iterator[int]:
    """Where each tree begins before ``end``: after the end of a line, by its number; raises ValueError for others."""
    at = text.find("\nTree=", 0, end)
    while at >= 0:
        number = text[at + 6 : text.index("\n", at + 1)]
        if not (number.isascii() and number.isdigit()):
            raise ValueError("a tree without a number")
        yield at + 1
        at = text.find("\nTree=", at + 1, end)


def _pairs(block: str) -> dict[str, str]:
    """The values in the head or in a tree, by their names; raises ValueError unless LightGBM reads the same."""
    if (_TREE if block.startswith("Tree=") else _HEAD).fullmatch(block) is None:
        raise ValueError("not as LightGBM writes it")
    lines = [line for line in block.split("\n") if line]
    found = {key: value for key, _, value in (line.partition("=") for line in lines)}
    if len(found) != len(lines):
        raise ValueError("a name that is there twice")
    return found


def _natural(text: str) -> int:
    """``text`` as a number; LightGBM would read some others otherwise than Python, as 1_0."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError("no number")
    return int(text)


def _is_for(objective: str, classes: int) -> bool:
    """Whether ``objective`` is for so many; LightGBM writes as many probabilities as the objective itself says."""
    if classes > 2:
        return re.fullmatch(rf"multiclass(ova)? num_class:{classes}( sigmoid:[-+.0-9e]+)?", objective) is not None
    if "multiclass" in objective or "num_class" in objective:
        return False
    return (objective.partition(" ")[0] == "binary") == (classes == 2)


def _is_sound(tree: Mapping[str, str], features: int) -> bool:
    leaves, categories = int(tree["num_leaves"]), int(tree["num_cat"])
    inner = leaves - 1
    if leaves < 1 or tree.get("is_linear", "0") != "0" or len(_numbers(tree["leaf_value"])) != leaves:
        return False
    if inner == 0:
        return True
    split, left, right, kind = (
        _whole(tree[key]) for key in ("split_feature", "left_child", "right_child", "decision_type")
    )
    thresholds = _numbers(tree["threshold"])
    if any(len(each) != inner for each in (split, left, right, kind, thresholds)):
        return False
    # Leaves are numbered −1, −2 …: here they follow the inner nodes.
    left, right = (np.where(side < 0, inner - 1 - side, side) for side in (left, right))
    fits = bool(((split >= 0) & (split < features)).all()) and is_tree(left, right, nodes=inner + leaves)
    return fits and _knows_categories(tree, thresholds[kind & _CATEGORICAL != 0], categories)


def _knows_categories(tree: Mapping[str, str], asked: np.ndarray[Any, Any], categories: int) -> bool:
    """Whether each split on categories names a set that is there."""
    if categories == 0:
        return asked.size == 0
    ends, words = _whole(tree["cat_boundaries"]), _whole(tree["cat_threshold"])
    ordered = (
        len(ends) == categories + 1 and ends[0] == 0 and ends[-1] == len(words) and bool((np.diff(ends) >= 0).all())
    )
    return ordered and bool(((asked >= 0) & (asked < categories)).all())


def _whole(text: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(text.split(), dtype=np.int64)


def _numbers(text: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(text.split(), dtype=np.float64)
