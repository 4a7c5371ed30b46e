"""A run's predictions -> matplotlib figures.

Nothing is computed that a table does not hold, saved or logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ser.core.printable import shown
from ser.report.style import COLOURS, Figure, colours, short, stacked_bars

MOST_LEVELS = 20  # of a factor that a breakdown draws; a table has more


def plot_confusion_matrix(counts: np.ndarray, labels: Sequence[str], *, title: str) -> Figure:
    """Confusion matrix twice: clips, and recall in percent of each true emotion.

    Parameters
    ----------
    counts : (n_labels, n_labels) int
        Rows are true, columns predicted.
    labels : sequence of str
    title : str
        What was predicted; the number of clips is added.
    """
    figure = Figure(figsize=(13, 6), layout="constrained")
    figure.suptitle(f"{title} · {counts.sum()} clips")
    support = counts.sum(axis=1, keepdims=True)
    percent = 100 * counts / np.maximum(support, 1)
    names = [short(label) for label in labels]
    panels = ((counts, "clips", None), (percent, "percent of the true emotion's clips", 100))
    for axes, (values, unit, top) in zip(figure.subplots(1, 2), panels, strict=True):
        image = axes.imshow(values, cmap="Blues", vmin=0, vmax=top)
        axes.set_xticks(range(len(labels)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(labels)), names)
        axes.set(xlabel="predicted emotion", ylabel="true emotion", title=unit)
        middle = image.norm.vmax / 2
        for row, column in np.ndindex(*values.shape):
            colour = "white" if values[row, column] > middle else "black"
            axes.text(
                column,
                row,
                f"{values[row, column]:.0f}",
                ha="center",
                va="center",
                color=colour,
                in_layout=False,  # inside of its cell; measuring them takes as long as drawing
            )
    return figure


def plot_roc_and_precision_recall(
    roc: Mapping[str, tuple[np.ndarray, np.ndarray, float]],
    precision_recall: Mapping[str, tuple[np.ndarray, np.ndarray, float]],
    *,
    macro_auc: float,
    n_clips: int,
) -> Figure:
    """One-vs-rest ROC and precision-recall curve of every emotion.

    Parameters
    ----------
    roc : mapping
        Emotion -> (false positive rate, true positive rate, area under the curve).
    precision_recall : mapping
        Emotion -> (recall, precision, average precision).
    macro_auc : float
        Mean of the areas.
    n_clips : int
    """
    figure = Figure(figsize=(13, 6.3), layout="constrained")
    figure.suptitle(f"One emotion against the rest · macro AUC {macro_auc:.3f} · {n_clips} clips")
    left, right = figure.subplots(1, 2)
    for axes, curves in ((left, roc), (right, precision_recall)):
        for (emotion, (x, y, area)), colour in zip(curves.items(), colours(), strict=False):
            axes.plot(x, y, color=colour, label=f"{short(emotion)} ({area:.2f})")
    left.plot([0, 1], [0, 1], color="grey", linestyle=":", label="chance (0.50)")
    left.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    left.legend(title="emotion (area)", loc="lower right")
    right.set(xlabel="recall", ylabel="precision", title="precision and recall", ylim=(0, 1.02))
    right.legend(title="emotion (average precision)", loc="upper right", fontsize="small")
    return figure


def plot_reliability(bins: pd.DataFrame, *, error: float) -> Figure:
    """Accuracy against confidence, and how many clips there are of each.

    Parameters
    ----------
    bins : DataFrame
        See `evaluation.reliability`.
    error : float
        Expected calibration error.
    """
    figure = Figure(figsize=(6.5, 6.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    width = bins["high"] - bins["low"]
    upper.bar(bins["low"], bins["accuracy"], width, align="edge", color=COLOURS[0], edgecolor="w")
    upper.plot([0, 1], [0, 1], color="grey", linestyle=":", label="as sure as right")
    upper.plot(bins["confidence"], bins["accuracy"], "o", color=COLOURS[1], label="bin means")
    upper.set(ylabel="accuracy", ylim=(0, 1))
    upper.set_title(
        f"Reliability · expected calibration error {error:.3f} · {bins['clips'].sum()} clips"
    )
    upper.legend(loc="upper left")
    lower.bar(bins["low"], bins["clips"], width, align="edge", color=COLOURS[0], edgecolor="w")
    lower.set(xlabel="probability of the predicted emotion", ylabel="clips", xlim=(0, 1))
    return figure


def plot_breakdown(table: pd.DataFrame, *, listeners: Mapping[str, float], title: str) -> Figure:
    """Accuracy by everything known of the clips, the listeners' beside the emotions'.

    Parameters
    ----------
    table : DataFrame
        See `evaluation.breakdown`.
    listeners : mapping of str to float
        Emotion -> recall of human listeners, in percent, and `overall` of all; may be empty.
    title : str
    """
    by_factor = dict(list(table.groupby("factor", sort=False)))
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    figure.suptitle(f"{title} · {by_factor['emotion']['clips'].sum()} test clips")
    upper, lower = figure.subfigures(2, 1)  # type: ignore[misc]  # two, as asked for
    few = [
        name
        for name in ("intensity", "gender", "statement")
        if 0 < len(by_factor.get(name, ())) <= MOST_LEVELS
    ]
    widths = [len(by_factor["emotion"]) + 2, *(len(by_factor[name]) + 1 for name in few)]
    panels = upper.subplots(1, len(widths), width_ratios=widths, sharey=True, squeeze=False)[0]
    for axes, factor in zip([*panels, lower.subplots()], ["emotion", *few, "actor"], strict=True):
        levels = by_factor[factor]
        places = np.arange(len(levels))
        axes.bar(places, 100 * levels["accuracy"], color=COLOURS[0])
        names = levels["level"].map(short) if len(levels) <= 60 else [""] * len(levels)
        room = 150 if factor == "actor" else 25  # characters side by side
        slanted = factor == "emotion" or sum(map(len, names)) > room
        axes.set_xticks(places, names, rotation=30 * slanted, ha="right" if slanted else "center")
        axes.set(xlabel=factor, ylim=(0, 105))
        axes.grid(axis="y", alpha=0.3)
        if factor == "emotion" and listeners:
            heard = [listeners.get(level, np.nan) for level in levels["level"]]
            overall = f" ({listeners['overall']} % of all)" if "overall" in listeners else ""
            axes.plot(places, heard, "D", color=COLOURS[1], label=f"human listeners{overall}")
            axes.legend(loc="upper right")
    panels[0].set(ylabel="accuracy (%)", xlabel="emotion (its accuracy is its recall)")
    axes.set(ylabel="accuracy (%)", xlabel="test actor")
    return figure


def plot_emotions_over_time(
    seconds: Sequence[float],
    proba: Sequence[np.ndarray],
    emotions: Sequence[str],
    *,
    title: str,
) -> Figure:
    """Probability of every emotion in the windows of one recording.

    Parameters
    ----------
    seconds : (n_windows,) float
        Middle of each.
    proba : (n_windows, n_emotions) float
    emotions : sequence of str
    title : str
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    for emotion, values, colour in zip(emotions, np.array(proba).T, colours(), strict=False):
        axes.plot(seconds, 100 * values, color=colour, marker=".", label=short(emotion))
    axes.set(xlabel="middle of the window (s)", ylabel="probability (%)", ylim=(0, 100))
    axes.set_title(f"{shown(title)} · {len(seconds)} windows")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def plot_class_balance(parts: Mapping[str, Sequence[int]], labels: Sequence[str]) -> Figure:
    """Clips of every emotion in every part.

    Parameters
    ----------
    parts : mapping of str to (n_labels,) int
        Part ("training", "test") -> clips of each emotion.
    labels : sequence of str
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    stacked_bars(axes, labels, {f"{name} ({sum(n)})": n for name, n in parts.items()})
    n_clips = sum(map(sum, parts.values()))
    axes.set(xlabel="emotion", ylabel="clips", title=f"Class balance · {n_clips} clips")
    axes.legend(loc="upper right", ncols=3)
    return figure
