"""Several classifiers as one: by the mean of their probabilities, or stacked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.utils.validation import check_is_fitted

from ser.core.errors import SerError
from ser.data.folds import cross_validation_folds
from ser.features import FeatureSet
from ser.features.union import UnionFeatures
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
        Folds that these come from.
    random_state : int or None

    Attributes
    ----------
    classes_ : (n_classes,)
    members_ : dict of str to Pipeline
        Fitted on all clips.
    final_ : classifier or None
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
            If there is no member, or there are too few clips or actors for the folds.
        """
        pipelines = {
            name: build_pipeline(steps, seed=self.random_state)
            for name, steps in self.members.items()
            if steps is not None
        }
        if not pipelines:
            raise SerError("The ensemble has no members: +model@model.classifier.members.a=svm.")
        self.classes_ = np.unique(y)
        self.final_ = None
        if self.final is not None:
            folds = cross_validation_folds(
                y,
                np.arange(len(y)) if groups is None else groups,
                n_splits=self.n_splits,
                grouped=groups is not None,
                seed=self.random_state,
            )
            held_out = np.zeros((len(y), len(pipelines) * len(self.classes_)))
            for fold in folds:
                train_groups = None if groups is None else groups[fold.train]
                fitted = {
                    name: fit(pipeline, X[fold.train], y[fold.train], groups=train_groups)
                    for name, pipeline in pipelines.items()
                }
                held_out[fold.test] = np.hstack(list(self._votes(fitted, X[fold.test])))
            self.final_ = clone(self.final).fit(held_out, y)
        self.members_ = {
            name: fit(pipeline, X, y, groups=groups) for name, pipeline in pipelines.items()
        }
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, n_classes) probabilities, rows summing to 1, columns as `classes_`."""
        check_is_fitted(self)
        votes = list(self._votes(self.members_, X))
        if self.final_ is not None:
            return self.final_.predict_proba(np.hstack(votes))
        return np.mean(votes, axis=0)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(n_clips,) the most probable emotion."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def _votes(self, fitted: Mapping[str, BaseEstimator], X: np.ndarray) -> Iterator[np.ndarray]:
        """Probabilities of every member; 0 for an emotion that its fold lacked."""
        for member in fitted.values():
            votes = np.zeros((len(X), len(self.classes_)))
            votes[:, np.isin(self.classes_, member.classes_)] = member.predict_proba(X)
            yield votes


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
