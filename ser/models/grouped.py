"""Fits within a fit: folds of its training clips, and classifiers that are told the actors."""

from __future__ import annotations

import numpy as np
from sklearn.base import ClassifierMixin, clone
from sklearn.utils.validation import has_fit_parameter

from ser.data.folds import Fold, cross_validation_folds


def fit_classifier(
    classifier: ClassifierMixin, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None
) -> ClassifierMixin:
    """A fitted clone of the classifier; one whose `fit` asks for `groups` gets them."""
    return clone(classifier).fit(X, y, **wanted_groups(classifier, groups))


def wanted_groups(classifier: ClassifierMixin, groups: np.ndarray | None) -> dict[str, np.ndarray]:
    """The keyword `groups` for the classifier's `fit`, where it has one and there are groups."""
    if groups is None or not has_fit_parameter(classifier, "groups"):
        return {}
    return {"groups": groups}


def inner_folds(
    y: np.ndarray, groups: np.ndarray | None, *, n_splits: int, seed: int | None
) -> list[Fold]:
    """As many folds of training clips as these allow, each with every emotion where it trains.

    Parameters
    ----------
    y : (n_clips,)
    groups : (n_clips,) or None
        Actor of each clip; given, no actor is in two folds.
    n_splits : int
        Fewer where an emotion has fewer clips or there are fewer actors.
    seed : int or None

    Returns
    -------
    list of Fold
        Empty where there is one clip of an emotion, or one actor. A fold without an emotion where
        it trains, or without a test clip, is left out.
    """
    emotions, counts = np.unique(y, return_counts=True)
    n_splits = min(n_splits, counts.min())
    if groups is not None:
        n_splits = min(n_splits, len(np.unique(groups)))
    if n_splits < 2:
        return []
    folds = cross_validation_folds(
        y,
        np.zeros(len(y)) if groups is None else groups,
        n_splits=n_splits,
        grouped=groups is not None,
        seed=seed,
    )
    return [f for f in folds if len(f.test) and len(np.unique(y[f.train])) == len(emotions)]
