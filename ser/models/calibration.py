"""Probabilities by clips that were held out, honest for unknown speakers too."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from ser.data.folds import cross_validation_folds

MIN_PROBABILITY = 1e-12  # a probability whose logarithm is taken
PLATT_C = 1e6  # nearly no penalty on two numbers


class Calibration(ClassifierMixin, BaseEstimator):
    """A classifier, and a map from its scores to probabilities.

    The map is fitted on out-of-fold scores, the classifier then on all clips. scikit-learn's
    ``CalibratedClassifierCV`` does the same, but draws its folds by clip: on a model meant for
    unknown speakers that calibrates on known ones and leaves it too sure. Here the folds keep
    actors apart when `groups` are given.

    Parameters
    ----------
    estimator : classifier
        With ``decision_function`` of shape (n_clips, n_classes), or (n_clips,) for two classes;
        without one, the logarithms of its probabilities are its scores.
    n_splits : int
        Folds that the out-of-fold scores come from; fewer where an emotion has fewer clips or there
        are fewer actors. With only one clip of an emotion nothing is fitted.
    random_state : int or None
        Seed of the folds.

    Attributes
    ----------
    estimator_ : classifier
        Fitted on all clips.
    classes_ : (n_classes,)
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

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> Calibration:
        """Fit the classifier and the map.

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
        self._calibrate(scores, targets)
        return self

    def _calibrate(self, scores: np.ndarray, targets: np.ndarray) -> None:
        raise NotImplementedError

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(n_clips,) the most probable class."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, n_classes) probabilities, rows summing to 1, columns as `classes_`."""
        check_is_fitted(self)
        return self._probabilities(self._scores(self.estimator_, X))

    def _probabilities(self, scores: np.ndarray) -> np.ndarray:
        raise NotImplementedError

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
        if not hasattr(fitted, "decision_function"):
            return np.log(np.maximum(fitted.predict_proba(X), MIN_PROBABILITY))
        scores = fitted.decision_function(X)
        return scores if scores.ndim == 2 else np.column_stack([-scores, scores])


class TemperatureScaling(Calibration):
    """Softmax of the scores over one temperature (Guo et al. 2017).

    One positive number cannot change which class is largest, so accuracy is the classifier's own.

    Attributes
    ----------
    temperature_ : float
        In (1e-3, 1e3); 1 where nothing could be held out.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017), On calibration of modern neural networks, ICML.
    """

    def _calibrate(self, scores: np.ndarray, targets: np.ndarray) -> None:
        self.temperature_ = best_temperature(scores, targets)[0] if len(targets) else 1.0

    def _probabilities(self, scores: np.ndarray) -> np.ndarray:
        return softmax(scores / self.temperature_, axis=1)


class SigmoidCalibration(Calibration):
    """A sigmoid of each class's score against the others, scaled to a sum of 1 (Platt 1999).

    It has two numbers for every class, and can lift one that the classifier names too seldom: it
    may change predictions.

    Attributes
    ----------
    slope_, intercept_ : (n_classes,)
        1 and 0 where nothing could be held out.

    References
    ----------
    Platt (1999), Probabilistic outputs for support vector machines, Advances in Large Margin
    Classifiers. Zadrozny & Elkan (2002), Transforming classifier scores into accurate multiclass
    probability estimates, KDD.
    """

    def _calibrate(self, scores: np.ndarray, targets: np.ndarray) -> None:
        self.slope_, self.intercept_ = np.ones(len(self.classes_)), np.zeros(len(self.classes_))
        for index in np.unique(targets):
            fitted = LogisticRegression(C=PLATT_C).fit(scores[:, [index]], targets == index)
            self.slope_[index], self.intercept_[index] = fitted.coef_[0, 0], fitted.intercept_[0]

    def _probabilities(self, scores: np.ndarray) -> np.ndarray:
        odds = expit(scores * self.slope_ + self.intercept_)
        odds = np.maximum(odds, MIN_PROBABILITY)
        return odds / odds.sum(axis=1, keepdims=True)


def best_temperature(scores: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Temperature that makes the softmax of held-out scores most likely, and its log loss.

    Parameters
    ----------
    scores : (n_clips, n_classes)
    targets : (n_clips,) int
        Column of each clip's class.

    Returns
    -------
    temperature : float
        In (1e-3, 1e3).
    loss : float
        Mean negative log probability of the right class, in nats.
    """
    rows = np.arange(len(targets))

    def log_loss(log_temperature: float) -> float:
        return -log_softmax(scores / np.exp(log_temperature), axis=1)[rows, targets].mean()

    best = minimize_scalar(log_loss, bounds=np.log([1e-3, 1e3]), method="bounded")
    return float(np.exp(best.x)), float(best.fun)
