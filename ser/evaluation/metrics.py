"""The metrics: one registry that every table, page, card, log and search reads.

A metric is one entry of `METRICS`. It is computed for every part of a run and logged as
``train_NAME``, ``cv_NAME_mean``, ``test_NAME``, ...; it stands in the terminal's table, on the
run's page and in its model card (if `in_tables`); ``--run best`` can be the best by it, and a
search can look for the best of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan, nan
from typing import Any

import numpy as np
from sklearn import metrics

from ser.core.errors import SerError
from ser.evaluation.probabilities import reliability, roc

# (y_true, y_pred, proba or None, labels) -> the score
Function = Callable[[np.ndarray, np.ndarray, Any, Sequence[str]], float]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A way to score predictions, and to write the score.

    Attributes
    ----------
    name : str
        Its part of the logged names, ``test_NAME``: letters, digits and ``_``.
    label : str
        What tables and pages call it.
    function : callable
        (y_true, y_pred, proba, labels) -> float: (n_clips,) str, (n_clips,) str, (n_clips,
        n_labels) float or None, and every emotion that the model knows, sorted.
    unit : str
        ``%`` and ``points`` of what lies in [0, 1], which are written times 100; else the score's
        own unit, or none.
    digits : int
        Written behind the decimal point.
    higher_is_better : bool
    needs_proba : bool
        Whether it scores probabilities rather than predictions.
    per_fold : bool
        Whether it means something on the clips of one fold; else it is of a whole part only.
    in_tables : bool
        Whether tables of scores have a column of it, and the model card a line.
    """

    name: str
    label: str
    function: Function
    unit: str = "%"
    digits: int = 1
    higher_is_better: bool = True
    needs_proba: bool = False
    per_fold: bool = True
    in_tables: bool = True

    def __call__(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        proba: np.ndarray | None = None,
        labels: Sequence[str] = (),
    ) -> float:
        """Score predictions; see `scores`."""
        return float(self.function(y_true, y_pred, proba, labels))

    @property
    def scale(self) -> int:
        """What a score is multiplied by when it is written."""
        return 100 if self.unit in ("%", "points") else 1

    @property
    def heading(self) -> str:
        """Of a column: the label and the unit."""
        if self.unit in ("", "%"):
            return f"{self.label} {self.unit}".strip()
        return f"{self.label} ({self.unit})"

    def text(self, value: float, deviation: float = nan) -> str:
        """A score, or a mean and its deviation, as they are written everywhere.

        >>> METRICS["uar"].text(0.6613), METRICS["uar"].text(0.6352, 0.0241)
        ('66.1', '63.5 ± 2.4')
        """
        spread = "" if isnan(deviation) else f" ± {self.scale * deviation:.{self.digits}f}"
        return f"{self.scale * value:.{self.digits}f}{spread}"

    def text_with_unit(self, value: float) -> str:
        """As `text`, with the unit.

        >>> METRICS["log_loss"].text_with_unit(1.25)
        '1.250 nats'
        """
        return f"{self.text(value)} {self.unit}".strip()

    def text_of_part(self, numbers: Mapping[str, float], part: str) -> str:
        """The score of a run's part; empty where the run has none, or what is no number.

        Of the cross-validation it is mean and deviation over folds (``cv_NAME``, in the log of an
        old version, is the last fold), of other parts the score of all their clips.

        Parameters
        ----------
        numbers : mapping of str to float
            A run's metrics.
        part : {"train", "cv", "validation", "test"}
        """
        key = f"{part}_{self.name}"
        score, mean = numbers.get(key, nan), numbers.get(f"{key}_mean", nan)
        if not isnan(mean) and (part == "cv" or isnan(score)):
            return self.text(mean, numbers.get(f"{key}_std", nan))
        return "" if isnan(score) or part == "cv" else self.text(score)

    def text_of_interval(self, numbers: Mapping[str, float]) -> str:
        """The ends of the test score's 95 % interval, ``60.8 to 71.3``; empty without one."""
        ends = [numbers.get(f"test_{self.name}_{end}", nan) for end in ("low", "high")]
        return "" if any(map(isnan, ends)) else " to ".join(map(self.text, ends))


def _accuracy(
    y_true: np.ndarray, y_pred: np.ndarray, proba: np.ndarray | None, labels: Sequence[str]
) -> float:
    return np.mean(y_true == y_pred)


# Of an emotion, from how many of its clips are named right, it has, and are named so.
# scikit-learn's functions give the same, and take forty times as long on a fold's hundred clips.
def _recall(right: np.ndarray, n_true: np.ndarray, n_pred: np.ndarray) -> np.ndarray:
    return right / n_true


def _precision(right: np.ndarray, n_true: np.ndarray, n_pred: np.ndarray) -> np.ndarray:
    return right / np.maximum(n_pred, 1)  # 0 of an emotion that is never named


def _f1(right: np.ndarray, n_true: np.ndarray, n_pred: np.ndarray) -> np.ndarray:
    return 2 * right / (n_true + n_pred)


def _macro(
    score: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    y_true: np.ndarray,
    y_pred: np.ndarray,
    proba: np.ndarray | None,
    labels: Sequence[str],
) -> float:
    """Mean over the emotions that `y_true` has: of another the recall is not defined."""
    present, of_clip, n_true = np.unique(y_true, return_inverse=True, return_counts=True)
    right = np.bincount(of_clip, y_true == y_pred)
    n_pred = (np.asarray(y_pred) == present[:, None]).sum(axis=1)
    return score(right, n_true, n_pred).mean()


def _log_loss(
    y_true: np.ndarray, y_pred: np.ndarray, proba: np.ndarray | None, labels: Sequence[str]
) -> float:
    return metrics.log_loss(y_true, proba, labels=list(labels))


def _ece(y_true: np.ndarray, y_pred: np.ndarray, proba: np.ndarray, labels: Sequence[str]) -> float:
    return reliability(y_true, y_pred, proba)[1]


def _auc(y_true: np.ndarray, y_pred: np.ndarray, proba: np.ndarray, labels: Sequence[str]) -> float:
    return roc(y_true, proba, labels)[1]


def _confidence_auroc(
    y_true: np.ndarray, y_pred: np.ndarray, proba: np.ndarray, labels: Sequence[str]
) -> float:
    """Whether the model is surer where it is right: of a right and a wrong clip, how often."""
    right = y_true == y_pred
    if right.all() or not right.any():
        return nan
    return metrics.roc_auc_score(right, proba.max(axis=1))


# In the order of tables. UAR, the mean of the emotions' recalls, is also called balanced accuracy;
# chance is 1 / n_labels. The calibration error is that of `probabilities.reliability`.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(name="accuracy", label="accuracy", function=_accuracy),
        Metric(name="uar", label="UAR", function=partial(_macro, _recall)),
        Metric(
            name="precision_macro",
            label="macro precision",
            function=partial(_macro, _precision),
            in_tables=False,
        ),
        Metric(
            name="recall_macro",
            label="macro recall",
            function=partial(_macro, _recall),
            in_tables=False,
        ),
        Metric(name="f1_macro", label="macro F1", function=partial(_macro, _f1)),
        Metric(
            name="log_loss",
            label="log loss",
            function=_log_loss,
            unit="nats",
            digits=3,
            higher_is_better=False,
            needs_proba=True,
        ),
        Metric(
            name="ece",
            label="calibration error",
            function=_ece,
            unit="points",
            higher_is_better=False,
            needs_proba=True,
            per_fold=False,
            in_tables=False,
        ),
        Metric(
            name="confidence_auroc",
            label="AUROC of confidence",
            function=_confidence_auroc,
            unit="",
            digits=3,
            needs_proba=True,
            per_fold=False,
            in_tables=False,
        ),
        Metric(
            name="auc_macro",
            label="macro AUC",
            function=_auc,
            unit="",
            digits=3,
            needs_proba=True,
            per_fold=False,
            in_tables=False,
        ),
    )
}
HEADLINES = ("uar", "accuracy")  # what a run is judged by, the first before all; with intervals


def scores(
    y_true: np.ndarray,
    y_pred: np.ndarray,
    proba: np.ndarray | None,
    labels: Sequence[str],
    *,
    per_fold: bool = True,
) -> dict[str, float]:
    """Score of predictions by every metric that can be had.

    Parameters
    ----------
    y_true, y_pred : (n_clips,)
    proba : (n_clips, n_labels) or None
        Columns as `labels`, which must be sorted; without it there is no log loss.
    labels : sequence of str
        Every emotion the model knows. An emotion without a clip in `y_true` is left out of the
        macro averages.
    per_fold : bool
        Whether the clips are those of a single fold, on which some metrics mean nothing.

    Returns
    -------
    dict of str to float
        By name, without what is not defined: the AUC where all clips are of one emotion.
        `accuracy`, `uar` (mean of the recalls), `precision_macro`, `recall_macro` (the same as UAR)
        and `f1_macro` are in [0, 1], `log_loss` in nats.
    """
    found = {
        metric.name: metric(y_true, y_pred, proba, labels)
        for metric in METRICS.values()
        if metric.per_fold or not per_fold
        if proba is not None or not metric.needs_proba
    }
    return {name: score for name, score in found.items() if not isnan(score)}


def table_metrics() -> list[Metric]:
    """The columns of a table of scores."""
    return [metric for metric in METRICS.values() if metric.in_tables]


def tunable() -> list[str]:
    """Names of what a search can look for the best of: it means something fold by fold."""
    return [metric.name for metric in METRICS.values() if metric.per_fold]


def higher_is_better(key: str) -> bool:
    """Whether the best of several runs is the one that has most of a logged metric.

    Raises
    ------
    SerError
        If it is a series, of which the log compares the last fold or epoch alone.

    >>> higher_is_better("test_uar"), higher_is_better("cv_log_loss_mean")
    (True, False)
    """
    if re.match("(cv_)?fold_|epoch_", key) or key.removeprefix("cv_") in METRICS:
        raise SerError(f"{key} is a series, with its last step in place of a score: take the mean.")
    key = re.sub(r"_(mean|low|high)$", "", key)
    names = [name for name in METRICS if f"_{key}".endswith(f"_{name}")]
    if names:
        return METRICS[max(names, key=len)].higher_is_better
    return not key.endswith("seconds")
