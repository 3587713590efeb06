"""An isolation forest as one tree-ensemble operator, where the stock graph has some forty nodes for each tree."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..table import Array
from .writer import ML, Inapplicable, Writer

_LEAF = -1


def convert_isolation_forest(scope: Any, operator: Any, container: Any) -> None:
    """score = −2^(−E[h(x)] / c(ψ)) − offset, and label −1 where the score is below 0, otherwise 1.

    The formula is that of Liu, Ting and Zhou (2008) as scikit-learn has it. A leaf at depth d of a tree, in which n
    training rows ended, has path length d + c(n). Leaves hold −ln 2 / (c(ψ) · trees) times their path length, so the
    operator's sum is the exponent of e and one Exp is all that is left of the formula.
    """
    writer = Writer(scope, operator, container)
    forest = writer.model
    given = writer.given if writer.dtype is np.float32 else writer.cast(writer.given, np.float32)
    exponent = writer.node("TreeEnsembleRegressor", given, domain=ML, **_ensemble(forest))
    if writer.dtype is not np.float32:
        exponent = writer.cast(exponent, writer.dtype)
    likeness = writer.node("Exp", exponent)
    score = writer.node("Sub", writer.numbers([-float(forest.offset_)]), likeness, to=writer.outputs[1])
    below = writer.node("Less", score, writer.numbers([0.0]))
    writer.node("Where", below, writer.integers([-1]), writer.integers([1]), to=writer.outputs[0])


def _ensemble(forest: Any) -> dict[str, Any]:
    """The attributes of the operator: all nodes of all trees, and the weight of each leaf."""
    trees = [
        _tree(number, tree, features, path_lengths)
        for number, (tree, features, path_lengths) in enumerate(
            zip(forest.estimators_, forest.estimators_features_, _path_lengths(forest), strict=True)
        )
    ]
    lists: dict[str, Any] = {key: [item for tree in trees for item in tree[key]] for key in trees[0]}
    return {**lists, "n_targets": 1, "aggregate_function": "SUM", "post_transform": "NONE"}


def _tree(number: int, estimator: Any, features: Array, weights: Array) -> dict[str, list[Any]]:
    """The attributes of one tree, whose columns are ``features`` of the forest's and whose nodes weigh ``weights``."""
    tree = estimator.tree_
    nodes = np.arange(tree.node_count)
    inner = tree.children_left != _LEAF
    leaves = nodes[~inner]
    # The largest float32 that is not above: x <= threshold is then the same for every x in float32.
    nearest = tree.threshold.astype(np.float32)
    below = np.where(nearest > tree.threshold, np.nextafter(nearest, np.float32(-np.inf)), nearest)
    return {
        "nodes_treeids": [number] * len(nodes),
        "nodes_nodeids": nodes.tolist(),
        "nodes_featureids": np.where(inner, np.asarray(features)[np.where(inner, tree.feature, 0)], 0).tolist(),
        "nodes_modes": np.where(inner, "BRANCH_LEQ", "LEAF").tolist(),
        "nodes_values": np.where(inner, below, 0.0).astype(np.float32).tolist(),
        "nodes_truenodeids": np.where(inner, tree.children_left, 0).tolist(),
        "nodes_falsenodeids": np.where(inner, tree.children_right, 0).tolist(),
        "nodes_missing_value_tracks_true": (inner & (tree.missing_go_to_left != 0)).astype(int).tolist(),
        "target_treeids": [number] * len(leaves),
        "target_nodeids": leaves.tolist(),
        "target_ids": [0] * len(leaves),
        "target_weights": weights[leaves].tolist(),
    }


def _path_lengths(forest: Any) -> list[Array]:
    """For each tree, −ln 2 / (c(ψ) · trees) times the path length d + c(n) of each of its nodes."""
    whole = float(average_path_length(np.array([forest.max_samples_]))[0]) * len(forest.estimators_)
    if whole == 0:
        raise Inapplicable("a forest of trees that saw one row each")
    return [
        -np.log(2.0) / whole * (_depths(estimator.tree_) + average_path_length(estimator.tree_.n_node_samples))
        for estimator in forest.estimators_
    ]


def _depths(tree: Any) -> Array:
    """The number of edges from the root to each node; a parent stands before its children."""
    depths = np.zeros(tree.node_count)
    for node in range(tree.node_count):
        if tree.children_left[node] != _LEAF:
            depths[[tree.children_left[node], tree.children_right[node]]] = depths[node] + 1
    return depths


def average_path_length(rows: Array) -> Array:
    """c(n) = 2 (ln(n − 1) + γ) − 2 (n − 1) / n, the mean depth at which n rows are told apart; 0 for 1 and 1 for 2."""
    safe = np.maximum(np.asarray(rows, dtype=np.float64), 3.0)
    many = 2.0 * (np.log(safe - 1.0) + np.euler_gamma) - 2.0 * (safe - 1.0) / safe
    return np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, many))
