"""Several classifiers as one: by the mean of their probabilities, or stacked."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ser.core.errors import SerError
from ser.features import FeatureSet
from ser.features.union import UnionFeatures
from ser.models.grouped import inner_folds
from ser.models.pipeline import build_pipeline, fit


class Ensemble(ClassifierMixin, BaseEstimator):
    """Soft vote, or a classifier of the members' out-of-fold probabilities (Wolpert 1992).

    scikit-learn has both, but its stacking draws folds by clip: on clips of the same actors a
    member that knows voices by heart looks best, and gets the say. Here folds keep actors apart
    when `groups` are given, and every member that calibrates or chooses is told the groups too.

    Parameters
    ----------
    members : mapping of str to (mapping of str to estimator)
        Name -> steps of its pipeline, the last of which is a classifier (`ser.models.pipeline`); a
        member of None is left out.
    final : classifier or None
        Fitted on the members' probabilities for clips that they had not seen; None for their mean.
    n_splits : int
        Folds that these come from; fewer where the clips allow fewer (`ser.models.grouped.
        inner_folds`). Where none has every emotion, the members' mean is taken.
    random_state : int or None

    Attributes
    ----------
    classes_ : (n_classes,)
    members_ : dict of str to Pipeline
        Fitted on all clips.
    final_ : Pipeline or None
        Of the one classifier.
    """

    def __init__(
        self,
        members: Mapping[str, Mapping[str, BaseEstimator] | None],
        *,
        final: ClassifierMixin | None = None,
        n_splits: int = 5,
        random_state: int | None = None,
    ) -> None:
        self.members = members
        self.final = final
        self.n_splits = n_splits
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> Ensemble:
        """Fit every member, and what weighs them.

        Parameters
        ----------
        X : (n_clips, n_features)
        y : (n_clips,)
        groups : (n_clips,) or None
            Actor of each clip.

        Raises
        ------
        SerError
            If there is no member.
        """
        pipelines = {
            name: build_pipeline(steps, seed=self.random_state)
            for name, steps in self.members.items()
            if steps is not None
        }
        if not pipelines:
            raise SerError("The ensemble has no members: +model@model.classifier.members.a=svm.")
        self.classes_ = np.unique(y)
        self.final_ = None if self.final is None else self._fit_final(pipelines, X, y, groups)
        self.members_ = {
            name: fit(pipeline, X, y, groups=groups) for name, pipeline in pipelines.items()
        }
        return self

    def _fit_final(
        self,
        pipelines: Mapping[str, Pipeline],
        X: np.ndarray,
        y: np.ndarray,
        groups: np.ndarray | None,
    ) -> Pipeline | None:
        """The final classifier, fitted on votes for clips that the members had not seen."""
        rows, votes = [np.empty(0, dtype=int)], []
        for fold in inner_folds(y, groups, n_splits=self.n_splits, seed=self.random_state):
            of_train = None if groups is None else groups[fold.train]
            fitted = {
                name: fit(pipeline, X[fold.train], y[fold.train], groups=of_train)
                for name, pipeline in pipelines.items()
            }
            rows.append(fold.test)
            votes.append(np.hstack(_votes(fitted, X[fold.test])))
        held_out = np.concatenate(rows)
        if len(np.unique(y[held_out])) < len(self.classes_):
            warnings.warn(
                "Too few clips or actors to weigh an ensemble's members on held-out clips of every "
                "emotion: it takes their mean. Add clips, or train model=ensemble.",
                stacklevel=2,
            )
            return None
        of_held_out = None if groups is None else groups[held_out]
        final = build_pipeline({"final": self.final}, seed=self.random_state)
        return fit(final, np.vstack(votes), y[held_out], groups=of_held_out)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, n_classes) probabilities, rows summing to 1, columns as `classes_`."""
        check_is_fitted(self)
        votes = _votes(self.members_, X)
        if self.final_ is not None:
            return self.final_.predict_proba(np.hstack(votes))
        return np.mean(votes, axis=0)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(n_clips,) the most probable emotion."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _votes(fitted: Mapping[str, BaseEstimator], X: np.ndarray) -> list[np.ndarray]:
    """Probabilities of every member."""
    return [member.predict_proba(X) for member in fitted.values()]


def columns_of(name: str, features: FeatureSet) -> ColumnTransformer:
    """A step that keeps the columns of one set of a union, for a member of an ensemble.

    Parameters
    ----------
    name : str
        Of the set.
    features : UnionFeatures
        What the model is fitted on.

    Raises
    ------
    SerError
        If the features are no union, or it has no such set.
    """
    members = features.sets if isinstance(features, UnionFeatures) else {}
    if name not in members:
        raise SerError(
            f"The model has a part for the feature set {name!r}, but the features are "
            f"{', '.join(members) or type(features).__name__}. Train it on features=union with "
            f"+features@features.sets.{name}=..., or take another model."
        )
    start = 0
    for member, member_features in members.items():
        width = len(member_features.names)
        if member == name:
            break
        start += width
    return ColumnTransformer([(name, "passthrough", slice(start, start + width))])
