"""Probabilities by clips that were held out, honest for unknown speakers too."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from ser.models.grouped import fit_classifier, inner_folds
from ser.models.shared_kernel import SharedKernel, decisions

MIN_PROBABILITY = 1e-12  # a probability whose logarithm is taken
PLATT_C = 1e6  # nearly no penalty on two numbers
TIE = 1e-6  # above another score: too little to see, enough to be the largest
MIN_ACTORS = 3  # fewer cannot show how sure a model may be of another one
# A share of the priors that leaves the log loss at most 0.1 nats above theirs: -log(share) = 0.1.
PRIOR_SHARE = float(np.exp(-0.1))


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
        without one, the logarithms of its probabilities are its scores. Of a support vector machine
        for each pair of classes (SVC) they are `nearest_margins`.
    n_splits : int
        Folds that the out-of-fold scores come from: see `grouped.inner_folds`.
    random_state : int or None
        Seed of the folds.

    Attributes
    ----------
    estimator_ : classifier
        Fitted on all clips.
    classes_ : (n_classes,)
    priors_ : (n_classes,) or None
        Shares of the training clips, which `shrunk` moves the probabilities to, where no held-out
        clips can show how good they are: with fewer than `MIN_ACTORS` actors, or without a held-out
        clip of every emotion. None where the probabilities are used as they are.
    """

    priors_: np.ndarray | None = None
    # False in models that older versions saved: they were calibrated on SVC's won pairs.
    margins_: bool = False

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
        y = np.asarray(y)
        self.classes_, counts = np.unique(y, return_counts=True)
        self.margins_ = len(counts) > 2 and hasattr(self.estimator, "decision_function_shape")
        shares = self.margins_ and SharedKernel.fits(self.estimator, X)
        shared = SharedKernel(self.estimator, X) if shares else None
        self.estimator_ = shared.fit(y) if shared else fit_classifier(self.estimator, X, y, groups)
        scores, targets = self._out_of_fold(X, y, groups, shared)
        self._calibrate(scores, targets)
        few_actors = groups is not None and len(np.unique(groups)) < MIN_ACTORS
        self.priors_ = None
        if few_actors or len(np.unique(targets)) < len(self.classes_):
            self.priors_ = counts / counts.sum()
            warn_of_shrinking()
        return self

    def _calibrate(self, scores: np.ndarray, targets: np.ndarray) -> None:
        raise NotImplementedError

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(n_clips,) the most probable class."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, n_classes) probabilities, rows summing to 1, columns as `classes_`."""
        check_is_fitted(self)
        proba = self._probabilities(self._scores(self.estimator_, X))
        return proba if self.priors_ is None else shrunk(proba, self.priors_)

    def _probabilities(self, scores: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _out_of_fold(
        self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None, shared: SharedKernel | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Decision values of clips that the classifier was not fitted on, and their class index."""
        scores, targets = [np.empty((0, len(self.classes_)))], [np.empty(0, dtype=int)]
        for fold in inner_folds(y, groups, n_splits=self.n_splits, seed=self.random_state):
            if shared:
                scores.append(nearest_margins(shared.fit_part(y, fold), len(self.classes_)))
            else:
                of_train = None if groups is None else groups[fold.train]
                fitted = fit_classifier(self.estimator, X[fold.train], y[fold.train], of_train)
                scores.append(self._scores(fitted, X[fold.test]))
            targets.append(np.searchsorted(self.classes_, y[fold.test]))
        return np.concatenate(scores), np.concatenate(targets)

    def _scores(self, fitted: ClassifierMixin, X: np.ndarray) -> np.ndarray:
        if self.margins_:
            return nearest_margins(decisions(fitted, X), len(self.classes_))
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
        present, doubt = np.unique(targets), 1 / (len(targets) + 2)
        for index in present if len(present) > 1 else ():
            share = np.where(targets == index, 1 - doubt, doubt)  # Platt's targets: not 1 and 0
            fitted = LogisticRegression(C=PLATT_C).fit(
                np.repeat(scores[:, [index]], 2, axis=0),
                np.tile([True, False], len(targets)),
                sample_weight=np.column_stack([share, 1 - share]).ravel(),
            )
            self.slope_[index], self.intercept_[index] = fitted.coef_[0, 0], fitted.intercept_[0]

    def _probabilities(self, scores: np.ndarray) -> np.ndarray:
        odds = expit(scores * self.slope_ + self.intercept_)
        odds = np.maximum(odds, MIN_PROBABILITY)
        return odds / odds.sum(axis=1, keepdims=True)


def nearest_margins(pairs: np.ndarray, n_classes: int) -> np.ndarray:
    """How far a clip lies on a class's side of the nearest boundary to another class.

    Scikit-learn's scores of an SVC for every class are numbers of won pairs and say next to nothing
    of how sure it is. Its own class stays the largest: where another lies further from all of its
    boundaries, it is set a little above that.

    Parameters
    ----------
    pairs : (n_clips, n_classes * (n_classes - 1) / 2)
        Decision values of the pairs (0, 1), (0, 2), ..., above 0 for the first.
    n_classes : int

    Returns
    -------
    (n_clips, n_classes)
        Below 0 on the other side.
    """
    first, second = np.triu_indices(n_classes, k=1)
    margins = np.zeros((len(pairs), n_classes, n_classes))
    margins[:, first, second], margins[:, second, first] = pairs, -pairs
    total = margins.sum(axis=2)  # breaks ties between numbers of won pairs, as in scikit-learn
    won = (margins > 0).sum(axis=2) + total / (3 * (np.abs(total) + 1))
    margins[:, range(n_classes), range(n_classes)] = np.inf
    nearest = margins.min(axis=2)
    rows, own = np.arange(len(pairs)), won.argmax(axis=1)
    others = np.where(np.arange(n_classes) == own[:, None], -np.inf, nearest).max(axis=1)
    nearest[rows, own] = np.maximum(nearest[rows, own], others + TIE)
    return nearest


def shrunk(proba: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Probabilities that are `PRIOR_SHARE` the priors, with the same class the most probable.

    Where that class would not be, it and those above it share their sum alike.

    Parameters
    ----------
    proba : (n_clips, n_classes)
    priors : (n_classes,)

    Examples
    --------
    >>> shrunk(np.array([[0.0, 1.0]]), np.array([0.5, 0.5])).round(2)
    array([[0.45, 0.55]])
    >>> shrunk(np.array([[0.0, 1.0]]), np.array([0.9, 0.1])).round(2)
    array([[0.5, 0.5]])
    """
    rows, top = np.arange(len(proba)), proba.argmax(axis=1)
    mixed = (1 - PRIOR_SHARE) * proba + PRIOR_SHARE * priors
    own = mixed[rows, top]
    mixed[rows, top] = 0
    above = np.cumsum(-np.sort(-mixed, axis=1)[:, :-1], axis=1)
    means = (own[:, None] + above) / np.arange(2, len(priors) + 1)
    level = np.maximum(own, means.max(axis=1))
    mixed = np.minimum(mixed, level[:, None] * (1 - 1e-9))
    mixed[rows, top] = level
    return mixed / mixed.sum(axis=1, keepdims=True)


def warn_of_shrinking() -> None:
    """Say that the probabilities are nearly the priors."""
    warnings.warn(
        f"Training clips of fewer than {MIN_ACTORS} actors, or held-out clips without all "
        "emotions, cannot show how sure the model may be: its probabilities are kept near the "
        "emotions' shares of the training clips. Train on more actors.",
        stacklevel=2,
    )


def best_temperature(scores: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Temperature that makes the softmax of held-out scores most likely, and its log loss.

    A clip of each class besides, spread over the held-out ones, is told wrong at random (Platt
    1999): where few are held out and all are right, a model may not be sure beyond all measure.

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
    rows, doubt = np.arange(len(targets)), scores.shape[1] / (len(targets) + scores.shape[1])

    def log_loss(log_temperature: float) -> float:
        log_proba = log_softmax(scores / np.exp(log_temperature), axis=1)
        return -((1 - doubt) * log_proba[rows, targets] + doubt * log_proba.mean(axis=1)).mean()

    best = minimize_scalar(log_loss, bounds=np.log([1e-3, 1e3]), method="bounded")
    return float(np.exp(best.x)), float(best.fun)
