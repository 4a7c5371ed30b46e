"""A support vector machine with a Gaussian kernel, fitted again on parts of the same clips.

libsvm computes the kernel of every pair of clips anew in each fit, which is most of its time. Here
one matrix product serves all of them. The machines are the same to the bit: libsvm rounds kernels
to single precision, and a clip's with itself is exactly 1 here too.
"""

from __future__ import annotations

from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.svm import SVC

from ser.data.folds import Fold

MOST_CLIPS = 4000  # whose pairs take 128 MB


class SharedKernel:
    """Kernels of all pairs of clips, or the squared distances that they are made of.

    Parameters
    ----------
    machine : SVC
        Not fitted; see `fits`.
    X : (n_clips, n_features) float
    """

    def __init__(self, machine: SVC, X: np.ndarray) -> None:
        self.machine, self.X = machine, (X := X.astype(float))
        squares = np.einsum("ij,ij->i", X, X)
        self._pairs = X @ X.T
        self._pairs *= -2
        self._pairs += squares
        self._pairs += squares[:, None]
        np.fill_diagonal(self._pairs, 0)
        self._is_kernel = machine.gamma != "scale"  # which depends on the clips of a fit
        if self._is_kernel:
            self._pairs = self._kernel(self._pairs, X)

    @staticmethod
    def fits(machine: BaseEstimator, X: np.ndarray) -> bool:
        """Whether kernels of these clips can be shared by fits of this classifier."""
        return (
            type(machine) is SVC
            and machine.kernel == "rbf"
            and (machine.gamma in ("scale", "auto") or isinstance(machine.gamma, Real))
            and isinstance(X, np.ndarray)
            and X.dtype.kind == "f"
            and len(X) <= MOST_CLIPS
            and bool(np.isfinite(X).all())
        )

    def fit(self, y: np.ndarray) -> SVC:
        """The same as ``clone(machine).fit(X, y)``."""
        fitted = self._fitted(self._pairs, self.X, y)
        fitted.set_params(kernel="rbf")
        fitted.support_vectors_ = self.X[fitted.support_]
        fitted.n_features_in_ = self.X.shape[1]
        fitted.shape_fit_, fitted._gamma = self.X.shape, self._gamma(self.X)
        return fitted

    def fit_part(self, y: np.ndarray, fold: Fold) -> tuple[SVC, np.ndarray]:
        """Fit on a fold's training clips.

        Returns
        -------
        fitted : SVC
            For kernels in place of vectors.
        kernels : (n_test, n_train) float64
            Of the held-out clips, as it takes them.
        """
        X = self.X[fold.train]
        fitted = self._fitted(self._pairs[np.ix_(fold.train, fold.train)], X, y[fold.train])
        held_out = self._pairs[np.ix_(fold.test, fold.train)]
        return fitted, held_out if self._is_kernel else self._kernel(held_out, X)

    def _fitted(self, pairs: np.ndarray, X: np.ndarray, y: np.ndarray) -> SVC:
        kernel = pairs if self._is_kernel else self._kernel(pairs, X)
        return clone(self.machine).set_params(kernel="precomputed").fit(kernel, y)

    def _kernel(self, squared_distances: np.ndarray, X: np.ndarray) -> np.ndarray:
        return np.exp(-self._gamma(X) * squared_distances)

    def _gamma(self, X: np.ndarray) -> float:
        """What the machine's own `gamma` means, as scikit-learn documents it."""
        if self.machine.gamma == "auto":
            return 1 / X.shape[1]
        if self.machine.gamma == "scale":
            variance = X.var()
            return 1 / (X.shape[1] * variance) if variance else 1.0
        return float(self.machine.gamma)
