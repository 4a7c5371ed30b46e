"""Fits within a fit: folds of its training clips, and classifiers that are told the actors."""

from __future__ import annotations

import numpy as np
from sklearn.base import ClassifierMixin, clone
from sklearn.utils.validation import has_fit_parameter

from ser.data.folds import Fold, cross_validation_folds, lacking, most_folds


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
        it trains is left out.
    """
    grouped, actors = groups is not None, np.zeros(len(y)) if groups is None else groups
    n_splits = min(n_splits, most_folds(y, actors, grouped=grouped)[0])
    if n_splits < 2:
        return []
    folds = cross_validation_folds(y, actors, n_splits=n_splits, grouped=grouped, seed=seed)
    return [fold for fold in folds if lacking(y, [fold]) is None]
