"""Learning curves, through the same Pipeline, folds and groups as the run they belong to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.pipeline import Pipeline

from ser.parallel import run_fits
from ser.pipeline import fit
from ser.splits import Fold


@dataclass(frozen=True)
class Curve:
    """Accuracy against the number of training clips.

    Attributes
    ----------
    sizes : (n_sizes,) int
        Training clips; where groups are kept whole, the mean over folds, rounded.
    train, validation : (n_sizes, n_folds) float
        Accuracy on the clips fitted on, and on the fold's held-out clips.
    """

    sizes: np.ndarray
    train: np.ndarray
    validation: np.ndarray


def learning_curve(
    pipeline: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None,
    folds: Sequence[Fold],
    *,
    fractions: Sequence[float],
    seed: int,
    n_jobs: int = -1,
    advance: Callable[[], object] = lambda: None,
) -> Curve:
    """Fit on growing parts of each fold's training clips.

    Parts are nested: a larger one holds the smaller. Under a grouped split whole actors are added,
    so a part lacks actors rather than clips of each.

    Parameters
    ----------
    X : (n_clips, n_features)
    y : (n_clips,)
    groups : (n_clips,) or None
        Actor of each clip under a grouped split.
    folds : sequence of Fold
    fractions : sequence of float
        Parts of the training clips, in (0, 1].
    seed : int
        Of the order in which clips or actors are added.
    advance : callable
        Called once for every finished fit.
    """
    jobs = [
        (_fit_and_score, (pipeline, X, y, groups, part, fold.test))
        for fold in folds
        for part in _nested_parts(fold.train, groups, fractions, seed)
    ]
    # The fits on all clips, which the run makes too, say what there is to be warned of.
    results, _ = run_fits(jobs, pipeline, n_jobs=n_jobs, advance=advance)
    shaped = np.array(results).reshape(len(folds), len(fractions), 3)
    sizes, train, validation = shaped.transpose(2, 1, 0)
    return Curve(np.rint(sizes.mean(axis=1)).astype(int), train, validation)


def _nested_parts(
    train: np.ndarray, groups: np.ndarray | None, fractions: Sequence[float], seed: int
) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    if groups is None:
        order = draw.permutation(train)
        return [order[: max(2, round(fraction * len(order)))] for fraction in fractions]
    actors = draw.permutation(np.unique(groups[train]))
    parts = []
    for fraction in fractions:
        some = actors[: max(1, round(fraction * len(actors)))]
        parts.append(train[np.isin(groups[train], some)])
    return parts


def _fit_and_score(
    pipeline: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None,
    train: np.ndarray,
    test: np.ndarray,
) -> tuple[int, float, float]:
    if len(np.unique(y[train])) < 2:  # no classifier can be fitted on one emotion
        return len(train), np.nan, np.nan
    some = None if groups is None else groups[train]
    fitted = fit(pipeline, X[train], y[train], groups=some)
    return len(train), fitted.score(X[train], y[train]), fitted.score(X[test], y[test])
