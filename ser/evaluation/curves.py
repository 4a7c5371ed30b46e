"""Learning and validation curves, through the same Pipeline, folds and groups as their run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ser.core.errors import SerError
from ser.data.splits import Fold
from ser.evaluation.parallel import run_fits
from ser.models.pipeline import fit, heard


@dataclass(frozen=True)
class Curve:
    """Accuracy against one thing that varies.

    Attributes
    ----------
    name : str
        What varies: "clips" or "actors" to train on, or a parameter of the pipeline.
    points : tuple
        What it was, in the order of the rows below.
    grouped : bool
        Whether the folds keep actors apart.
    train, validation : (n_points, n_folds) float
        Accuracy on the clips fitted on, and on the fold's held-out clips. NaN where the part that
        was drawn has one emotion only, or fewer clips than the model asks for.
    """

    name: str
    points: tuple
    grouped: bool
    train: np.ndarray
    validation: np.ndarray


def learning_curve(
    pipeline: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None,
    folds: Sequence[Fold],
    *,
    sizes: Sequence[int],
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
    sizes : sequence of int
        Clips, or actors under a grouped split, to train on. What is beyond the smallest fold is
        all that this fold has.
    seed : int
        Of the order in which clips or actors are added.
    advance : callable
        Called once for every finished fit.
    """
    orders = [_order(fold.train, groups, seed) for fold in folds]
    most = min(len(order) for order in orders)
    counts = sorted({min(size, most) for size in sizes})
    jobs = [
        (_fit_and_score_part, (pipeline, X, y, groups, np.concatenate(order[:count]), fold.test))
        for fold, order in zip(folds, orders, strict=True)
        for count in counts
    ]
    # The fits on all clips, which the run makes too, say what there is to be warned of.
    results, _ = run_fits(jobs, pipeline, n_jobs=n_jobs, advance=advance)
    name = "clips" if groups is None else "actors"
    return _curve(name, counts, groups, results)


def validation_curve(
    pipeline: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None,
    folds: Sequence[Fold],
    *,
    parameter: str,
    values: Sequence[object],
    n_jobs: int = -1,
    advance: Callable[[], object] = lambda: None,
) -> Curve:
    """Fit with each value of one parameter, everything else as it is.

    Parameters
    ----------
    X : (n_clips, n_features)
    y : (n_clips,)
    groups : (n_clips,) or None
        Actor of each clip under a grouped split.
    folds : sequence of Fold
    parameter : str
        As ``set_params`` takes it: ``classifier__alpha``.
    values : sequence
    advance : callable
        Called once for every finished fit.

    Raises
    ------
    SerError
        If the pipeline has no such parameter, or a value is out of its bounds.
    """
    if parameter not in pipeline.get_params():
        raise SerError(
            f"model.validation_curve names {parameter.replace('__', '.')}, which the model has not."
        )
    jobs = [
        (
            _fit_and_score,
            (clone(pipeline).set_params(**{parameter: v}), X, y, groups, fold.train, fold.test),
        )
        for fold in folds
        for v in values
    ]
    results, _ = run_fits(jobs, pipeline, n_jobs=n_jobs, advance=advance)
    return _curve(parameter.replace("__", "."), values, groups, results)


def _curve(
    name: str,
    values: Sequence[object],
    groups: np.ndarray | None,
    results: Sequence[tuple[float, float]],
) -> Curve:
    """Curve of results in the order of folds, and of values within a fold."""
    train, validation = np.array(results).reshape(-1, len(values), 2).transpose(2, 1, 0)
    return Curve(name, tuple(values), groups is not None, train, validation)


def _order(train: np.ndarray, groups: np.ndarray | None, seed: int) -> list[np.ndarray]:
    """Training clips one by one, or the clips of one actor after the other, in a drawn order."""
    draw = np.random.default_rng(seed)
    if groups is None:
        return list(draw.permutation(train)[:, None])
    actors = draw.permutation(np.unique(groups[train]))
    return [train[groups[train] == actor] for actor in actors]


def _fit_and_score_part(*arguments: Any) -> tuple[float, float]:
    """As `_fit_and_score`, of a part that may be too small for the model.

    Twenty neighbours cannot be found among ten clips, nor can early stopping keep a clip of every
    emotion aside. What is wrong with a model on all clips, the run's own fits say.
    """
    try:
        return _fit_and_score(*arguments)
    except ValueError:
        return np.nan, np.nan


def _fit_and_score(
    pipeline: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None,
    train: np.ndarray,
    test: np.ndarray,
) -> tuple[float, float]:
    if len(np.unique(y[train])) < 2:  # no classifier can be fitted on one emotion
        return np.nan, np.nan
    some = None if groups is None else groups[train]
    fitted = fit(pipeline, X[train], y[train], groups=some)
    heard_X = heard(X)
    return fitted.score(heard_X[train], y[train]), fitted.score(heard_X[test], y[test])
