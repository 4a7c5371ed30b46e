"""Kernel ridge classification that chooses its own settings on speakers it has not heard.

A ridge regression of the emotions, one against the rest, in a kernel's feature space (Saunders et
al. 1998; as a classifier, Suykens & Vandewalle 1999). With as many columns as clips it is as good
as a support vector machine or better, and it has what they lack: what it would have predicted for
clips left out follows from one inverse. So one fit tries every setting on actors left out one after
the other, and calibrates its probabilities on them, in the time of a single cross-validation fold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.linalg
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted, validate_data

from ser.core.errors import SerError
from ser.models.calibration import MIN_ACTORS, best_temperature, shrunk, warn_of_shrinking

KERNELS = ("rbf", "linear")
MEDIAN_OF = 500  # clips: whose distances the median is of


class KernelRidgeClassifier(ClassifierMixin, BaseEstimator):
    """Ridge regression of the emotions in a kernel's space, with softmax probabilities.

    Every pair of `alphas` and `gammas` is tried on left-out clips, all of an actor together where
    `groups` are given, each clip alone otherwise; that of the least log loss is kept. What is left
    out is predicted exactly, as if the model had been fitted without it: its residuals are those of
    the whole fit, times the inverse of a block of the inverse (Pahikkala et al. 2006).

    Parameters
    ----------
    kernel : {"rbf", "linear"}
        Of the distance, or of the product, of two clips' columns.
    alphas : sequence of float
        Penalties, above 0, on a kernel that is 1 for a clip and itself (on average, if linear).
    gammas : sequence of float
        Widths of the RBF, above 0: it falls to ``exp(-gamma)`` at the median distance of the
        training clips. Not looked at by ``kernel="linear"``.
    class_weight : {None, "balanced"}
        Whether a clip weighs less the more clips its emotion has.

    Attributes
    ----------
    classes_ : (n_classes,)
    alpha_, gamma_ : float
        Chosen.
    temperature_ : float
        Of the softmax, by the left-out clips' log loss.
    priors_ : (n_classes,) or None
        Shares of the training clips, which the probabilities are moved to where there are too few
        actors to leave out: see `ser.models.calibration.shrunk`.
    X_fit_ : (n_clips, n_features) float32
    dual_coef_ : (n_clips, n_classes) float64

    References
    ----------
    Saunders, Gammerman, Vovk (1998), Ridge regression learning algorithm in dual variables, ICML.
    Suykens, Vandewalle (1999), Least squares support vector machine classifiers, Neural Processing
    Letters 9, doi 10.1023/A:1018628609742.
    Pahikkala, Boberg, Salakoski (2006), Fast n-fold cross-validation for regularized least-squares.
    """

    priors_: np.ndarray | None = None

    def __init__(
        self,
        *,
        kernel: str = "rbf",
        alphas: Sequence[float] = (0.03,),
        gammas: Sequence[float] = (0.5,),
        class_weight: str | None = None,
    ) -> None:
        self.kernel = kernel
        self.alphas = alphas
        self.gammas = gammas
        self.class_weight = class_weight

    def fit(
        self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None
    ) -> KernelRidgeClassifier:
        """Choose the settings, fit, and calibrate.

        Parameters
        ----------
        X : (n_clips, n_features)
            Scaled.
        y : (n_clips,)
        groups : (n_clips,) or None
            Actor of each clip, to be left out together.

        Raises
        ------
        SerError
            If a parameter is out of its bounds.
        """
        self._check()
        X, y = validate_data(self, X, y, dtype=np.float32)
        self.classes_, target = np.unique(y, return_inverse=True)
        Y = np.eye(len(self.classes_))[target] - 1 / len(self.classes_)
        weight = np.sqrt(compute_sample_weight(self.class_weight, y))[:, None]
        blocks = _blocks(groups, len(y))
        self.X_fit_ = X
        squared = _squared_distances(X, X) if self.kernel == "rbf" else None
        self.scale_ = _scale(X, squared)
        best = np.inf
        for gamma in self.gammas if self.kernel == "rbf" else (1.0,):
            K = self._similar(X, squared, gamma)
            K *= weight
            K *= weight.T
            for alpha in self.alphas:
                factor = inverse_factor(K, alpha)
                dual = factor.T @ (factor @ (weight * Y))
                left_out = Y - _residuals(factor, dual, blocks) / weight
                temperature, loss = best_temperature(left_out, target)
                if loss < best:
                    best, self.alpha_, self.gamma_ = loss, float(alpha), float(gamma)
                    self.temperature_, self.dual_coef_ = temperature, weight * dual
        self.priors_ = None
        if groups is not None and len(np.unique(groups)) < MIN_ACTORS:
            self.priors_ = np.bincount(target) / len(target)
            warn_of_shrinking()
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, n_classes) regressions, about 1 for the right emotion more than for others."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        squared = _squared_distances(X, self.X_fit_) if self.kernel == "rbf" else None
        return self._similar(X, squared, self.gamma_) @ self.dual_coef_

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, n_classes) probabilities, rows summing to 1, columns as `classes_`."""
        proba = softmax(self.decision_function(X) / self.temperature_, axis=1)
        return proba if self.priors_ is None else shrunk(proba, self.priors_)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(n_clips,) the emotion of the largest regression."""
        return self.classes_[self.decision_function(X).argmax(axis=1)]

    def _check(self) -> None:
        if self.kernel not in KERNELS:
            raise SerError(f"kernel={self.kernel!r} is not known: give {' or '.join(KERNELS)}.")
        if self.class_weight not in (None, "balanced"):
            raise SerError(f"class_weight={self.class_weight!r}: give null or balanced.")
        for name in ("alphas", "gammas"):
            values = getattr(self, name)
            if not len(values) or min(values) <= 0:
                raise SerError(f"{name}={list(values)}: give one or more numbers above 0.")

    def _similar(self, X: np.ndarray, squared: np.ndarray | None, gamma: float) -> np.ndarray:
        """Kernel of clips and the training clips, with a 1 for the intercept: float64."""
        if squared is None:
            return 1 + (X @ self.X_fit_.T).astype(np.float64) / self.scale_
        K = squared.astype(np.float64)
        K *= -gamma
        K /= self.scale_
        np.exp(K, out=K)
        K += 1
        return K


def left_out(factor: np.ndarray, target: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """What the regressions say of each clip, fitted without its actor (without it, if no groups).

    Parameters
    ----------
    factor : (n_clips, n_clips) float64
        Of the inverse of the kernel and its penalty (`inverse_factor`): one for whatever is told.
    target : (n_clips,) int
        Class of each, from 0.
    groups : (n_clips,) or None

    Returns
    -------
    (n_clips, n_classes) float64
    """
    n_classes = int(target.max()) + 1
    Y = np.eye(n_classes)[target] - 1 / n_classes
    return Y - _residuals(factor, factor.T @ (factor @ Y), _blocks(groups, len(target)))


def _squared_distances(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """(n_a, n_b) squared Euclidean distances of rows."""
    squares = np.einsum("ij,ij->i", A, A)[:, None] + np.einsum("ij,ij->i", B, B)
    return np.maximum(squares - 2 * (A @ B.T), 0)


def _scale(X: np.ndarray, squared: np.ndarray | None) -> float:
    """What makes the kernel independent of the number of columns: a median, or a mean norm."""
    if squared is None:
        scale = float(np.einsum("ij,ij->i", X, X).mean())
    else:
        step = max(1, len(X) // MEDIAN_OF)
        sample = squared[::step, ::step]
        scale = (
            float(np.median(sample[~np.eye(len(sample), dtype=bool)])) if len(sample) > 1 else 1.0
        )
    return scale if scale > 0 else 1.0


def _blocks(groups: np.ndarray | None, n_clips: int) -> list[np.ndarray] | None:
    """Rows that are left out together; None for each alone."""
    if groups is None or len(np.unique(groups)) < 2:
        return None
    order = np.argsort(groups, kind="stable")
    edges = np.flatnonzero(np.diff(np.unique(groups, return_inverse=True)[1][order])) + 1
    return np.split(order, edges)


def inverse_factor(K: np.ndarray, alpha: float) -> np.ndarray:
    """Lower triangular L with L.T @ L = (K + alpha I)^-1: a third of the inverse's time."""
    regularised = K.copy(order="F")  # K is symmetric; LAPACK works in place on columns
    regularised.flat[:: len(K) + 1] += alpha
    factor, _ = scipy.linalg.lapack.dpotrf(regularised, lower=True, overwrite_a=True)
    inverse, _ = scipy.linalg.lapack.dtrtri(factor, lower=True, overwrite_c=True)
    return inverse


def _residuals(factor: np.ndarray, dual: np.ndarray, blocks: list[np.ndarray] | None) -> np.ndarray:
    """Of every clip, by the model that was not fitted on its block."""
    if blocks is None:
        return dual / np.einsum("ij,ij->j", factor, factor)[:, None]
    residuals = np.empty_like(dual)
    for rows in blocks:
        columns = factor[rows.min() :, rows]  # above, the factor is 0
        residuals[rows] = scipy.linalg.solve(columns.T @ columns, dual[rows], assume_a="pos")
    return residuals
