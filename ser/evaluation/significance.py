"""Whether two runs differ by more than luck: paired tests over actors."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from ser.core.errors import SerError
from ser.evaluation.metrics import scores


def scores_by_actor(
    predictions: Mapping[str, pd.DataFrame], metric: str = "accuracy"
) -> pd.DataFrame:
    """Score of every actor's test clips in every run.

    Parameters
    ----------
    predictions : mapping of str to DataFrame
        Run -> its test rows of `folds.predictions_table`.
    metric : str
        ``accuracy``, ``uar``, ...

    Returns
    -------
    (n_actors, n_runs) DataFrame

    Raises
    ------
    SerError
        If there is no such metric, or the runs were not tested on the same clips.
    """
    columns, reference = {}, None
    for name, table in predictions.items():
        clips = set(table["clip"])
        reference = reference or (name, clips)
        if clips != reference[1]:
            raise SerError(
                f"{name} was tested on {len(clips)} clips and {reference[0]} on "
                f"{len(reference[1])}, {len(clips & reference[1])} of them the same: only runs on "
                "the same test clips (the same split and seed) can be compared in pairs."
            )
        by_actor = table.groupby("actor")[["true", "predicted"]]
        columns[name] = by_actor.apply(lambda clips: _metric_of_actor(clips, metric))
    return pd.DataFrame(columns)


def _metric_of_actor(clips: pd.DataFrame, metric: str) -> float:
    every = scores(clips["true"].to_numpy(), clips["predicted"].to_numpy(), None, ())
    if metric not in every:
        raise SerError(f"metric={metric!r} is none of {', '.join(every)}.")
    return every[metric]


def paired_tests(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Wilcoxon signed-rank test of every pair of runs over actors, corrected by Holm's method.

    Parameters
    ----------
    accuracy : (n_actors, n_runs) DataFrame

    Returns
    -------
    DataFrame
        a, b, difference (mean over actors of b minus a), better_actors (where b is better),
        actors, p and p_holm.
    """
    from scipy.stats import wilcoxon

    rows = []
    for a, b in combinations(accuracy.columns, 2):
        difference = (accuracy[b] - accuracy[a]).to_numpy()
        # Rounded: 7/60 - 6/60 and 2/60 - 1/60 must tie.
        difference = np.round(difference, 9)
        p = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
        rows.append((a, b, difference.mean(), int((difference > 0).sum()), len(difference), p))
    table = pd.DataFrame(rows, columns=["a", "b", "difference", "better_actors", "actors", "p"])
    return table.assign(p_holm=holm(table["p"].to_numpy()))


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
