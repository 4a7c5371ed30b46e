"""One fold: a clone of the pipeline, fitted on its training clips, and its answers on the rest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from ser.data.dataset import Dataset
from ser.data.folds import Fold, Split
from ser.evaluation.breakdown import KNOWN
from ser.evaluation.metrics import scores
from ser.evaluation.parallel import Workers, run_fits
from ser.models.pipeline import fit, predict_emotions


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
    learned : list of dict
        Of a selection of an encoder's layers, the rows of its table; empty of others.
    """

    pipeline: Pipeline | None
    test: np.ndarray
    proba: np.ndarray
    predicted: np.ndarray
    fit_seconds: float
    predict_seconds: float
    train_scores: dict[str, float]
    learned: list[dict[str, object]]


def evaluate_folds(
    pipeline: Pipeline, data: Dataset, split: Split, workers: Workers
) -> tuple[list[FoldResult], tuple[str, ...]]:
    """Fit a clone of the pipeline on each fold's training clips and predict its held-out ones.

    Parameters
    ----------
    pipeline : Pipeline
        Not fitted.
    data : Dataset
    split : Split
    workers : Workers

    Returns
    -------
    results : list of FoldResult
    messages : tuple of str
        What the fits warned of, each once.
    """
    jobs = [(evaluate_fold, (pipeline, data, fold, split.grouped)) for fold in split.folds]
    return run_fits(jobs, pipeline, workers)


def evaluate_fold(
    pipeline: Pipeline,
    data: Dataset,
    fold: Fold,
    grouped: bool,
    score_train: bool = False,
    keep: bool = True,
) -> FoldResult:
    """Fit a clone of the pipeline on a fold's training clips and predict its held-out ones.

    Parameters
    ----------
    pipeline : Pipeline
        Not fitted.
    data : Dataset
    fold : Fold
    grouped : bool
        Whether what is fitted inside keeps actors apart too.
    score_train : bool
        Whether the training clips are predicted as well.
    keep : bool
        Whether the fitted pipeline is returned: a model may hold its training clips, and
        twenty-four of them more than a small machine has memory for.
    """
    X, y, labels = data.features, data.labels, data.emotions
    start = time.perf_counter()
    fitted = fit_on(pipeline, data, fold.train, grouped)
    fitted_at = time.perf_counter()
    predicted, proba = predict_emotions(fitted, X[fold.test], labels)
    end = time.perf_counter()
    train_scores = {}
    if score_train:
        train_scores = scores(
            y[fold.train], *predict_emotions(fitted, X[fold.train], labels), labels
        )
    return FoldResult(
        pipeline=fitted if keep else None,
        test=fold.test,
        proba=proba,
        predicted=predicted,
        fit_seconds=fitted_at - start,
        predict_seconds=end - fitted_at,
        train_scores=train_scores,
        learned=getattr(fitted.named_steps.get("selection"), "learned_", []),
    )


def fit_on(pipeline: Pipeline, data: Dataset, rows: np.ndarray, grouped: bool) -> Pipeline:
    """A clone of the pipeline, fitted on some clips of a data set.

    Parameters
    ----------
    pipeline : Pipeline
    data : Dataset
    rows : (n_train,) int
    grouped : bool
        Whether a classifier that asks for `groups` gets the actors.
    """
    groups = data.groups[rows] if grouped else None
    return fit(pipeline, data.features[rows], data.labels[rows], groups=groups)


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
    table.insert(0, "clip", [Path(path).name for path in rows["path"]])
    table.insert(0, "fold", fold)
    table.insert(0, "part", part)
    table["true"] = rows["emotion"].to_numpy(dtype=str)
    table["predicted"] = result.predicted
    for column, emotion in enumerate(labels):
        table[f"p_{emotion}"] = result.proba[:, column]
    return table
