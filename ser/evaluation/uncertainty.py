"""How far a score could have come out otherwise: confidence intervals, label permutations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.special import ndtri, stdtrit
from sklearn.pipeline import Pipeline

from ser.core.errors import SerError
from ser.data.dataset import Dataset
from ser.data.folds import Split, lacking
from ser.evaluation.folds import evaluate_folds
from ser.evaluation.metrics import METRICS
from ser.evaluation.parallel import Workers

ROUNDING = 1e-9  # of a mean of shares that are all alike
MOST_DRAWS = 10_000  # of one order of the emotions


def score_intervals(
    y_true: np.ndarray, y_pred: np.ndarray, units: np.ndarray | None, *, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Confidence intervals of accuracy and UAR.

    Clips of one actor succeed and fail together. Where the question is how a model does on other
    actors, the actors are the sample: taking clips for it would claim more certainty than there is.
    A percentile bootstrap does so as well where actors are few: of 95 % it covers 86 over six.

    Over actors it is Student's t, with the error of `uar_over_units`; the error shrinks towards 0
    and 1 as in Wilson's interval, so that the ends stay between them (as the effective sample size
    of Korn & Graubard 1998 has it). Over clips it is the interval for a mean of proportions by
    Price & Bonett (2004, doi 10.1016/j.csda.2003.10.004), which adds two right and two wrong clips.

    Parameters
    ----------
    y_true, y_pred : (n_clips,)
    units : (n_clips,) or None
        What was drawn: the actor of each clip; None where it was the clips.
    level : float
        Of the interval, in (0, 1).

    Returns
    -------
    dict
        `accuracy` and `uar`, each (low, high) in [0, 1]. Empty of one actor, or of one clip: it
        says nothing of how others differ.
    """
    n_units = len(y_true) if units is None else len(np.unique(units))
    if n_units < 2:
        return {}
    hit = (y_true == y_pred).astype(float)
    ends = {}
    for name, group in (("accuracy", np.zeros(len(hit))), ("uar", y_true)):
        if units is None:
            ends[name] = _over_clips(hit, group, level)
        else:
            (score,), (error,) = _mean_and_error(hit[None], group, units)
            ends[name] = _bent(score, _t(n_units, level) * error, n_units, level)
    return ends


def uar_over_units(
    values: np.ndarray, y: np.ndarray, units: np.ndarray, *, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """UAR of anything that clips have in the place of hits, with its interval (Student's t).

    Parameters
    ----------
    values : (n_rows, n_clips) float
        In [-1, 1]; averaged over the clips of each emotion, then over emotions.
    y : (n_clips,) str
        Emotions.
    units : (n_clips,)
        What was drawn: the actor of each clip.
    level : float
        Of the interval, in (0, 1).

    Returns
    -------
    uar, low, high : (n_rows,) float
        Of one unit, low and high are not numbers.
    """
    uar, error = _mean_and_error(values, y, units)
    half = _t(len(np.unique(units)), level) * error
    return uar, np.maximum(uar - half, -1), np.minimum(uar + half, 1)


def jackknife(
    score: Callable[[np.ndarray], float], units: np.ndarray
) -> tuple[float, float, float]:
    """A score of clips with its 95 % interval, from leaving out one unit after the other.

    For scores that are no means, such as an AUROC: the interval is Student's t with the jackknife's
    error (Efron & Stein 1981).

    Parameters
    ----------
    score : callable
        (n_clips,) bool, which clips -> their score; NaN where it is not defined.
    units : (n_clips,)
        What was drawn: the actor of each clip.

    Returns
    -------
    score, low, high : float
        Low and high are not numbers of one unit, or where the score is not defined without one.
    """
    names = np.unique(units)
    n, whole = len(names), score(np.ones(len(units), dtype=bool))
    if n < 2:
        return whole, np.nan, np.nan
    without = np.array([score(units != name) for name in names])
    half = _t(n, 0.95) * np.sqrt((n - 1) * without.var())
    return whole, whole - half, whole + half


def _mean_and_error(
    values: np.ndarray, groups: np.ndarray, units: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean over groups of the means of their clips, and its standard error over units.

    The error is of the linearised mean: what every unit adds to it, beside what its clips would
    add at the groups' means (Taylor linearisation, as for cluster samples). A group within one
    unit adds none.
    """
    _, group = np.unique(groups, return_inverse=True)
    names, unit = np.unique(units, return_inverse=True)
    member = group[:, None] == np.arange(group.max() + 1)
    size = member.sum(axis=0)
    means = values @ member / size  # (n_rows, n_groups)
    share = (values - means[:, group]) / (size[group] * len(size))
    of_unit = np.zeros((len(names), len(values)))
    np.add.at(of_unit, unit, share.T)
    n = len(names)
    return means.mean(axis=1), np.sqrt(n / max(n - 1, 1) * (of_unit**2).sum(axis=0))


def _t(n_units: int, level: float) -> float:
    return float(stdtrit(n_units - 1, (1 + level) / 2))


def _bent(score: float, half: float, n_units: int, level: float) -> tuple[float, float]:
    """The interval score ± half, its width following sqrt(p (1 - p)) as Wilson's does."""
    variance = score * (1 - score)
    # Units that do not differ (all right, all wrong) say as much as if each were one clip.
    c = half**2 / variance if half > ROUNDING else _t(n_units, level) ** 2 / n_units
    middle, width = score + c / 2, np.sqrt(c * variance + c**2 / 4)
    low, high = float((middle - width) / (1 + c)), float((middle + width) / (1 + c))
    return max(0.0, min(low, score)), min(1.0, max(high, score))  # rounded, 1 may be above its own


def _over_clips(hit: np.ndarray, groups: np.ndarray, level: float) -> tuple[float, float]:
    _, group = np.unique(groups, return_inverse=True)
    size = np.bincount(group)
    n_groups = len(size)
    added = 2 / n_groups  # to the right and to the wrong clips of each
    n = size + 2 * added
    p = (np.bincount(group, hit) + added) / n
    half = ndtri((1 + level) / 2) * np.sqrt((p * (1 - p) / n).sum()) / n_groups
    return max(0.0, float(p.mean() - half)), min(1.0, float(p.mean() + half))


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
    leak into the training (Ojala & Garriga 2010). A leak that needs the true emotions is gone with
    them, and is not seen: the same clip under two names, features that hold the emotion.

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
