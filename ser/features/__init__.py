"""Features: audio samples -> one vector (or one sequence) per clip.

A feature set is a frozen dataclass whose fields are its settings. It has

- `names`: tuple of str, one name per column;
- `min_samples`: int, the samples that one analysis frame needs;
- `version`: class variable, raised whenever the same settings would give other numbers;
- `sr`, where it can resample: the rate in Hz that every clip is brought to first, or None for each
  clip's own. Clips of several rates need one (`ser.features.resampling.at_one_rate`). Where it is a
  field and set, `RESAMPLING` counts like a version;
- `package`: class variable of a set that another package computes: its name, whose version counts;
- `stored`: class variable of a set whose numbers the store keeps in another precision than float32,
  as NumPy names it, little-endian; it gives numbers that this precision holds;
- `check()`, where there is something that may be missing besides the clip: raises a SerError;
- `__call__(y, sr)`: y (n_samples,) float32 -> (len(names),) float32.

It sees no label and fits nothing, so a clip's features are computed once and kept
(`ser.features.store`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, Protocol

import numpy as np

from ser.core.errors import SerError
from ser.core.trust import is_trusted, load_by_name

RESAMPLING = 2  # raised when `ser.features.resampling` gives other numbers; 1 was in no file


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


def check_bounds(
    feature_set: FeatureSet, bounds: Mapping[str, tuple[float, float]], *, group: str = "features"
) -> None:
    """Refuse a setting that is out of its bounds, both allowed.

    Raises
    ------
    SerError
    """
    for name, (low, high) in bounds.items():
        value = getattr(feature_set, name)
        if not low <= value <= high:
            raise SerError(f"{group}.{name}={value} is not in {low} .. {high:.7g}.")


def feature_groups(names: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns that belong together: what stands before the first ``_`` of their names.

    >>> feature_groups(["mel_000", "mel_001", "mfcc_00"])
    {'mel': array([0, 1]), 'mfcc': array([2])}
    """
    group = np.array([name.split("_")[0] for name in names])
    return {name: np.flatnonzero(group == name) for name in dict.fromkeys(group.tolist())}


def settings(feature_set: FeatureSet) -> dict[str, object]:
    """Everything that decides a feature set's numbers: its class, version and fields.

    A field whose metadata has ``place`` says where to find something, not what: it is left out. A
    field that is None asks for nothing and is left out, so that a new one of this kind leaves
    what is stored and trained under the old settings as it is. A field that is a feature set, or a
    mapping of some, is written the same way (`restore` reads it back).

    >>> from ser.features.notebook import NotebookFeatures
    >>> settings(NotebookFeatures(chroma=False))["chroma"]
    False
    """
    kind = type(feature_set)
    deciding = [f.name for f in fields(feature_set) if not f.metadata.get("place")]  # type: ignore[arg-type]
    values = {name: getattr(feature_set, name) for name in deciding}
    return {
        "_target_": _name(kind),
        "version": kind.version,
        **_made_by(kind),
        **({"resampling": RESAMPLING} if values.get("sr") else {}),
        **{name: _written(value) for name, value in values.items() if value is not None},
    }


def check_ready(feature_set: FeatureSet) -> None:
    """Refuse to begin where what a set needs besides clips is not there: once, before the first.

    Raises
    ------
    SerError
    """
    for part in getattr(feature_set, "sets", {"": feature_set}).values():
        getattr(part, "check", lambda: None)()


def stored_dtype(feature_set: FeatureSet) -> np.dtype:
    """In what precision the store keeps a set's numbers."""
    return np.dtype(getattr(feature_set, "stored", "<f4"))


def restore(wanted: Mapping[str, Any], *, trust: Sequence[str] = ()) -> FeatureSet:
    """The feature set whose `settings` these are.

    Parameters
    ----------
    wanted : mapping
    trust : sequence of str
        Packages outside of ser whose feature sets may be imported: see `ser.core.trust`.

    Raises
    ------
    SerError
        If they name something else than a feature set of ser or of a trusted package, or another
        version of one.
    """
    target = wanted["_target_"]
    # A name from a file must not choose what is imported.
    if is_ours(target):
        kind = _ours(target)
    elif is_trusted(target, trust):
        kind = load_by_name(target)
    else:
        raise SerError(f"{target} is not a feature set of ser, nor of a package that is trusted.")
    if not (isinstance(kind, type) and _name(kind) == target and hasattr(kind, "version")):
        raise SerError(f"{target} is not a feature set of {target.partition('.')[0]}.")
    if kind.version != wanted["version"]:
        raise SerError(
            f"The model was trained on version {wanted['version']} of {kind.__name__}; here is "
            f"version {kind.version}, with other numbers. Use the code that trained it."
        )
    # Another version of the package that computes a set is said, not refused: tracking.registry.
    about = ("_target_", "version", "made_by", "resampling")
    values = {k: v for k, v in wanted.items() if k not in about}
    places = {of.name for of in fields(kind) if of.metadata.get("place")} & set(values)
    if places:  # a file must not choose what is fetched or opened
        raise SerError(
            f"{kind.__name__} cannot be read with {', '.join(sorted(places))} in a file."
        )
    return kind(**{name: _read(value, trust) for name, value in values.items()})


def classes_in(wanted: object) -> set[str]:
    """Names of all classes in the `settings` of a feature set: its own, and those of its fields.

    >>> sorted(classes_in({"_target_": "a.Union", "sets": {"b": {"_target_": "a.B", "sr": 16}}}))
    ['a.B', 'a.Union']
    """
    if not isinstance(wanted, Mapping):
        return set()
    own = {str(wanted["_target_"])} if "_target_" in wanted else set()
    return own.union(*map(classes_in, wanted.values()))


def is_ours(name: str) -> bool:
    """Whether a class is named in a module of this package."""
    return re.fullmatch(r"ser\.features\.[a-z0-9_]+\.\w+", name) is not None


def _ours(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    with suppress(ImportError):
        return getattr(import_module(module), attribute, None)
    return None


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


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
        return {key: _written(inner) for key, inner in value.items()}
    return value


def _read(value: object, trust: Sequence[str]) -> object:
    if not isinstance(value, Mapping):
        return value
    if "_target_" in value:
        return restore(value, trust=trust)
    return {key: _read(inner, trust) for key, inner in value.items()}
