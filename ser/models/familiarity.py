"""Whether a recording is like what a model was trained on: its vector, and how it was recorded.

Far from all training clips a classifier answers all the same, an RBF machine with the same
probabilities for everything. So a model keeps how its training clips are spread, in two views:
their vectors, and four facts of their recordings. In each a clip has a Mahalanobis distance; the
limit is what 95 % of training clips stay within when their own actor is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ser.data.facts import RecordingFacts

FLAGGED = 0.05  # of the clips of actors that were not heard
MAX_COLUMNS = 128  # of a vector, evenly: a covariance of more is large and says little more
SHRINKAGE = 0.1  # of the covariance towards the identity, in standardised columns
N_FOLDS = 5  # of actors that are left out
MIN_CLIPS = 20  # of fewer no limit can be told
FACTS = ("level", "noise", "duration", "bandwidth")  # of a recording, that are looked at
# Level and noise in dB, octaves of duration and of bandwidth: deviations that are of no account.
_FACT_FLOORS = np.array([1.0, 3.0, 0.1, 0.1])


@dataclass(frozen=True, eq=False)
class Distance:
    """Mahalanobis distance to training clips, in units of the limit.

    Attributes
    ----------
    centre : (n_columns,) float32
    whitening : (n_columns, n_columns) float32
    """

    centre: np.ndarray
    whitening: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """(n_clips,) distances of (n_clips, n_columns); what is NaN counts as the mean."""
        deviation = np.nan_to_num(values - self.centre, nan=0.0)
        return np.sqrt(((deviation @ self.whitening.T) ** 2).sum(axis=1))

    def __truediv__(self, limit: float) -> Distance:
        """The distance in another unit."""
        return Distance(self.centre, (self.whitening / limit).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Familiarity:
    """How a model's training clips are spread.

    Attributes
    ----------
    columns : (n_columns,) int
        Of a vector: those that are looked at.
    vectors : Distance
        In these columns.
    recordings : Distance or None
        In level, noise, duration and bandwidth; None where they are not known.
    highest : float
        Hz: what lies above is nothing to the model, and no bandwidth is larger.
    """

    columns: np.ndarray
    vectors: Distance
    recordings: Distance | None
    highest: float

    def unfamiliar(self, X: np.ndarray, facts: Sequence[RecordingFacts]) -> np.ndarray:
        """Which clips are unlike the training clips.

        Parameters
        ----------
        X : (n_clips, n_features)
            As the pipeline gets it.
        facts : (n_clips,) sequence of RecordingFacts
            A duration that is NaN is not looked at.

        Returns
        -------
        (n_clips,) bool
        """
        distance = self.vectors(X[:, self.columns])
        if self.recordings is not None:
            levels = [[getattr(recording, fact) for fact in FACTS] for recording in facts]
            distance = np.maximum(distance, self.recordings(_scales(levels, self.highest)))
        return distance > 1


def learn_familiarity(
    X: np.ndarray, groups: np.ndarray, facts: np.ndarray | None, *, highest: float
) -> Familiarity | None:
    """How training clips are spread; None of fewer than `MIN_CLIPS`.

    Parameters
    ----------
    X : (n_clips, n_features)
    groups : (n_clips,)
        Actor of each clip; of fewer than three, clips are left out instead.
    facts : (n_clips, 4) or None
        `FACTS` of each recording.
    highest : float
        Hz: half of the rate that the model hears.
    """
    if len(X) < MIN_CLIPS:
        return None
    actors, fold = np.unique(groups, return_inverse=True)
    fold = (fold if len(actors) > 2 else np.arange(len(X))) % N_FOLDS
    columns = np.unique(np.linspace(0, X.shape[1] - 1, MAX_COLUMNS).astype(int))
    vectors, held_out = _spread(X[:, columns].astype(float), fold, floors=0.0)
    recordings = None
    if facts is not None:
        recordings, distance = _spread(_scales(facts, highest), fold, floors=_FACT_FLOORS)
        held_out = np.maximum(held_out, distance)
    level = min(1, (1 - FLAGGED) * (1 + 1 / len(X)))  # one clip more: the one that is asked
    limit = np.quantile(held_out, level, method="higher") or 1.0  # 0 where all clips are alike
    return Familiarity(columns, vectors / limit, recordings and recordings / limit, highest)


def _scales(levels: Sequence[Sequence[float]] | np.ndarray, highest: float) -> np.ndarray:
    """Level, noise, duration, bandwidth -> on scales where equal steps sound equal."""
    values = np.array(levels, dtype=float).reshape(-1, 4)
    values[:, 3] = np.clip(values[:, 3], 1, highest)
    values[:, 2:] = np.log2(np.maximum(values[:, 2:], 1e-3))
    return values


def _spread(
    values: np.ndarray, fold: np.ndarray, *, floors: np.ndarray | float
) -> tuple[Distance, np.ndarray]:
    """Distance in units of the limit, and the distance of each clip with its fold left out."""
    values = np.where(np.isnan(values), np.nanmean(values, axis=0), values)
    deviation = np.sqrt(values.var(axis=0) + np.square(floors))
    deviation[deviation == 0] = 1
    held_out = np.empty(len(values))
    for number in np.unique(fold):
        left_out = fold == number
        held_out[left_out] = _fitted(values[~left_out], deviation)(values[left_out])
    limit = np.quantile(held_out, 1 - FLAGGED) or 1.0
    return _fitted(values, deviation) / limit, held_out / limit


def _fitted(values: np.ndarray, deviation: np.ndarray) -> Distance:
    centre = values.mean(axis=0)
    standard = (values - centre) / deviation
    covariance = (1 - SHRINKAGE) * standard.T @ standard / len(values)
    covariance += SHRINKAGE * np.eye(len(deviation))
    whitening = np.linalg.inv(np.linalg.cholesky(covariance)) / deviation
    return Distance(centre.astype(np.float32), whitening)
