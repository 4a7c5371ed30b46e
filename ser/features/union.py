"""Several feature sets side by side, each extracted and stored for itself: a union of columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from ser.core.errors import SerError
from ser.features import FeatureSet


@dataclass(frozen=True, kw_only=True)
class UnionFeatures:
    """Columns of several sets, one after the other, named ``set.column``.

    Parameters
    ----------
    sets : mapping of str to FeatureSet
        A set of None is left out.

    Raises
    ------
    SerError
        If there is no set.
    """

    sets: Mapping[str, FeatureSet]

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        sets = {name: features for name, features in self.sets.items() if features is not None}
        if not sets:
            raise SerError("features.sets is empty: add +features@features.sets.prosody=prosody.")
        object.__setattr__(self, "sets", sets)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names, in the order of the vector."""
        return tuple(
            f"{name}.{column}" for name, features in self.sets.items() for column in features.names
        )

    @property
    def min_samples(self) -> int:
        """Samples that the most demanding set needs."""
        return max(features.min_samples for features in self.sets.values())

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        """Feature vector of one clip.

        Parameters
        ----------
        y : (n_samples,) float32
        sr : int
            Sampling rate, in Hz.

        Returns
        -------
        (len(names),) float32
        """
        return np.concatenate([features(y, sr) for features in self.sets.values()])
