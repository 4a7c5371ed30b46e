"""Whether two runs differ by more than luck: paired tests over actors."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtrit

from ser.core.comparable import kind_of, reason
from ser.core.errors import SerError
from ser.evaluation.metrics import scores

_COLUMNS = ("actor", "clip", "fold", "true", "predicted")  # of predictions, at least
EXACT = 40  # actors up to which every flip of signs is counted
FLIPS = 100_000  # drawn for more of them
RESAMPLES = (100, 100)  # batches, and samples of the actors in each


def check_comparable(
    predictions: Mapping[str, pd.DataFrame], tags: Mapping[str, Mapping[str, str]]
) -> None:
    """Refuse runs that answer different questions.

    Parameters
    ----------
    predictions : mapping of str to DataFrame
        Run -> its test rows of `folds.predictions_table`.
    tags : mapping of str to mapping
        Run -> its tags, of which ``transductive`` and ``split`` are looked at.

    Raises
    ------
    SerError
        If there are fewer than two, or two differ in whether they are transductive, the split, the
        test clips, their emotions, or the folds.
    """
    if len(predictions) < 2:
        raise SerError(f"Give two or more different runs to compare, not {len(predictions)}.")
    for name, table in predictions.items():
        if missing := [column for column in _COLUMNS if column not in table]:
            raise SerError(
                f"The predictions of {name} have no column {', '.join(missing)}: its table "
                "tables/predictions.csv is damaged, or of a run that evaluated no model."
            )
    first, *others = predictions
    for other in others:
        a, b = tags[first], tags[other]
        kinds = {name: kind_of(of) for name, of in ((first, a), (other, b))}
        if kinds[first] != kinds[other]:
            why = "; ".join(f"{name} is {kind}" for name, kind in kinds.items())
            reasons = "; ".join(filter(None, map(reason, kinds.values())))
            raise SerError(
                f"{why} ({reasons}): they answer different questions. Compare them apart."
            )
        if a.get("split") != b.get("split"):
            raise SerError(
                f"{first} has split={a.get('split')} and {other} split={b.get('split')}: they "
                "answer different questions. Compare runs under one split."
            )
        _check_same_clips(first, predictions[first], other, predictions[other])


def _check_same_clips(first: str, a: pd.DataFrame, other: str, b: pd.DataFrame) -> None:
    """Whether two runs tested the same clips, as the same emotions, in the same folds."""
    a, b = (table.sort_values(["actor", "clip", "fold"], ignore_index=True) for table in (a, b))
    clips = [set(zip(table["actor"], table["clip"], strict=True)) for table in (a, b)]
    if not a[["actor", "clip"]].equals(b[["actor", "clip"]]):
        raise SerError(
            f"{other} was tested on {len(b)} clips and {first} on {len(a)}, "
            f"{len(clips[0] & clips[1])} of them the same: only runs on the same test clips (the "
            "same split and seed) can be compared in pairs."
        )
    labels = [{column for column in table if column.startswith("p_")} for table in (a, b)]
    if labels[0] != labels[1] or not a["true"].equals(b["true"]):
        names = [", ".join(sorted(c.removeprefix("p_") for c in every)) for every in labels]
        raise SerError(
            f"{first} and {other} were tested on the same clips with other labels: {names[0]}; and "
            f"{names[1]}. Compare runs with the same data.labels."
        )
    # Numbered as they come, two partitions are equal where they are the same.
    folds = [pd.factorize(table["fold"])[0] for table in (a, b)]
    if not np.array_equal(*folds):
        raise SerError(
            f"{first} and {other} were tested on the same clips in other folds "
            f"({folds[0].max() + 1} and {folds[1].max() + 1}): their models have learned from "
            "other clips. Compare runs under one split with one seed."
        )


def scores_by_actor(predictions: Mapping[str, pd.DataFrame], metric: str) -> pd.DataFrame:
    """Score of every actor's test clips in every run.

    Parameters
    ----------
    predictions : mapping of str to DataFrame
        Run -> its test rows of `folds.predictions_table`, of the same clips.
    metric : str
        ``uar``, ``accuracy``, ...

    Returns
    -------
    (n_actors, n_runs) DataFrame

    Raises
    ------
    SerError
        If there is no such metric.
    """
    columns = {}
    for name, table in predictions.items():
        by_actor = table.groupby("actor")[["true", "predicted"]]
        columns[name] = by_actor.apply(lambda clips: _metric_of_actor(clips, metric))
    return pd.DataFrame(columns)


def _metric_of_actor(clips: pd.DataFrame, metric: str) -> float:
    every = scores(clips["true"].to_numpy(), clips["predicted"].to_numpy(), None, ())
    if metric not in every:
        raise SerError(f"metric={metric!r} is none of {', '.join(every)}.")
    return every[metric]


def paired_tests(by_actor: pd.DataFrame) -> pd.DataFrame:
    """Sign-flip permutation test of every pair of runs over actors, corrected by Holm's method.

    Parameters
    ----------
    by_actor : (n_actors, n_runs) DataFrame
        Scores in [0, 1].

    Returns
    -------
    DataFrame
        a, b, difference (mean over actors of b minus a), low, high (`difference_interval`),
        better_actors (where b is better), actors, p and p_holm.
    """
    rows = []
    for a, b in combinations(by_actor.columns, 2):
        # Rounded: 7/60 - 6/60 and 2/60 - 1/60 must tie.
        difference = np.round((by_actor[b] - by_actor[a]).to_numpy(), 9)
        better, p = int((difference > 0).sum()), sign_flip_p(difference)
        low, high = difference_interval(difference)
        rows.append((a, b, difference.mean(), low, high, better, len(difference), p))
    columns = ["a", "b", "difference", "low", "high", "better_actors", "actors", "p"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_holm=holm(table["p"].to_numpy()))


def difference_interval(differences: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Interval of a mean difference by a bootstrap over actors, with all clips of one together.

    Percentiles of 10,000 resampled means, as far out as Student's t asks for so few actors: the
    expanded percentile interval (Hesterberg 2015, doi 10.1080/00031305.2015.1089789).

    Parameters
    ----------
    differences : (n_actors,) float
    level : float
        Above 0, below 1.

    Returns
    -------
    low, high : float
        nan for a single actor.
    """
    n_actors = len(differences)
    if n_actors < 2:
        return np.nan, np.nan
    draw = np.random.default_rng(0)
    batches, size = RESAMPLES
    means = [
        differences[draw.integers(n_actors, size=(size, n_actors))].mean(axis=1)
        for _ in range(batches)
    ]
    widened = np.sqrt(n_actors / (n_actors - 1)) * stdtrit(n_actors - 1, (1 + level) / 2)
    tail = ndtr(-widened)
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)


def sign_flip_p(differences: np.ndarray) -> float:
    """How often a mean as far from zero comes up if each difference's sign is a coin's.

    If two runs are equally good, an actor's two scores could as well be swapped: all 2 ** n swaps
    are equally likely (Fisher 1935). Of up to `EXACT` differences every one is counted, as each
    is a sum of one half's and one of the other's; of more `FLIPS` are drawn.

    Parameters
    ----------
    differences : (n,) float

    Returns
    -------
    float
        Two-sided p; at least 2 / 2 ** n.

    Examples
    --------
    >>> sign_flip_p(np.array([0.1, 0.2, 0.3])), sign_flip_p(np.array([0.1, 0.2, -0.3]))
    (0.25, 1.0)
    """
    moved = differences[differences != 0]  # a zero has no sign
    least = abs(moved.sum()) - 1e-8
    if least <= 0:
        return 1.0
    if len(moved) > EXACT:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(FLIPS, len(moved)))
        return float(1 + (np.abs(signs @ moved) >= least).sum()) / (1 + FLIPS)
    half, other = (_signed_sums(part) for part in np.array_split(moved, 2))
    as_far = len(other) - np.searchsorted(np.sort(other), least - half)
    return float(2 * as_far.sum() / 2 ** len(moved))


def _signed_sums(values: np.ndarray) -> np.ndarray:
    """The sums of the values under all 2 ** n choices of signs."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums - value, sums + value])
    return sums


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down correction.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1)
    return corrected
