"""Features: audio samples -> one vector (or one sequence) per clip.

A feature set is a frozen dataclass whose fields are its settings. It has

- `names`: tuple of str, one name per column;
- `min_samples`: int, the samples that one analysis frame needs;
- `version`: class variable, raised whenever the same settings would give other numbers;
- `package`: class variable of a set that another package computes: its name, whose version counts;
- `__call__(y, sr)`: y (n_samples,) float32 -> (len(names),) float32.

It sees no label and fits nothing, so a clip's features are computed once and kept
(`ser.features.store`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, Protocol

import numpy as np

from ser.core.errors import SerError


class FeatureSet(Protocol):
    """What the store and the served model ask of a feature set (see the package's docstring)."""

    version: ClassVar[int]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names."""

    @property
    def min_samples(self) -> int:
        """Samples that one analysis frame needs."""

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        """Vector of one clip."""


def settings(feature_set: FeatureSet) -> dict[str, object]:
    """Everything that decides a feature set's numbers: its class, version and fields.

    A field that is None asks for nothing and is left out, so that a new one of this kind leaves
    what is stored and trained under the old settings as it is. A field that is a feature set, or a
    mapping of some, is written the same way (`restore` reads it back).

    >>> from ser.features.notebook import NotebookFeatures
    >>> settings(NotebookFeatures(chroma=False))["chroma"]
    False
    """
    kind = type(feature_set)
    values = {f.name: getattr(feature_set, f.name) for f in fields(feature_set)}  # type: ignore[arg-type]
    return {
        "_target_": f"{kind.__module__}.{kind.__qualname__}",
        "version": kind.version,
        **_made_by(kind),
        **{name: _written(value) for name, value in values.items() if value is not None},
    }


def restore(wanted: Mapping[str, Any]) -> FeatureSet:
    """The feature set whose `settings` these are.

    Raises
    ------
    SerError
        If they name something else than a feature set of ser, or another version of one.
    """
    module, _, name = wanted["_target_"].rpartition(".")
    # A name from a file must not choose what is imported: only feature sets of this package.
    kind = None
    if re.fullmatch(r"ser\.features\.[a-z0-9_]+", module):
        with suppress(ImportError):
            kind = getattr(import_module(module), name, None)
    if not (isinstance(kind, type) and kind.__module__ == module and hasattr(kind, "version")):
        raise SerError(f"{wanted['_target_']} is not a feature set of ser.")
    if kind.version != wanted["version"]:
        raise SerError(
            f"The model was trained on version {wanted['version']} of {name}; this ser computes "
            f"version {kind.version}, with other numbers. Use the ser that trained it."
        )
    # Another version of the package that computes a set is said, not refused: tracking.registry.
    values = {k: v for k, v in wanted.items() if k not in ("_target_", "version", "made_by")}
    return kind(**{name: _read(value) for name, value in values.items()})


def _made_by(kind: type) -> dict[str, str]:
    """The package outside ser that computes a set, in its version; in no file of an older ser's."""
    package = getattr(kind, "package", None)
    try:
        return {"made_by": f"{package} {version(package)}"} if package else {}
    except PackageNotFoundError:  # nothing can be computed then, only spoken of
        return {}


def _written(value: object) -> object:
    if hasattr(value, "version"):
        return settings(value)  # type: ignore[arg-type]
    if isinstance(value, Mapping):
        return {key: _written(one) for key, one in value.items()}
    return value


def _read(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    return restore(value) if "_target_" in value else {k: _read(v) for k, v in value.items()}
