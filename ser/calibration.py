"""Probabilities for classifiers that have only decision values, honest for unknown speakers too."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from ser.splits import cross_validation_folds


class TemperatureScaling(ClassifierMixin, BaseEstimator):
    """Softmax of a classifier's decision values over one temperature (Guo et al. 2017).

    The temperature minimises the log loss of out-of-fold decision values; the classifier is then
    fitted on all clips. One positive number cannot change which class is largest, so accuracy is
    the classifier's own. scikit-learn's ``CalibratedClassifierCV(method="temperature")`` does the
    same, but draws its folds by clip: on a model meant for unknown speakers that calibrates on
    known ones and leaves it too sure. Here the folds keep actors apart when `groups` are given.

    Parameters
    ----------
    estimator : classifier
        With ``decision_function`` of shape (n_clips, n_classes), or (n_clips,) for two classes.
    n_splits : int
        Folds that the out-of-fold decision values come from; fewer where an emotion has fewer
        clips or there are fewer actors. With only one clip of an emotion the temperature is 1.
    random_state : int or None
        Seed of the folds.

    Attributes
    ----------
    estimator_ : classifier
        Fitted on all clips.
    classes_ : (n_classes,)
    temperature_ : float
        In (1e-3, 1e3).

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017), On calibration of modern neural networks, ICML.
    """

    def __init__(
        self,
        estimator: ClassifierMixin,
        *,
        n_splits: int = 3,
        random_state: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.n_splits = n_splits
        self.random_state = random_state

    def fit(
        self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None
    ) -> TemperatureScaling:
        """Fit the classifier and its temperature.

        Parameters
        ----------
        X : (n_clips, n_features)
        y : (n_clips,)
        groups : (n_clips,) or None
            Actor of each clip; given, no actor is in two of the calibration's folds.
        """
        self.estimator_ = clone(self.estimator).fit(X, y)
        self.classes_ = self.estimator_.classes_
        scores, targets = self._out_of_fold(X, np.asarray(y), groups)
        self.temperature_ = _best_temperature(scores, targets) if len(targets) else 1.0
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(n_clips,) the class with the largest decision value."""
        check_is_fitted(self)
        return self.classes_[self._scores(self.estimator_, X).argmax(axis=1)]

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, n_classes) probabilities, rows summing to 1, columns as `classes_`."""
        check_is_fitted(self)
        return softmax(self._scores(self.estimator_, X) / self.temperature_, axis=1)

    def _out_of_fold(
        self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Decision values of clips that the classifier was not fitted on, and their class index."""
        n_splits = min(self.n_splits, np.unique(y, return_counts=True)[1].min())
        if groups is not None:
            n_splits = min(n_splits, len(np.unique(groups)))
        if n_splits < 2:
            return np.empty((0, len(self.classes_))), np.empty(0, dtype=int)
        folds = cross_validation_folds(
            y,
            np.zeros(len(y)) if groups is None else groups,
            n_splits=n_splits,
            grouped=groups is not None,
            seed=self.random_state,
        )
        scores, targets = [], []
        for fold in folds:
            fitted = clone(self.estimator).fit(X[fold.train], y[fold.train])
            if len(fitted.classes_) < len(self.classes_):
                continue  # a fold of few actors can lack an emotion, and then a column
            scores.append(self._scores(fitted, X[fold.test]))
            targets.append(np.searchsorted(self.classes_, y[fold.test]))
        if not scores:
            return np.empty((0, len(self.classes_))), np.empty(0, dtype=int)
        return np.concatenate(scores), np.concatenate(targets)

    @staticmethod
    def _scores(fitted: ClassifierMixin, X: np.ndarray) -> np.ndarray:
        scores = fitted.decision_function(X)
        return scores if scores.ndim == 2 else np.column_stack([-scores, scores])


def _best_temperature(scores: np.ndarray, targets: np.ndarray) -> float:
    rows = np.arange(len(targets))

    def log_loss(log_temperature: float) -> float:
        return -log_softmax(scores / np.exp(log_temperature), axis=1)[rows, targets].mean()

    return float(np.exp(minimize_scalar(log_loss, bounds=np.log([1e-3, 1e3]), method="bounded").x))
