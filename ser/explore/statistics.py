"""What the features of a corpus are like: their statistics, what they tell, what they share.

All of it is fitted on all clips, for looking only: no score may rest on it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.feature_selection import f_classif, mutual_info_classif
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from ser.features import feature_groups

SCALINGS = {"raw": None, "standard": StandardScaler, "minmax": MinMaxScaler}


def feature_statistics(X: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Least, largest, mean and deviation of each group of features, raw and scaled.

    The values of a group are taken together, as the tutorial takes them: no mean of means and no
    deviation of deviations. Each scaler is fitted on the raw matrix; the tutorial's minmax cell
    took a matrix that was scaled already.

    Parameters
    ----------
    X : (n_clips, n_features)
    names : sequence of str

    Returns
    -------
    DataFrame
        scaling, group, features, min, max, mean, deviation (of a sample: n - 1).
    """
    rows = []
    for scaling, scaler in SCALINGS.items():
        scaled = X.astype(np.float64)
        scaled = scaled if scaler is None else scaler().fit_transform(scaled)
        for group, columns in feature_groups(names).items():
            values = scaled[:, columns]
            moments = (values.min(), values.max(), values.mean(), values.std(ddof=1))
            rows.append((scaling, group, len(columns), *moments))
    head = ["scaling", "group", "features", "min", "max", "mean", "deviation"]
    return pd.DataFrame(rows, columns=head)


def ranking(X: np.ndarray, clips: pd.DataFrame, names: Sequence[str], *, seed: int) -> pd.DataFrame:
    """What each feature by itself tells of the emotion, and of the actor.

    Parameters
    ----------
    X : (n_clips, n_features)
    clips : DataFrame
        With the columns emotion and actor.
    names : sequence of str
    seed : int
        Of the noise that breaks ties in the estimate of the mutual information.

    Returns
    -------
    DataFrame
        feature, mutual_information (with the emotion, in bits), F and p (ANOVA over emotions),
        emotion_share and actor_share (of the variance that lies between emotions, and between
        actors: eta squared, in [0, 1]); by mutual information, the largest first. What is constant
        tells nothing: 0, and p of 1.
    """
    emotion = clips["emotion"].to_numpy(dtype=str)
    information = mutual_info_classif(X, emotion, random_state=seed) / np.log(2)
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of columns that are constant, which are seen to below
        F, p = f_classif(X.astype(np.float64), emotion)
    constant = np.ptp(X, axis=0) == 0
    table = pd.DataFrame(
        {
            "feature": list(names),
            "mutual_information": np.where(constant, 0.0, information),
            "F": np.where(constant, 0.0, F),
            "p": np.where(constant, 1.0, p),
            "emotion_share": between_share(X, emotion),
            "actor_share": between_share(X, clips["actor"].to_numpy(dtype=str)),
        }
    )
    return table.sort_values("mutual_information", ascending=False, ignore_index=True)


def between_share(X: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Share of each column's variance that lies between labels (eta squared).

    Parameters
    ----------
    X : (n_clips, n_features)
    labels : (n_clips,)

    Returns
    -------
    (n_features,) float64
        In [0, 1]; 0 of a constant column.

    Examples
    --------
    >>> between_share(np.array([[0.0], [2.0], [4.0], [6.0]]), np.array(["a", "a", "b", "b"]))
    array([0.8])
    """
    centred = X - X.mean(axis=0, dtype=np.float64)
    between = np.zeros(X.shape[1])
    for label in np.unique(labels):
        rows = labels == label
        between += rows.sum() * centred[rows].mean(axis=0) ** 2
    total = (centred**2).sum(axis=0)
    return np.divide(between, total, out=np.zeros_like(total), where=total > 0)


def correlation(X: np.ndarray) -> np.ndarray:
    """Pearson's correlation of every pair of columns; NaN with a constant one.

    Returns
    -------
    (n_features, n_features) float64
        In [-1, 1].
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.atleast_2d(np.corrcoef(X.astype(np.float64), rowvar=False))


def correlation_table(matrix: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """A correlation matrix with the features' names, in a column `feature` and in the head."""
    table = pd.DataFrame(matrix, columns=list(names))
    table.insert(0, "feature", list(names))
    return table
