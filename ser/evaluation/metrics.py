"""Fitting on folds, and predictions -> numbers. Nothing is drawn or logged here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn import metrics

# What a clip table may know of a clip besides its emotion.
KNOWN = ("corpus", "actor", "gender", "intensity", "statement", "repetition")


def scores(
    y_true: np.ndarray, y_pred: np.ndarray, proba: np.ndarray | None, labels: Sequence[str]
) -> dict[str, float]:
    """Accuracy, UAR, macro precision, recall and F1, and log loss.

    Parameters
    ----------
    y_true, y_pred : (n_clips,)
    proba : (n_clips, n_labels) or None
        Columns as `labels`, which must be sorted; without it there is no log loss.
    labels : sequence of str
        Every emotion the model knows. An emotion without a clip in `y_true` is left out of the
        macro averages, as its recall is not defined.

    Returns
    -------
    dict
        `accuracy`, `uar` (mean of the recalls, chance is 1 / n_labels), `precision_macro`,
        `recall_macro` (the same as UAR), `f1_macro`, all in [0, 1], and `log_loss` in nats.
    """
    present = np.unique(y_true)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        y_true, y_pred, labels=present, average="macro", zero_division=0
    )
    numbers = {
        "accuracy": metrics.accuracy_score(y_true, y_pred),
        "uar": recall,
        "precision_macro": precision,
        "recall_macro": recall,
        "f1_macro": f1,
    }
    if proba is not None:
        numbers["log_loss"] = metrics.log_loss(y_true, proba, labels=list(labels))
    return {name: float(value) for name, value in numbers.items()}


def per_class(y_true: np.ndarray, y_pred: np.ndarray, labels: Sequence[str]) -> pd.DataFrame:
    """Precision, recall, F1 (each in [0, 1]) and support (clips) of every emotion.

    Returns
    -------
    (n_labels, 5) DataFrame
        Columns emotion, precision, recall, f1, support.
    """
    columns = metrics.precision_recall_fscore_support(
        y_true, y_pred, labels=list(labels), zero_division=0
    )
    table = pd.DataFrame(dict(zip(("precision", "recall", "f1", "support"), columns, strict=True)))
    table.insert(0, "emotion", list(labels))
    return table


def roc(
    y_true: np.ndarray, proba: np.ndarray, labels: Sequence[str]
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray, float]], float]:
    """ROC curve of each emotion against the rest, and the mean of the areas under them.

    Parameters
    ----------
    y_true : (n_clips,)
    proba : (n_clips, n_labels)
    labels : sequence of str

    Returns
    -------
    curves : dict
        Emotion -> (false positive rate, true positive rate, area); without the emotions that all
        or none of the clips have, as theirs is not defined.
    macro_auc : float
        NaN where no emotion has a curve.
    """
    curves = {}
    for column, emotion in enumerate(labels):
        is_emotion = y_true == emotion
        if 0 < is_emotion.sum() < len(y_true):
            fpr, tpr, _ = metrics.roc_curve(is_emotion, proba[:, column])
            curves[emotion] = (fpr, tpr, float(metrics.auc(fpr, tpr)))
    areas = [area for _, _, area in curves.values()]
    return curves, float(np.mean(areas)) if areas else float("nan")


def precision_recall(
    y_true: np.ndarray, proba: np.ndarray, labels: Sequence[str]
) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """Precision-recall curve of each emotion against the rest.

    Parameters
    ----------
    y_true : (n_clips,)
    proba : (n_clips, n_labels)
    labels : sequence of str

    Returns
    -------
    dict
        Emotion -> (recall, precision, average precision); without emotions that no clip has.
    """
    curves = {}
    for column, emotion in enumerate(labels):
        is_emotion = y_true == emotion
        if is_emotion.any():
            precision, recall, _ = metrics.precision_recall_curve(is_emotion, proba[:, column])
            average = metrics.average_precision_score(is_emotion, proba[:, column])
            curves[emotion] = (recall, precision, float(average))
    return curves


def reliability(
    y_true: np.ndarray, y_pred: np.ndarray, proba: np.ndarray, *, n_bins: int = 10
) -> tuple[pd.DataFrame, float]:
    """How often the model is right when it is so sure, and the expected calibration error.

    Parameters
    ----------
    y_true, y_pred : (n_clips,)
    proba : (n_clips, n_labels)
        The largest of a row is the model's confidence in `y_pred`.
    n_bins : int
        Bins of equal width over confidence, each open below and closed above.

    Returns
    -------
    bins : (n_bins, 5) DataFrame
        low, high, clips, confidence and accuracy (means over the bin's clips, NaN where empty).
    error : float
        Mean over clips of the bins' distance between accuracy and confidence, in [0, 1] (Naeini
        et al. 2015; Guo et al. 2017).
    """
    confidence = proba.max(axis=1)
    edges = np.linspace(0, 1, n_bins + 1)
    member = np.clip(np.searchsorted(edges, confidence) - 1, 0, n_bins - 1)
    count = np.bincount(member, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(member, confidence, n_bins) / count
        right = np.bincount(member, (y_true == y_pred).astype(float), n_bins) / count
    bins = {"low": edges[:-1], "high": edges[1:], "clips": count}
    error = np.nansum(count * np.abs(right - mean)) / len(y_true)
    return pd.DataFrame(bins | {"confidence": mean, "accuracy": right}), float(error)


def breakdown(predictions: pd.DataFrame) -> pd.DataFrame:
    """Scores of every level of what is known of the clips.

    Parameters
    ----------
    predictions : DataFrame
        See `predictions_table`.

    Returns
    -------
    DataFrame
        factor (emotion, intensity, gender, statement, actor), level, clips, accuracy, and uar
        (NaN for one emotion, whose recall is its accuracy).
    """
    factors = {"emotion": "true"} | {
        name: name
        for name in KNOWN
        # The corpus is the same for all test clips; of two corpora, one may not know the rest.
        if name in predictions and name not in ("corpus", "repetition")
        if predictions[name].notna().any()
    }
    hit = (predictions["true"] == predictions["predicted"]).astype(float)
    tables = []
    for factor, column in factors.items():
        level = predictions[column]
        table = pd.DataFrame(
            {
                "clips": hit.groupby(level).size(),
                "accuracy": hit.groupby(level).mean(),
                "uar": hit.groupby([level, predictions["true"]]).mean().groupby(level=0).mean(),
            }
        )
        if factor == "emotion":
            table["uar"] = np.nan
        table = table.rename_axis("level").reset_index()
        table.insert(0, "factor", factor)
        tables.append(table.astype({"level": object}))
    return pd.concat(tables, ignore_index=True)
