"""Each speaker's own mean and deviation removed: what a voice is like, taken out of how it sounds.

This is transductive. The statistics of a test speaker come from that speaker's test clips, without
their labels: the model needs to have met a speaker's voice, though not to know what it felt. A
number that was measured so must not stand beside one that was not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator

from ser.core.errors import SerError

MIN_CLIPS = 5  # of a speaker: the deviation of fewer says nothing


@dataclass(frozen=True, eq=False)
class Voice:
    """What one speaker's features are like, by some of their clips.

    Attributes
    ----------
    mean, deviation : (..., n_features) float64
        A deviation is 1 where the clips are all alike.
    n_clips : int
    """

    mean: np.ndarray
    deviation: np.ndarray
    n_clips: int

    def scaled(self, X: np.ndarray) -> np.ndarray:
        """The speaker's vectors in their own deviations from their own mean, as float32."""
        return ((X.astype(np.float64) - self.mean) / self.deviation).astype(np.float32)


def voice_of(X: np.ndarray) -> Voice:
    """The voice that clips of one speaker are of.

    Parameters
    ----------
    X : (n_clips, ..., n_features)
    """
    own = X.astype(np.float64)
    deviation = own.std(axis=0)
    return Voice(own.mean(axis=0), np.where(deviation > 0, deviation, 1), len(X))


class SpeakerScaler(BaseEstimator):
    """Standardise each column over the clips of each speaker.

    It stands before the Pipeline, not in it: it has nothing to learn from training clips and treats
    every speaker alike (z-normalisation per speaker, as Schuller et al. 2010, doi
    10.1109/T-AFFC.2010.8, compare it with others).
    """

    def check(self, speakers: np.ndarray) -> None:
        """Refuse clips of which a speaker has too few.

        Parameters
        ----------
        speakers : (n_clips,)
            Who speaks.

        Raises
        ------
        SerError
            If a speaker has fewer than `MIN_CLIPS` clips.
        """
        for speaker, count in zip(*np.unique(speakers, return_counts=True), strict=True):
            if count < MIN_CLIPS:
                raise SerError(
                    f"Speaker {speaker} has {count} clips; scaling each speaker by their own "
                    f"statistics needs at least {MIN_CLIPS}. Add clips, or train with another "
                    "scaler, which needs none of the speaker."
                )

    def transform(self, X: np.ndarray, speakers: np.ndarray) -> np.ndarray:
        """Subtract each speaker's mean and divide by the speaker's deviation.

        Parameters
        ----------
        X : (n_clips, n_features) or (n_clips, 1 + n_copies, n_features)
            Of augmented copies each is a voice of its own: the speaker's first, second, ...
        speakers : (n_clips,)
            Who speaks. All clips of a speaker that there are, training and test.

        Returns
        -------
        float32 array of X's shape
            A column that is constant for a speaker is 0.

        Raises
        ------
        SerError
            If a speaker has fewer than `MIN_CLIPS` clips.
        """
        self.check(speakers)
        scaled = np.empty(X.shape, dtype=np.float32)
        for speaker in np.unique(speakers):
            rows = np.flatnonzero(speakers == speaker)
            scaled[rows] = voice_of(X[rows]).scaled(X[rows])
        return scaled
