"""Features of a clip whose sound is changed first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ser.features import FeatureSet, check_ready, stored_dtype


@dataclass(frozen=True, kw_only=True)
class OtherSound(ABC):
    """What copies to learn from and alterations to check with have in common.

    Parameters
    ----------
    features : FeatureSet
        What is computed of the changed clip.
    """

    features: FeatureSet

    @abstractmethod
    def sound(self, y: np.ndarray, sr: int) -> np.ndarray:
        """The changed clip: what a person would listen to.

        Parameters
        ----------
        y : (n_samples,) float32
        sr : int
            Hz.

        Returns
        -------
        (n_changed,) float32
        """

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names: those of the features."""
        return self.features.names

    @property
    def stored(self) -> str:
        """In what precision the store keeps it: that of the features."""
        return stored_dtype(self.features).str

    @property
    def min_samples(self) -> int:
        """Samples that a clip must have."""
        return self.features.min_samples

    def check(self) -> None:
        """See `ser.features.check_ready`."""
        check_ready(self.features)

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        """Feature vector of the changed clip: (len(names),) float32."""
        return self.features(self.sound(y, sr), sr)
