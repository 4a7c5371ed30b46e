"""Which layers of a speech encoder a model hears: chosen, or weighted, on training clips alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.metrics import recall_score
from sklearn.utils.validation import check_is_fitted, validate_data

from ser.core.errors import SerError
from ser.features import FeatureSet
from ser.models.kernel_ridge import inverse_factor, left_out

PENALTY = 0.1  # of the ridge that layers are compared by, on a kernel that is 1 on average
MAX_CLIPS = 3000  # that layers are compared on: memory and time grow with their square and cube


class LayerSelection(TransformerMixin, BaseEstimator):
    """Keep the layers by which left-out actors are told best, and every column that is of no layer.

    Candidates are each layer, all of them, and the range that grows from the best one for as long
    as a neighbour helps. Each is judged by the UAR of a linear kernel ridge on actors left out one
    after the other (clips, where there are no `groups`), whose answers follow from one inverse.

    Parameters
    ----------
    layers : mapping of str to (n,) int
        Name of each layer, in order -> its columns (`layers_of`).

    Attributes
    ----------
    chosen_ : tuple of str
        Names of the layers that are kept.
    inner_uar_ : dict of str to float
        Candidate, as ``layer02`` or ``layer01..layer03`` -> UAR on what was left out.
    columns_ : (n_kept,) int
    """

    def __init__(self, layers: Mapping[str, np.ndarray]) -> None:
        self.layers = layers

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> LayerSelection:
        """Choose the layers.

        Parameters
        ----------
        X : (n_clips, n_features)
            Scaled.
        y : (n_clips,)
        groups : (n_clips,) or None
            Actor of each clip, to be left out together.
        """
        X = validate_data(self, X, dtype=np.float32)
        rows = compared_rows(len(y))
        names = list(self.layers)
        grams = [X[rows][:, columns] @ X[rows][:, columns].T for columns in self.layers.values()]
        known, actors = np.asarray(y)[rows], None if groups is None else groups[rows]
        self.inner_uar_: dict[str, float] = {}

        def uar(low: int, high: int) -> float:
            name = _range(names, low, high)
            if name not in self.inner_uar_:
                factor = ridge_factor(sum(grams[low : high + 1]))
                self.inner_uar_[name] = left_out_uar(factor, known, actors)
            return self.inner_uar_[name]

        last = len(names) - 1
        low = high = max(range(len(names)), key=lambda layer: uar(layer, layer))
        while True:
            wider = [(low - 1, high)] * (low > 0) + [(low, high + 1)] * (high < last)
            best = max(wider, key=lambda pair: uar(*pair), default=(low, high))
            if uar(*best) <= uar(low, high):
                break
            low, high = best
        if uar(0, last) > uar(low, high):
            low, high = 0, last
        self.chosen_ = tuple(names[low : high + 1])
        left = {name: columns for name, columns in self.layers.items() if name not in self.chosen_}
        out = np.concatenate([*left.values(), np.array([], dtype=int)]).astype(int)
        self.columns_ = np.setdiff1d(np.arange(X.shape[1]), out)
        return self

    @property
    def learned_(self) -> list[dict[str, object]]:
        """Rows of a table: every candidate, its UAR on what was left out, whether it is kept."""
        kept = _range(list(self.chosen_), 0, len(self.chosen_) - 1)
        return [
            {"layers": name, "inner_uar": uar, "chosen": name == kept}
            for name, uar in self.inner_uar_.items()
        ]

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, n_kept) the columns that are kept."""
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float32, reset=False)[:, self.columns_]


class LayerWeights(TransformerMixin, BaseEstimator):
    """One vector from all layers: their mean, each with a weight above 0; weights sum to 1.

    The weights are the softmax of one number a layer, learned together with a multinomial logistic
    regression on the training clips. Columns that are of no layer stay, after it.

    Parameters
    ----------
    layers : mapping of str to (n,) int
        Name of each layer -> its columns, as many in each (`layers_of`).
    penalty : float
        On the squared coefficients of the regression, per clip.

    Attributes
    ----------
    weights_ : (n_layers,) float64
    """

    def __init__(self, layers: Mapping[str, np.ndarray], *, penalty: float = 0.01) -> None:
        self.layers = layers
        self.penalty = penalty

    def fit(self, X: np.ndarray, y: np.ndarray) -> LayerWeights:
        """Learn the weights.

        Parameters
        ----------
        X : (n_clips, n_features)
            Scaled.
        y : (n_clips,)
        """
        X = validate_data(self, X, dtype=np.float32)
        stacked = self._stacked(X).astype(np.float64)
        n_layers, n_clips, width = stacked.shape
        classes, target = np.unique(y, return_inverse=True)
        truth = np.eye(len(classes))[target]

        def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            share = softmax(parameters[:n_layers])
            W = parameters[n_layers:].reshape(width, len(classes))
            mixed = np.tensordot(share, stacked, axes=1)
            log_proba = log_softmax(mixed @ W, axis=1)
            error = (np.exp(log_proba) - truth) / n_clips
            by_layer = np.einsum("lnw,nw->l", stacked, error @ W.T)
            gradient = np.concatenate(
                [
                    share * (by_layer - share @ by_layer),
                    (mixed.T @ error + 2 * self.penalty * W).ravel(),
                ]
            )
            value = -(truth * log_proba).sum() / n_clips + self.penalty * (W**2).sum()
            return float(value), gradient

        start = np.zeros(n_layers + width * len(classes))
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
        self.weights_ = softmax(found.x[:n_layers])
        return self

    @property
    def learned_(self) -> list[dict[str, object]]:
        """Rows of a table: the weight of every layer."""
        return [
            {"layers": name, "weight": float(weight)}
            for name, weight in zip(self.layers, self.weights_, strict=True)
        ]

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, width + n_others) the weighted mean of the layers, then the other columns."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        mixed = np.tensordot(self.weights_.astype(np.float32), self._stacked(X), axes=1)
        of_layers = np.concatenate(list(self.layers.values()))
        others = np.setdiff1d(np.arange(X.shape[1]), of_layers)
        return np.concatenate([mixed, X[:, others]], axis=1)

    def _stacked(self, X: np.ndarray) -> np.ndarray:
        return np.stack([X[:, columns] for columns in self.layers.values()])


def layers_of(names: Sequence[str]) -> dict[str, np.ndarray]:
    """Name of each layer of a speech encoder -> its columns, of features of these names.

    A union's set stands before the layer; features without layers have none.

    >>> layers_of(["whisper.layer00_mean_0", "whisper.layer01_mean_0", "notebook.mfcc_00"])
    {'whisper.layer00': array([0]), 'whisper.layer01': array([1])}
    """
    found: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        if layer := re.match(r"(?:[^.]+\.)?layer\d+(?=_)", name):
            found.setdefault(layer[0], []).append(column)
    return {layer: np.array(columns) for layer, columns in found.items()}


def chosen_among(features: FeatureSet) -> dict[str, np.ndarray]:
    """`layers_of` the features that a config names.

    Raises
    ------
    SerError
        If they have no layers, or those of several encoders.
    """
    layers = layers_of(features.names)
    if len({layer.rpartition(".")[0] for layer in layers}) > 1:
        raise SerError(
            "selection=layer and selection=layer_weights take the layers of one speech encoder: "
            "choose one of the union's."
        )
    if not layers:
        raise SerError(
            "selection=layer and selection=layer_weights are for features of a speech encoder: "
            "take features=speech_model, or a union with it."
        )
    return layers


def _range(names: list[str], low: int, high: int) -> str:
    return names[low] if low == high else f"{names[low]}..{names[high]}"


def compared_rows(n_clips: int) -> np.ndarray:
    """Rows that layers are compared on: at most `MAX_CLIPS`, evenly spread."""
    return np.unique(np.linspace(0, n_clips - 1, min(n_clips, MAX_CLIPS)).astype(int))


def ridge_factor(gram: np.ndarray) -> np.ndarray:
    """(n_clips, n_clips) what every regression on these inner products of clips follows from."""
    scale = float(np.diag(gram).mean()) or 1.0
    return inverse_factor(1 + gram.astype(np.float64) / scale, PENALTY)


def left_out_uar(factor: np.ndarray, y: np.ndarray, groups: np.ndarray | None) -> float:
    """UAR of a kernel ridge on actors left out one after the other; on clips, without `groups`.

    Parameters
    ----------
    factor : (n_clips, n_clips) float64
        `ridge_factor` of the clips' inner products.
    y : (n_clips,)
        What is told: emotions, or anything else.
    groups : (n_clips,) or None
    """
    target = np.unique(y, return_inverse=True)[1]
    answers = left_out(factor, target, groups)
    return float(recall_score(target, answers.argmax(axis=1), average="macro", zero_division=0))
