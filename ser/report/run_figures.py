"""A run's tables -> its figures: drawn when the run is logged, and again for a paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd

from ser.core.comparable import INDUCTIVE, kind_of
from ser.evaluation.breakdown import breakdown, confusions, emotions_of
from ser.evaluation.metrics import METRICS
from ser.evaluation.probabilities import precision_recall, reliability, roc
from ser.report import figures, training_figures
from ser.report.scores import PARTS
from ser.report.style import Figure
from ser.tracking.queries import LoggedRun

Draws = dict[str, Callable[[], Figure]]


def headline(run: LoggedRun, n_clips: int) -> str:
    """What every figure of a run's test clips says of them: run, UAR, clips, protocol."""
    uar, tags = METRICS["uar"], run.tags
    score = uar.text_with_unit(run.metrics["test_uar"])
    ends = uar.text_of_interval(run.metrics)
    score += f" ({ends})" if ends else ""
    kind = "" if kind_of(tags) == INDUCTIVE else f" · {kind_of(tags)}"
    return f"{run.name} · UAR {score} · {n_clips} test clips · {tags.get('protocol', '')}{kind}"


def run_figures(
    run: LoggedRun, tables: Mapping[str, pd.DataFrame], listeners: Mapping[str, float]
) -> Draws:
    """What draws each figure of a trained model that its tables hold, by name.

    Parameters
    ----------
    run : LoggedRun
        Its name, tags and metrics.
    tables : mapping of str to DataFrame
        By name; without predictions there is no figure.
    listeners : mapping of str to float
        Emotion -> recall of human listeners, in percent; may be empty.
    """
    if "predictions" not in tables:
        return {}
    predictions = tables["predictions"]
    labels = emotions_of(predictions)
    test = predictions[predictions["part"] == "test"]
    about = headline(run, len(test))
    drawn = confusion_figures(run.name, predictions, run.tags.get("protocol", "")) | _test_figures(
        test, labels, about
    )
    drawn["breakdown"] = partial(
        figures.plot_breakdown, breakdown(test), listeners=listeners, about=about
    )
    for name, table in tables.items():
        title, _, of_what = name.partition("_curve")
        if title in ("learning", "validation") and of_what[:1] in ("", "_"):
            drawn[name] = partial(
                training_figures.plot_accuracy_curve,
                table,
                title=f"{title.capitalize()} curve",
                n_labels=len(labels),
                about=about,
            )
    if "permutations" in tables:
        drawn["permutations"] = partial(
            training_figures.plot_permutations,
            tables["permutations"]["uar"],
            real=run.metrics["test_uar"],
            n_labels=len(labels),
            p=run.metrics["permuted_p"],
            about=about,
        )
    plots: dict[str, Callable[..., Figure]] = {
        "layers": training_figures.plot_layers,
        "feature_importance": training_figures.plot_feature_importance,
    }
    for name in plots.keys() & tables.keys():
        drawn[name] = partial(plots[name], tables[name], about=about)
    return drawn


def confusion_figures(name: str, predictions: pd.DataFrame, protocol: str) -> Draws:
    """What draws the confusion matrix of each part of a run's predictions."""
    labels = emotions_of(predictions)
    return {
        f"confusion_matrix_{part}": partial(
            figures.plot_confusion_matrix,
            matrix.iloc[:, 2:].to_numpy(),
            labels,
            about=f"{name} · {protocol}",
            of=PARTS[part],
        )
        for part, matrix in confusions(predictions).groupby("part")
    }


def _test_figures(test: pd.DataFrame, labels: list[str], about: str) -> Draws:
    true, predicted = test["true"].to_numpy(), test["predicted"].to_numpy()
    proba = test.filter(regex="^p_").to_numpy()
    curves, macro_auc = roc(true, proba, labels)
    bins, error = reliability(true, predicted, proba)
    shares = {emotion: float(np.mean(true == emotion)) for emotion in labels}
    return {
        "roc": partial(figures.plot_roc, curves, macro_auc=macro_auc, about=about),
        "precision_recall": partial(
            figures.plot_precision_recall,
            precision_recall(true, proba, labels),
            shares=shares,
            about=about,
        ),
        "reliability": partial(figures.plot_reliability, bins, error=error, about=about),
    }
