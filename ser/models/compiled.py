"""What scikit-learn's compiled code believes of a model: looked at before it runs.

Trees, neighbours and support vectors are arrays of indices and counts, which C code follows without
a bound: a made-up one ends the process, reads elsewhere in memory, or never ends.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.neighbors import BallTree, KDTree
from sklearn.tree._tree import Tree

from ser.models.archives import SCHEMA
from ser.models.networks.module_classifier import ModuleClassifier

MAX_JOBS = 1024  # threads that a model may ask for
MAX_POOL = 64  # of a random generator's seeds; NumPy's has 4
_LEAF = -1


def check_trees(data: bytes, trusted: Sequence[str]) -> None:
    """Refuse a skops file with a tree or a random generator that cannot be built as it says.

    Parameters
    ----------
    data : bytes
        What `archives.check_archive` took.
    trusted : sequence of str
        Types that it may hold besides those that skops trusts.

    Raises
    ------
    ValueError
        If there is one.
    """
    from skops.io._audit import get_tree  # nothing public stops before a tree is built
    from skops.io._utils import LoadContext

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read(SCHEMA))
        context = LoadContext(src=archive, protocol=schema["protocol"])
        _check_nodes(get_tree(schema, context, trusted=trusted), set())


def _check_nodes(node: Any, seen: set[int]) -> None:
    """Each tree below a node of skops, from the inside out."""
    if isinstance(node, dict | list):
        for inner in node.values() if isinstance(node, dict) else node:
            _check_nodes(inner, seen)
    elif hasattr(node, "children") and id(node) not in seen:
        seen.add(id(node))
        _check_nodes(node.children, seen)
        kind = type(node).__name__
        if kind == "TreeNode":
            _check_tree(node.children["args"].construct(), node.children["attrs"].construct())
        elif node.class_name == "Tree" and kind != "TypeNode":
            raise ValueError("a tree in it is not written as one")
        elif kind == "RandomGeneratorNode":  # mixes as many numbers with each other as it is told
            pool_size = node.children["seed_seq_state"].construct()["pool_size"]
            _require(pool_size <= MAX_POOL, "a random generator")


def _check_tree(arguments: tuple[Any, ...], state: dict[str, Any]) -> None:
    """What ``sklearn.tree._tree.Tree`` is made of."""
    n_features, n_classes, n_outputs = arguments
    nodes, n_classes = state["nodes"], np.asarray(n_classes)
    _require(n_classes.shape == (n_outputs,) and n_outputs > 0 and n_classes.min() > 0, "a tree")
    _require(nodes.shape == (state["node_count"],), "a tree")
    is_inner = nodes["left_child"] != _LEAF
    _check_splits(nodes, ("left_child", "right_child"), is_inner)
    _check_indices(nodes["feature"][is_inner], n_features, "a tree's features")


def check_parts(pipeline: object) -> None:
    """Refuse a pipeline that compiled code would follow out of its arrays.

    Raises
    ------
    ValueError
        If a part of it has indices, counts or shapes that do not fit each other.
    """
    for part in _parts(pipeline):
        if isinstance(part, KDTree | BallTree):
            _check_neighbours(part)
        if isinstance(part, ModuleClassifier) and hasattr(part, "weights_"):
            part.check_weights()
        held = getattr(part, "__dict__", {})
        for attribute, check in _CHECKS.items():
            if attribute in held:
                check(part)


def _parts(pipeline: object) -> Iterator[object]:
    """Everything that an object holds, and what that holds."""
    waiting, seen = [pipeline], {}
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type | None):
            continue
        seen[id(part)] = part
        yield part
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list | tuple | set):
            waiting += part
        elif isinstance(part, np.ndarray) and part.dtype.hasobject:
            waiting += part.ravel().tolist()
        else:
            waiting += getattr(part, "__dict__", {}).values()


def _check_neighbours(tree: KDTree | BallTree) -> None:
    points, index, nodes, bounds = (np.asarray(array) for array in tree.get_arrays())
    metric = tree.__getstate__()[11]
    weights = metric.__getstate__()[1]
    n_points, n_columns = points.shape
    n_views = 2 if isinstance(tree, KDTree) else 1
    _require(bounds.shape == (n_views, len(nodes), n_columns) and len(nodes) > 0, "neighbours")
    is_weighted = type(metric).__name__.startswith("Minkowski") and len(weights)
    _require(not is_weighted or len(weights) == n_columns, "neighbours")
    _require(index.shape == (n_points,), "neighbours")
    _check_indices(index, n_points, "neighbours")
    _require((nodes["idx_start"] >= 0).all() and (nodes["idx_end"] <= n_points).all(), "neighbours")
    children = 2 * np.flatnonzero(nodes["is_leaf"] == 0) + 2
    _check_indices(children, len(nodes), "neighbours")


def _check_fitted_tree(estimator: Any) -> None:
    if isinstance(estimator.tree_, Tree):
        _require_grown(estimator.tree_, estimator.n_features_in_)


def _require_grown(tree: Tree, n_features: int) -> None:
    _require(tree.n_features == n_features and tree.node_count > 0, "a tree")


def _check_boosting(estimator: Any) -> None:
    if (trees := getattr(estimator, "estimators_", None)) is None:
        return  # of histograms: see below
    _require(trees.ndim == 2 and trees.shape[1] == estimator.n_trees_per_iteration_, "boosting")
    for tree in trees.ravel():
        _require_grown(tree.tree_, estimator.n_features_in_)
    first = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), np.float32))
    _require(first.shape == (1, trees.shape[1]), "boosting")


def _check_histogram_boosting(estimator: Any) -> None:
    n_features, columns = estimator.n_features_in_, estimator._bin_mapper.is_categorical_
    _require(np.shape(columns) == (n_features,), "boosting")
    for predictor in (predictor for trees in estimator._predictors for predictor in trees):
        nodes = predictor.nodes
        _require(nodes.ndim == 1 and len(nodes) > 0, "boosting")
        is_inner = nodes["is_leaf"] == 0
        _check_splits(nodes, ("left", "right"), is_inner)
        _check_indices(nodes["feature_idx"][is_inner], n_features, "boosting's features")
        by_category = nodes[is_inner & (nodes["is_categorical"] != 0)]
        _check_indices(by_category["bitset_idx"], len(predictor.raw_left_cat_bitsets), "boosting")
        _require(np.asarray(columns, bool)[by_category["feature_idx"]].all(), "boosting")


def _check_training_rows(estimator: Any) -> None:
    """Of nearest neighbours: the clips that it keeps, and their labels."""
    rows = estimator._fit_X
    _require(rows.shape == (estimator.n_samples_fit_, estimator.n_features_in_), "neighbours")
    tree = getattr(estimator, "_tree", None)
    _require(tree is None or np.asarray(tree.data).shape == rows.shape, "neighbours")
    if hasattr(estimator, "classes_"):
        _require(estimator._y.shape == rows.shape[:1], "neighbours")
        _check_indices(estimator._y, len(estimator.classes_), "neighbours' labels")


def _check_support(estimator: Any) -> None:
    counts, (n_vectors, n_columns) = estimator._n_support, estimator.support_vectors_.shape
    n_classes = len(counts)
    _require(not estimator._sparse and estimator.kernel != "precomputed", "support vectors")
    _require(n_columns == estimator.n_features_in_, "support vectors")
    _require(n_classes > 1 and (counts >= 0).all(), "support vectors")
    if hasattr(estimator, "classes_"):
        _require(counts.sum() == n_vectors, "support vectors")
        _require(len(estimator.classes_) == n_classes, "support vectors")
    _require(estimator.support_.shape == (n_vectors,), "support vectors")
    _require(estimator._dual_coef_.shape == (n_classes - 1, n_vectors), "support vectors")
    n_pairs = n_classes * (n_classes - 1) // 2
    _require(estimator._intercept_.shape == (n_pairs,), "support vectors")
    for values in (estimator._probA, estimator._probB):
        _require(values.shape in ((0,), (n_pairs,)), "support vectors")


def _check_centres(estimator: Any) -> None:
    _require(estimator.cluster_centers_.shape[1:] == (estimator.n_features_in_,), "clusters")


def _check_jobs(estimator: Any) -> None:
    n_jobs = estimator.n_jobs
    _require(n_jobs is None or abs(n_jobs) <= MAX_JOBS, "n_jobs")


# Attribute of a fitted estimator that compiled code (or a pool of threads) is given -> its check.
_CHECKS = {
    "tree_": _check_fitted_tree,
    "n_trees_per_iteration_": _check_boosting,
    "_predictors": _check_histogram_boosting,
    "n_samples_fit_": _check_training_rows,
    "_n_support": _check_support,
    "cluster_centers_": _check_centres,
    "n_jobs": _check_jobs,
}


def _check_splits(nodes: np.ndarray, children: tuple[str, str], is_inner: np.ndarray) -> None:
    """Children stand behind their parent: whoever goes down arrives at a leaf."""
    _require(len(nodes) > 0, "a tree")
    parents = np.flatnonzero(is_inner)
    for side in children:
        child = nodes[side][is_inner].astype(np.int64)
        _require((child > parents).all() and (child < len(nodes)).all(), "a tree's nodes")


def _check_indices(indices: np.ndarray, end: int, what: str) -> None:
    _require(((indices >= 0) & (indices < end)).all(), what)


def _require(fits: object, what: str) -> None:
    if not fits:
        raise ValueError(f"the numbers of {what} in it do not fit each other")
