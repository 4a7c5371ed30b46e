"""Fitting on folds, and predictions -> numbers. Nothing is drawn or logged here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.pipeline import Pipeline

from ser.parallel import run_fits
from ser.pipeline import fit, heard
from ser.splits import Fold

# What a clip table may know of a clip besides its emotion.
KNOWN = ("corpus", "actor", "gender", "intensity", "statement", "repetition")


@dataclass(frozen=True)
class FoldResult:
    """One fit and its predictions.

    Attributes
    ----------
    pipeline : Pipeline or None
        Fitted on the fold's training clips; None where it was not kept.
    test : (n_test,) int
        Positions of the held-out clips.
    proba : (n_test, n_labels) float
        One column for each emotion of the whole table, sorted; 0 for one that did not train.
    predicted : (n_test,)
    fit_seconds, predict_seconds : float
        Wall time; predict is for all held-out clips together.
    train_scores : dict of str to float
        `scores` on the clips it was fitted on; empty where they were not asked for.
    """

    pipeline: Pipeline | None
    test: np.ndarray
    proba: np.ndarray
    predicted: np.ndarray
    fit_seconds: float
    predict_seconds: float
    train_scores: dict[str, float]


def evaluate_folds(
    pipeline: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None,
    folds: Sequence[Fold],
    *,
    n_jobs: int = -1,
    advance: Callable[[], object] = lambda: None,
) -> tuple[list[FoldResult], tuple[str, ...]]:
    """Fit a clone of the pipeline on each fold's training clips and predict its held-out ones.

    Parameters
    ----------
    X : (n_clips, n_features)
    y : (n_clips,)
    groups : (n_clips,) or None
        Actor of each clip under a grouped split.
    folds : sequence of Fold
    n_jobs : int
        joblib workers; -1 for one per core.
    advance : callable
        Called once for every finished fold.

    Returns
    -------
    results : list of FoldResult
    messages : tuple of str
        What the fits warned of, each once.
    """
    jobs = [(evaluate_fold, (pipeline, X, y, groups, fold)) for fold in folds]
    return run_fits(jobs, pipeline, n_jobs=n_jobs, advance=advance)


def evaluate_fold(
    pipeline: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None,
    fold: Fold,
    score_train: bool = False,
    keep: bool = True,
) -> FoldResult:
    """Fit a clone of the pipeline on a fold's training clips and predict its held-out ones.

    `keep` says whether the fitted pipeline is returned: a model may hold its training clips, and
    twenty-four of them more than a small machine has memory for.
    """
    some, labels = None if groups is None else groups[fold.train], np.unique(y).tolist()
    start = time.perf_counter()
    fitted = fit(pipeline, X[fold.train], y[fold.train], groups=some)
    fitted_at = time.perf_counter()
    predicted, proba = predict(fitted, X[fold.test], labels)
    end = time.perf_counter()
    on_train = {}
    if score_train:
        on_train = scores(y[fold.train], *predict(fitted, X[fold.train], labels), labels)
    return FoldResult(
        fitted if keep else None,
        fold.test,
        proba,
        predicted,
        fitted_at - start,
        end - fitted_at,
        on_train,
    )


def predict(
    fitted: Pipeline, X: np.ndarray, labels: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The most probable emotion of every clip, and the probabilities of all.

    Parameters
    ----------
    X : (n_clips, n_features) or (n_clips, 1 + n_copies, n_features)
        Augmented copies are left out.
    labels : sequence of str
        Sorted; at least the pipeline's own.

    Returns
    -------
    predicted : (n_clips,) str
        As ``fitted.predict`` has it, without going through the clips a second time.
    proba : (n_clips, n_labels) float64
        0 for a label that the pipeline does not know. Rows sum to 1, also where the classifier
        computes in single precision.
    """
    proba = np.zeros((len(X), len(labels)))
    proba[:, np.isin(labels, fitted.classes_)] = fitted.predict_proba(heard(X))
    proba /= proba.sum(axis=1, keepdims=True)
    return np.asarray(labels)[proba.argmax(axis=1)], proba


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


def predictions_table(
    clips: pd.DataFrame, result: FoldResult, labels: Sequence[str], *, part: str, fold: int
) -> pd.DataFrame:
    """Predictions for the held-out clips of a fold, with what is known of each clip.

    Parameters
    ----------
    clips : (n_clips, ...) DataFrame
        The table that `result.test` counts in.
    labels : sequence of str
        Emotions, as the columns of `result.proba`.
    part : {"cv", "validation", "test"}
    fold : int

    Returns
    -------
    (n_test, ...) DataFrame
        part, fold, clip (file name), the clip table's labels, true, predicted, and one column
        `p_EMOTION` for each emotion's probability.
    """
    rows = clips.iloc[result.test]
    known = [column for column in KNOWN if column in rows]
    table = rows[known].reset_index(drop=True)
    table.insert(0, "clip", [path.rsplit("/", 1)[-1] for path in rows["path"]])
    table.insert(0, "fold", fold)
    table.insert(0, "part", part)
    table["true"] = rows["emotion"].to_numpy(dtype=str)
    table["predicted"] = result.predicted
    for column, emotion in enumerate(labels):
        table[f"p_{emotion}"] = result.proba[:, column]
    return table
