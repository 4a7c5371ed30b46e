"""Predictions -> scores of every emotion, and of every level of what is known of the clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn import metrics

# What a clip table may know of a clip besides its emotion.
KNOWN = ("corpus", "actor", "gender", "intensity", "statement", "repetition")


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


def emotions_of(predictions: pd.DataFrame) -> list[str]:
    """The emotions that a table of predictions has probabilities of."""
    return [column.removeprefix("p_") for column in predictions.filter(regex="^p_")]


def confusions(predictions: pd.DataFrame) -> pd.DataFrame:
    """Clips of each true emotion by what was predicted, for every part of the predictions."""
    labels = emotions_of(predictions)
    tables = []
    for part, of_part in predictions.groupby("part"):
        matrix = metrics.confusion_matrix(of_part["true"], of_part["predicted"], labels=labels)
        table = pd.DataFrame(matrix, columns=[f"predicted_{emotion}" for emotion in labels])
        tables.append(pd.DataFrame({"part": part, "true": labels}).join(table))
    return pd.concat(tables, ignore_index=True)
