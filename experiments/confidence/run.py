"""What makes the support vector machine's probabilities? Several maps on the same folds, as tables.

    python experiments/confidence/run.py            # RAVDESS, a few minutes
    python experiments/confidence/run.py demo

Every map is fitted on out-of-fold scores of the training clips, by actor where the split does.
"""

import sys
from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss, recall_score, roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import ser
from ser.data.dataset import Dataset
from ser.data.folds import Split
from ser.evaluation.probabilities import reliability
from ser.models.grouped import inner_folds

Map = Callable[[dict[str, np.ndarray]], np.ndarray]


def scores(X: np.ndarray, y: np.ndarray, X_test: np.ndarray) -> dict[str, np.ndarray]:
    """What machines fitted on some clips say of others: each (n_test, n_columns)."""
    scaler = StandardScaler().fit(X)
    X, X_test = scaler.transform(X), scaler.transform(X_test)
    machine = SVC(C=10, gamma="auto", break_ties=True).fit(X, y)
    votes = machine.decision_function(X_test)
    machine.set_params(break_ties=False, decision_function_shape="ovo")
    similar = rbf_kernel(X_test, X)
    return {
        "votes": votes,
        "pairs": machine.decision_function(X_test),
        "one against the rest": OneVsRestClassifier(SVC(C=10, gamma="auto"))
        .fit(X, y)
        .decision_function(X_test),
        "kernel": np.stack([similar[:, y == c].sum(axis=1) for c in np.unique(y)], axis=1),
    }


def signed(pairs: np.ndarray, n_classes: int) -> np.ndarray:
    """(n_clips, n_classes, n_classes) margin of each class against each other."""
    whole = np.zeros((len(pairs), n_classes, n_classes))
    for column, (i, j) in enumerate(combinations(range(n_classes), 2)):
        whole[:, i, j], whole[:, j, i] = pairs[:, column], -pairs[:, column]
    return whole


def coupled(r: np.ndarray) -> np.ndarray:
    """Class probabilities of pairwise ones (Wu, Lin, Weng 2004)."""
    n = r.shape[1]
    Q = -np.swapaxes(r, 1, 2) * r
    Q[:, range(n), range(n)] = (np.swapaxes(r, 1, 2) ** 2).sum(axis=2) - 0.25
    p = np.linalg.solve(Q + 1e-9 * np.eye(n), np.ones((len(r), n, 1)))[..., 0]
    return p / p.sum(axis=1, keepdims=True)


def scaled(score: Callable[[dict[str, np.ndarray]], np.ndarray]) -> Callable[..., Map]:
    """A softmax of the score over one temperature."""
    return fitted_number(lambda s, t: log_softmax(score(s) / t, axis=1))


def fitted_number(log_proba: Callable[..., np.ndarray]) -> Callable[..., Map]:
    """A map with one number above 0, of the least log loss on held-out clips."""

    def fit(s: dict[str, np.ndarray], target: np.ndarray) -> Map:
        rows = np.arange(len(target))
        best = minimize_scalar(
            lambda z: -log_proba(s, np.exp(z))[rows, target].mean(),
            bounds=np.log([1e-2, 1e2]),
            method="bounded",
        )
        return lambda test: np.exp(log_proba(test, np.exp(best.x)))

    return fit


def n_classes(s: dict[str, np.ndarray]) -> int:
    return s["kernel"].shape[1]


def margins(s: dict[str, np.ndarray]) -> np.ndarray:
    return signed(s["pairs"], n_classes(s))


def soft_votes(s: dict[str, np.ndarray]) -> np.ndarray:
    return np.tanh(margins(s)).sum(axis=2)


def pair_probabilities(s: dict[str, np.ndarray], t: float) -> np.ndarray:
    r = expit(margins(s) / t)
    return np.log(np.maximum(coupled(r), 1e-12))


def own_class(score: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """The score, raised for the machine's own class to the height of the largest."""

    def raised(s: dict[str, np.ndarray], *number: float) -> np.ndarray:
        values = score(s, *number).copy()
        rows, own = np.arange(len(values)), s["votes"].argmax(axis=1)
        values[rows, own] = np.maximum(values[rows, own], values.max(axis=1) + 1e-6)
        return values

    return raised


def isotonic(s: dict[str, np.ndarray], target: np.ndarray) -> Map:
    values = s["one against the rest"]
    maps = [
        IsotonicRegression(y_min=1e-3, y_max=1 - 1e-3, out_of_bounds="clip").fit(
            values[:, c], target == c
        )
        for c in range(values.shape[1])
    ]

    def proba(test: dict[str, np.ndarray]) -> np.ndarray:
        each = [m.predict(test["one against the rest"][:, c]) for c, m in enumerate(maps)]
        return np.stack(each, axis=1) / np.sum(each, axis=0)[:, None]

    return proba


PROTOCOLS = ("random", "speaker", "loso")
MAPS = {
    "votes and tie-break": scaled(lambda s: s["votes"]),
    "one against the rest": scaled(lambda s: s["one against the rest"]),
    "one against the rest, isotonic": isotonic,
    "sum of pairwise margins": scaled(lambda s: margins(s).sum(axis=2)),
    "sum of margins, machine's class first": scaled(own_class(lambda s: margins(s).sum(axis=2))),
    "sum of tanh of margins": scaled(soft_votes),
    "sum of tanh, machine's class first": scaled(own_class(soft_votes)),
    "sum of log sigmoids": fitted_number(
        lambda s, t: log_softmax(-np.logaddexp(0, -margins(s) / t).sum(axis=2), axis=1)
    ),
    "coupled, one slope": fitted_number(pair_probabilities),
    "coupled, machine's class first": fitted_number(own_class(pair_probabilities)),
    "largest of the smallest margins, machine's class first": scaled(
        own_class(lambda s: np.where(np.eye(n_classes(s)), np.inf, margins(s)).min(axis=2))
    ),
    "kernel sums": scaled(lambda s: s["kernel"]),
    "largest of the smallest margins": scaled(
        lambda s: np.where(np.eye(n_classes(s)), np.inf, margins(s)).min(axis=2)
    ),
}


def folds(data: Dataset, split: Split) -> Iterator[tuple]:
    """Held-out scores and targets of each fold's training clips, and those of its test clips."""
    target = np.searchsorted(data.emotions, data.labels)
    X = data.features
    for fold in split.folds:
        train = fold.train
        groups = data.groups[train] if split.grouped else None
        inner = inner_folds(data.labels[train], groups, n_splits=3, seed=69)
        parts = [scores(X[train[f.train]], target[train[f.train]], X[train[f.test]]) for f in inner]
        held_out = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        known = np.concatenate([target[train[f.test]] for f in inner])
        yield held_out, known, scores(X[train], target[train], X[fold.test]), target[fold.test]


def row(target: np.ndarray, proba: np.ndarray) -> dict[str, float]:
    proba = proba / proba.sum(axis=1, keepdims=True)
    predicted = proba.argmax(axis=1)
    right = predicted == target
    return {
        "accuracy %": 100 * right.mean(),
        "UAR %": 100 * recall_score(target, predicted, average="macro"),
        "AUROC": roc_auc_score(right, proba.max(axis=1)),
        "ECE": 100 * reliability(target, predicted, proba)[1],
        "log loss": log_loss(target, proba, labels=range(proba.shape[1])),
    }


def main() -> None:
    corpus = sys.argv[1] if len(sys.argv) > 1 else "ravdess"
    data = ser.extract(ser.load(corpus))
    for protocol in PROTOCOLS:
        parts = list(folds(data, ser.split(data, protocol)))
        target = np.concatenate([part[3] for part in parts])
        rows = {
            name: row(
                target,
                np.concatenate([fit(held, known)(test) for held, known, test, _ in parts]),
            )
            for name, fit in MAPS.items()
        }
        print(f"\n{corpus}, split={protocol}\n")
        print(pd.DataFrame(rows).T.round(3).to_string())


if __name__ == "__main__":
    main()
