"""What a model needs from outside of ser and scikit-learn, by name."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from ser.core.errors import SerError
from ser.core.trust import load_by_name
from ser.features import classes_in, is_ours
from ser.models.archives import check_archive, with_plain_matrices
from ser.models.lean_skops import skops_io

# Besides what skops trusts by itself a model may hold scikit-learn's and ser's estimators, and what
# these hold: containers of numbers, and a function. What it holds else must be trusted by name.
ESTIMATORS = ("sklearn", "ser.models")
PARTS = (
    "numpy.dtype",
    *("scipy.sparse._csr.csr_array", "scipy.sparse._csr.csr_matrix"),
    *("scipy.sparse._csc.csc_array", "scipy.sparse._csc.csc_matrix"),
    "ser.models.selection.mutual_information",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    *(
        f"sklearn.metrics._dist_metrics.{name}Distance64"
        for name in ("Euclidean", "Manhattan", "Chebyshev", "Minkowski")
    ),
)


def dumped(pipeline: Pipeline) -> bytes:
    """A pipeline as a skops file, fitted or not.

    Raises
    ------
    SerError
        If skops cannot write it.
    """
    skops = skops_io()  # before its other modules
    from skops.io.exceptions import UnsupportedTypeException

    try:
        data = with_plain_matrices(skops.dumps(pipeline))
        check_archive(data)
    except (UnsupportedTypeException, TypeError, ValueError) as error:
        raise SerError(f"The model cannot be saved: {error}") from error
    return data


def names(data: bytes, features: Mapping[str, Any]) -> list[str]:
    """Classes and functions that a model needs from outside; nothing is imported for it.

    Parameters
    ----------
    data : bytes
        The pipeline, as a skops file.
    features : mapping
        `settings` of the feature set.
    """
    classes = sorted(name for name in classes_in(features) if not is_ours(name))
    types = skops_io().get_untrusted_types(data=data)
    outside = [*classes, *(name for name in types if not is_harmless(name)), *_networks(data)]
    return list(dict.fromkeys(outside))


def _networks(data: bytes) -> list[str]:
    """Networks outside of ser's that `NetClassifier` would import: each ``_target_`` in a file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read("schema.json"))
    ours = "ser.models.networks."
    return sorted(name for name in set(_targets(schema)) if not name.startswith(ours))


def _targets(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if "_target_" in node:
            value = node["_target_"]
            is_text = isinstance(value, dict) and value.get("__loader__") == "JsonNode"
            yield str(json.loads(value["content"])) if is_text else "a name that is not readable"
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from _targets(inner)


def modules(data: bytes, features: Mapping[str, Any]) -> list[str]:
    """The modules that these are in.

    Raises
    ------
    SerError
        If one of them is not found by its name.
    """
    outside = names(data, features)
    for name in outside:
        _check_importable(name)
    return sorted({name.rpartition(".")[0] for name in outside})


def _check_importable(name: str) -> None:
    try:
        if name.startswith("__main__."):
            raise SerError("it is defined in a script or a notebook.")
        load_by_name(name)
    except SerError as error:
        raise SerError(
            f"A model with {name} could not be loaded again: {error} Define it by its name in a "
            "module that can be imported."
        ) from error


def is_harmless(name: str) -> bool:
    """Whether a type is an estimator that calls no function of the file's choice, or one's part."""
    if name in PARTS:
        return True
    module, _, attribute = name.rpartition(".")
    if not any(module == known or module.startswith(f"{known}.") for known in ESTIMATORS):
        return False
    with suppress(ImportError):
        kind = getattr(import_module(module), attribute, None)
        return (
            isinstance(kind, type)
            and issubclass(kind, BaseEstimator)
            and not issubclass(kind, FunctionTransformer)
        )
    return False
