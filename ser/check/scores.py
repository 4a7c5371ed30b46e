"""Accuracy, UAR, weighted and macro F1 of predictions, with intervals over speakers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd

from ser.check.findings import Finding
from ser.data.corpora import speakers_known
from ser.evaluation.breakdown import per_class
from ser.evaluation.metrics import METRICS
from ser.evaluation.uncertainty import jackknife, score_intervals

MOST_UNITS = 100  # of clips, so that a score is not computed as often as there are clips

Score = Callable[[np.ndarray, np.ndarray], float]


def weighted_f1(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean of the emotions' F1, weighted by their clips.

    >>> true, predicted = np.array(["a", "a", "a", "b"]), np.array(["a", "a", "b", "b"])
    >>> round(weighted_f1(true, predicted), 4)  # (3 * 0.8 + 1 * 2/3) / 4
    0.7667
    """
    table = per_class(true, predicted, sorted(set(true)))
    return float(np.average(table["f1"], weights=table["support"]))


# As papers call them: "weighted accuracy" (WA) is accuracy, "unweighted accuracy" (UA) is UAR.
SCORES: Mapping[str, tuple[Score, str]] = {
    "accuracy": (METRICS["accuracy"], "also called weighted accuracy (WA) and weighted recall"),
    "UAR": (METRICS["uar"], "mean of the emotions' recalls; also unweighted accuracy (UA)"),
    "weighted F1": (weighted_f1, "mean of the emotions' F1, weighted by their clips"),
    "macro F1": (METRICS["f1_macro"], "mean of the emotions' F1"),
}


def score_findings(table: pd.DataFrame, units: np.ndarray) -> list[Finding]:
    """The four scores over all clips and, of several folds, as the mean over them.

    Parameters
    ----------
    table : DataFrame
        true, predicted and perhaps fold.
    units : (n_clips,)
        What the intervals are over: see `units_of`.
    """
    true, predicted = table["true"].to_numpy(str), table["predicted"].to_numpy(str)
    known = score_intervals(true, predicted, units)  # as every other page of ser has them
    found = []
    for name, (score, about) in SCORES.items():
        value, low, high = jackknife(partial(_of_rows, score, true, predicted), units)
        low, high = known.get(name.lower(), (low, high))
        note = about
        if "fold" in table and len(set(table["fold"])) > 1:
            folds = [score(true[rows], predicted[rows]) for rows in _rows(table["fold"])]
            note = f"{about}; mean over folds {100 * np.mean(folds):.1f}"
        found.append(
            Finding(
                part="scores",
                check="all clips",
                measure=name,
                value=value,
                low=max(low, 0.0),
                high=min(high, 1.0),
                note=note,
            )
        )
    return found


def units_of(table: pd.DataFrame) -> tuple[np.ndarray, str]:
    """What intervals are over: the speakers where they are known, else the clips.

    Of one speaker there is no interval, as its clips do not tell how others differ.

    Returns
    -------
    units : (n_clips,)
        Names of speakers; or of clips a number, of many clips the same for some of them, drawn at
        random (a grouped jackknife).
    name : {"speakers", "clips"}
    """
    if "actor" in table and speakers_known(table):
        return table["actor"].astype(str).to_numpy(str), "speakers"
    return np.random.default_rng(0).permutation(len(table)) % MOST_UNITS, "clips"


def _of_rows(score: Score, true: np.ndarray, predicted: np.ndarray, rows: np.ndarray) -> float:
    return score(true[rows], predicted[rows])


def _rows(folds: pd.Series) -> list[np.ndarray]:
    return list(folds.groupby(folds).indices.values())
