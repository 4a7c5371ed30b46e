"""Learning and validation curves, through the same Pipeline, folds and groups as their run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ser.data.dataset import Dataset
from ser.data.folds import Fold, Split
from ser.evaluation.folds import fit_on
from ser.evaluation.parallel import Workers, run_fits
from ser.models.pipeline import ClipsRefusedError, originals


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

    @property
    def table(self) -> pd.DataFrame:
        """(n_points * n_folds, 5): what varied, fold, both accuracies and `grouped`."""
        n_points, n_folds = self.validation.shape
        return pd.DataFrame(
            {
                self.name: [str(value) for value in self.points for _ in range(n_folds)],
                "fold": np.tile(np.arange(n_folds), n_points),
                "train_accuracy": self.train.ravel(),
                "validation_accuracy": self.validation.ravel(),
                "grouped": self.grouped,
            }
        )


def learning_curve(
    pipeline: Pipeline,
    data: Dataset,
    split: Split,
    *,
    sizes: Sequence[int],
    seed: int,
    workers: Workers,
) -> Curve:
    """Fit on growing parts of each fold's training clips.

    Parts are nested: a larger one holds the smaller. Under a grouped split whole actors are added,
    so a part lacks actors rather than clips of each.

    Parameters
    ----------
    pipeline : Pipeline
        Not fitted.
    data : Dataset
    split : Split
        Of the clips that may be learned from.
    sizes : sequence of int
        Clips, or actors under a grouped split, to train on. What is beyond the smallest fold is
        all that this fold has.
    seed : int
        Of the order in which clips or actors are added.
    workers : Workers
    """
    orders = [_order(data, fold, split.grouped, seed) for fold in split.folds]
    most = min(len(order) for order in orders)
    counts = sorted({min(size, most) for size in sizes})
    jobs = [
        (
            _fit_and_score,
            (pipeline, data, Fold(np.concatenate(order[:count]), fold.test), split.grouped),
        )
        for fold, order in zip(split.folds, orders, strict=True)
        for count in counts
    ]
    # The fits on all clips, which the run makes too, say what there is to be warned of.
    results, _ = run_fits(jobs, pipeline, workers)
    return _curve("actors" if split.grouped else "clips", counts, split.grouped, results)


def validation_curve(
    pipeline: Pipeline,
    data: Dataset,
    split: Split,
    *,
    parameter: str,
    values: Sequence[object],
    workers: Workers,
) -> Curve:
    """Fit with each value of one parameter, everything else as it is.

    Parameters
    ----------
    pipeline : Pipeline
        Not fitted.
    data : Dataset
    split : Split
        Of the clips that may be learned from.
    parameter : str
        As ``set_params`` takes it: ``classifier__alpha``.
    values : sequence
    workers : Workers

    Raises
    ------
    SerError
        If a value is out of the parameter's bounds.
    """
    varied = [clone(pipeline).set_params(**{parameter: value}) for value in values]
    jobs = [
        (_fit_and_score, (pipeline_of_value, data, fold, split.grouped))
        for fold in split.folds
        for pipeline_of_value in varied
    ]
    results, _ = run_fits(jobs, pipeline, workers)
    return _curve(parameter.replace("__", "."), values, split.grouped, results)


def _curve(
    name: str, values: Sequence[object], grouped: bool, results: Sequence[tuple[float, float]]
) -> Curve:
    """Curve of results in the order of folds, and of values within a fold."""
    train, validation = np.array(results).reshape(-1, len(values), 2).transpose(2, 1, 0)
    return Curve(name, tuple(values), grouped, train, validation)


def _order(data: Dataset, fold: Fold, grouped: bool, seed: int) -> list[np.ndarray]:
    """Training clips one by one, or the clips of one actor after the other, in a drawn order."""
    draw = np.random.default_rng(seed)
    if not grouped:
        return list(draw.permutation(fold.train)[:, None])
    groups = data.groups[fold.train]
    return [fold.train[groups == actor] for actor in draw.permutation(np.unique(groups))]


def _fit_and_score(
    pipeline: Pipeline, data: Dataset, fold: Fold, grouped: bool
) -> tuple[float, float]:
    """Accuracy on the clips fitted on and on those held out; NaN where the model asks for more.

    Twenty neighbours cannot be found among ten clips, nor can early stopping keep a clip of every
    emotion aside.
    """
    X, y = originals(data.features), data.labels
    if len(np.unique(y[fold.train])) < 2:  # no classifier can be fitted on one emotion
        return np.nan, np.nan
    try:
        fitted = fit_on(pipeline, data, fold.train, grouped)
        train, held_out = (fitted.score(X[rows], y[rows]) for rows in (fold.train, fold.test))
    except (ClipsRefusedError, ValueError):
        return np.nan, np.nan
    return train, held_out
