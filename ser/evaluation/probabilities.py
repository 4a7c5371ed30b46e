"""How good probabilities are: ROC and precision-recall curves, and how far they can be believed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn import metrics

N_BINS = 10  # of confidence


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
    y_true: np.ndarray, y_pred: np.ndarray, proba: np.ndarray
) -> tuple[pd.DataFrame, float]:
    """How often the model is right when it is so sure, and the expected calibration error.

    Parameters
    ----------
    y_true, y_pred : (n_clips,)
    proba : (n_clips, n_labels)
        The largest of a row is the model's confidence in `y_pred`.

    Returns
    -------
    bins : (N_BINS, 5) DataFrame
        Bins of equal width, each open below and closed above: low, high, clips, confidence and
        accuracy (means over the bin's clips, NaN where empty).
    error : float
        Mean over clips of the bins' distance between accuracy and confidence, in [0, 1] (Naeini
        et al. 2015; Guo et al. 2017).
    """
    confidence = proba.max(axis=1)
    edges = np.linspace(0, 1, N_BINS + 1)
    member = np.clip(np.searchsorted(edges, confidence) - 1, 0, N_BINS - 1)
    count = np.bincount(member, minlength=N_BINS)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(member, confidence, N_BINS) / count
        right = np.bincount(member, (y_true == y_pred).astype(float), N_BINS) / count
    bins = {"low": edges[:-1], "high": edges[1:], "clips": count}
    error = np.nansum(count * np.abs(right - mean)) / len(y_true)
    return pd.DataFrame(bins | {"confidence": mean, "accuracy": right}), float(error)
