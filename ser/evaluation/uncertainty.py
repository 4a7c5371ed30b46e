"""How far a score could have come out otherwise: bootstrap intervals and label permutations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.pipeline import Pipeline

from ser.core.errors import SerError
from ser.data.dataset import Dataset
from ser.data.folds import Split, lacking
from ser.evaluation.folds import evaluate_folds
from ser.evaluation.metrics import METRICS
from ser.evaluation.parallel import Workers

N_RESAMPLES = 2000
MOST_DRAWS = 10_000  # of one order of the emotions


def bootstrap_intervals(
    y_true: np.ndarray,
    y_pred: np.ndarray,
    units: np.ndarray | None,
    *,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap of accuracy and UAR (Efron & Tibshirani 1993, chapter 13).

    Clips of one actor succeed and fail together. Where the question is how a model does on other
    actors, whole actors must be drawn; drawing clips would claim more certainty than there is.

    Parameters
    ----------
    y_true, y_pred : (n_clips,)
    units : (n_clips,) or None
        What is drawn: the actor of each clip; None to draw clips.
    level : float
        Of the interval, in (0, 1).
    n_resamples : int
    seed : int

    Returns
    -------
    dict
        `accuracy` and `uar`, each (low, high). A resample without an emotion has its UAR over the
        others.
    """
    emotions, label = np.unique(y_true, return_inverse=True)
    hit = y_true == y_pred
    # Clips with the same emotion and the same outcome are exchangeable: drawing from the cells of
    # this small table is drawing clips.
    member = 2 * label + hit if units is None else np.unique(units, return_inverse=True)[1]
    total = np.zeros((member.max() + 1, len(emotions)))
    right = np.zeros_like(total)
    np.add.at(total, (member, label), 1)
    np.add.at(right, (member, label), hit)
    draw = np.random.default_rng(seed)
    if units is None:
        size = total.sum(axis=1)
        drawn = draw.multinomial(len(hit), size / len(hit), n_resamples) / np.maximum(size, 1)
    else:
        drawn = draw.multinomial(len(total), np.full(len(total), 1 / len(total)), n_resamples)
    total, right = drawn @ total, drawn @ right
    with np.errstate(invalid="ignore"):
        recall = right / total
    statistics = {
        "accuracy": right.sum(axis=1) / total.sum(axis=1),
        "uar": np.nanmean(recall, axis=1),
    }
    tails = [50 * (1 - level), 50 * (1 + level)]
    ends = {name: np.percentile(values, tails) for name, values in statistics.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def uar_over_units(
    values: np.ndarray, y: np.ndarray, units: np.ndarray, *, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """UAR of anything that clips have in the place of hits, with its 95 % bootstrap interval.

    Parameters
    ----------
    values : (n_rows, n_clips) float
        Averaged over the clips of each emotion, then over emotions.
    y : (n_clips,) str
        Emotions.
    units : (n_clips,)
        What is drawn: the actor of each clip.
    seed : int

    Returns
    -------
    uar, low, high : (n_rows,) float
    """
    emotion = (y[:, None] == np.unique(y)).astype(float)
    unit = (np.unique(units)[:, None] == units).astype(float)
    clips = unit @ emotion  # (n_units, n_emotions)
    sums = np.einsum("rc,uc,ce->rue", values, unit, emotion, optimize=True)
    draw = np.random.default_rng(seed)
    drawn = draw.multinomial(len(clips), np.full(len(clips), 1 / len(clips)), N_RESAMPLES)
    drawn = np.vstack([np.ones(len(clips)), drawn])  # first all units, as they are
    with np.errstate(invalid="ignore"):
        recall = np.einsum("su,rue->rse", drawn, sums, optimize=True) / (drawn @ clips)
    uar = np.nanmean(recall, axis=2)
    low, high = np.percentile(uar[:, 1:], [2.5, 97.5], axis=1)
    return uar[:, 0], low, high


def permutation_uars(
    pipeline: Pipeline,
    data: Dataset,
    split: Split,
    *,
    n_permutations: int,
    seed: int,
    workers: Workers,
) -> np.ndarray:
    """Test UAR of the same pipeline and folds after the emotions were shuffled among the clips.

    Nothing is left to learn then, so the UARs must lie around chance. If they do not, test clips
    leak into the training (Ojala & Garriga 2010).

    Parameters
    ----------
    pipeline : Pipeline
        Not fitted.
    data : Dataset
    split : Split
        UAR is over the pooled test clips of all its folds.
    n_permutations : int
    seed : int
        Of the shuffles.
    workers : Workers
        Told of every finished fold.

    Returns
    -------
    (n_permutations,) float
    """
    draw = np.random.default_rng(seed)
    uars = []
    for _ in range(n_permutations):
        shuffled = replace(data, clips=data.clips.assign(emotion=_shuffled(data, split, draw)))
        results, _ = evaluate_folds(pipeline, shuffled, split, workers)
        true = np.concatenate([shuffled.labels[result.test] for result in results])
        predicted = np.concatenate([result.predicted for result in results])
        uars.append(METRICS["uar"](true, predicted))
    return np.array(uars)


def _shuffled(data: Dataset, split: Split, draw: np.random.Generator) -> np.ndarray:
    """Emotions in another order, which leaves every fold a training clip of each."""
    for _ in range(MOST_DRAWS):
        shuffled = draw.permutation(data.labels)
        if lacking(shuffled, split.folds) is None:
            return shuffled
    raise SerError(
        f"permutations: of {MOST_DRAWS} orders of the emotions, none leaves every fold a training "
        "clip of each. Set permutations=0, or train on more clips."
    )
