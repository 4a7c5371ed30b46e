"""How far a model's probabilities can be believed, in all and for each actor."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd

from ser.check.findings import Finding
from ser.evaluation.metrics import METRICS, Metric
from ser.evaluation.uncertainty import jackknife


def confidence(
    table: pd.DataFrame, units: np.ndarray, level: float, limits: Mapping[str, float]
) -> list[Finding]:
    """AUROC of being right, calibration error, and how good conformal sets are.

    Parameters
    ----------
    table : DataFrame
        true, predicted and ``p_EMOTION``.
    units : (n_clips,)
        Speakers, or what else stands for new ones.
    level : float
        Share of clips whose set is to hold the right answer, in (0, 1).
    limits : mapping of str to float
        Of auroc, ece and coverage.
    """
    probabilities = table.filter(regex="^p_")
    labels = [name.removeprefix("p_") for name in probabilities]
    true, predicted = table["true"].to_numpy(str), table["predicted"].to_numpy(str)
    proba = probabilities.to_numpy(float)
    found = []
    for key, name, unit in (("auroc", "confidence_auroc", ""), ("ece", "ece", "points")):
        metric = METRICS[name]
        score = partial(_of_rows, metric, true, predicted, proba, labels)
        value, low, high = jackknife(score, units)
        found.append(
            Finding(
                part="confidence",
                check="all clips",
                measure=metric.label,
                value=value,
                low=max(low, 0.0),
                high=min(high, 1.0),
                limit=limits[key],
                at_least=metric.higher_is_better,
                unit=unit,
            )
        )
    held, size = conformal_sets(true, proba, labels, units, level=level)
    return found + _of_sets(held, size, units, level, limits["coverage"])


def conformal_sets(
    true: np.ndarray, proba: np.ndarray, labels: list[str], units: np.ndarray, *, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Sets of answers for each clip, large enough to hold the right one in a share of clips.

    A set has all emotions whose probability is no less than a threshold (split conformal, Sadinle
    et al. 2019), which comes from the clips of all other units: as for a new speaker.

    Parameters
    ----------
    true : (n_clips,) str
    proba : (n_clips, n_labels) float
    labels : list of str
    units : (n_clips,)
    level : float
        The share, in (0, 1).

    Returns
    -------
    held : (n_clips,) bool
        Whether the set holds the right answer.
    size : (n_clips,) int
        Emotions in the set.
    """
    column = {label: number for number, label in enumerate(labels)}
    of_true = np.array([proba[i, column[label]] for i, label in enumerate(true)])
    held, size = np.zeros(len(true), dtype=bool), np.zeros(len(true), dtype=int)
    for unit in np.unique(units):
        rows = units == unit
        others = np.sort(of_true[~rows])
        # The k-th lowest: level is a decimal, and 0.2 * 10 must not be a hair below 2.
        k = int(np.floor(round((1 - level) * (len(others) + 1), 9)))
        threshold = others[k - 1] if k > 0 else 0.0
        held[rows] = of_true[rows] >= threshold
        size[rows] = (proba[rows] >= threshold).sum(axis=1)
    return held, size


def _of_rows(
    metric: Metric,
    true: np.ndarray,
    predicted: np.ndarray,
    proba: np.ndarray,
    labels: list[str],
    rows: np.ndarray,
) -> float:
    return metric(true[rows], predicted[rows], proba[rows], labels)


def _mean(values: np.ndarray, rows: np.ndarray) -> float:
    return float(values[rows].mean())


def _of_sets(
    held: np.ndarray, size: np.ndarray, units: np.ndarray, level: float, limit: float
) -> list[Finding]:
    found = []
    sets = f"sets for {100 * level:g} %"
    for measure, values, unit in (("coverage", held, "%"), ("mean size", size, "")):
        value, low, high = jackknife(partial(_mean, values), units)
        is_limited = measure == "coverage"
        found.append(
            Finding(
                part="confidence",
                check=sets,
                measure=measure,
                value=value,
                low=max(low, 0.0),
                high=min(high, 1.0) if is_limited else high,
                limit=limit if is_limited else None,
                at_least=True,
                unit=unit,
            )
        )
    for name in np.unique(units) if units.dtype.kind == "U" else ():
        rows = units == name
        for measure, values, unit in (("coverage", held, "%"), ("mean size", size, "")):
            found.append(
                Finding(
                    part="confidence",
                    check=f"{sets}, speaker {name}",
                    measure=measure,
                    value=float(values[rows].mean()),
                    unit=unit,
                    note=f"{rows.sum()} clips",
                )
            )
    return found
