"""Features: audio samples -> one vector (or one sequence) per clip.

A feature set is a frozen dataclass whose fields are its settings. It has

- `names`: tuple of str, one name per column;
- `min_samples`: int, the samples that one analysis frame needs;
- `version`: class variable, raised whenever the same settings would give other numbers;
- `__call__(y, sr)`: y (n_samples,) float32 -> (len(names),) float32.

It sees no label and fits nothing, so a clip's features are computed once and kept (`ser.store`).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import ClassVar, Protocol

import numpy as np


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
    what is stored and trained under the old settings as it is.

    >>> from ser.features.notebook import NotebookFeatures
    >>> settings(NotebookFeatures(chroma=False))["chroma"]
    False
    """
    kind = type(feature_set)
    return {
        "_target_": f"{kind.__module__}.{kind.__qualname__}",
        "version": kind.version,
        **{k: v for k, v in asdict(feature_set).items() if v is not None},  # type: ignore[call-overload]
    }
