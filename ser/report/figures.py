"""A run's predictions -> matplotlib figures.

Nothing is computed that a table does not hold, saved or logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ser.report.style import (
    COLOURS,
    NARROW,
    WIDE,
    Figure,
    colours,
    in_style,
    new_figure,
    short,
    stacked_bars,
    wilson,
)

MOST_LEVELS = 20  # of a factor that a breakdown draws; a table has more


@in_style
def plot_confusion_matrix(
    counts: np.ndarray, labels: Sequence[str], *, of: str, about: str
) -> Figure:
    """Confusion matrix: recall in percent of each true emotion, and the clips below it.

    Parameters
    ----------
    counts : (n_labels, n_labels) int
        Rows are true, columns predicted.
    labels : sequence of str
    of : str
        What was predicted: test clips, or others.
    about : str
        Run and protocol.
    """
    support = counts.sum(axis=1)
    percent = 100 * counts / np.maximum(support, 1)[:, None]
    uar = percent.diagonal()[support > 0].mean()
    title = f"Confusion matrix, {of} · UAR {uar:.1f} % · {counts.sum()} clips"
    size = max(NARROW, 2.5 + 0.45 * len(labels))
    figure = new_figure(size, size - 0.6, title, about, layout="compressed")
    axes = figure.subplots()
    image = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    names = [short(label) for label in labels]
    axes.set_xticks(range(len(labels)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(
        range(len(labels)), [f"{name} ({n})" for name, n in zip(names, support, strict=True)]
    )
    axes.set(xlabel="predicted emotion", ylabel="true emotion (clips)")
    axes.spines[:].set_visible(False)
    # Texts are inside of their cells; to measure them takes as long as to draw.
    inside: dict[str, Any] = {"ha": "center", "va": "center", "in_layout": False}
    for (row, column), n in np.ndenumerate(counts):
        colour = "white" if percent[row, column] > 55 else "black"
        text = f"{percent[row, column]:.0f}\n({n})" if len(labels) <= 10 else f"{n}"
        axes.text(column, row, text, color=colour, fontsize=7.5, linespacing=1.0, **inside)
    figure.colorbar(image, ax=axes, label="% of the true emotion's clips", shrink=0.8)
    return figure


@in_style
def plot_roc(curves: Mapping[str, tuple], *, macro_auc: float, about: str) -> Figure:
    """One-vs-rest ROC curve of every emotion.

    Parameters
    ----------
    curves : mapping
        Emotion -> (false positive rate, true positive rate, area under the curve).
    macro_auc : float
        Mean of the areas.
    about : str
    """
    title = f"ROC, one emotion against the rest · macro AUC {macro_auc:.3f}"
    figure = new_figure(NARROW + 1.2, 5.2, title, about)
    axes = figure.subplots()
    for (emotion, (x, y, area)), colour in zip(curves.items(), colours(), strict=False):
        axes.plot(x, y, color=colour, label=f"{short(emotion)} ({area:.2f})")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="chance (0.50)")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.legend(title="emotion (area)", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


@in_style
def plot_precision_recall(
    curves: Mapping[str, tuple], *, shares: Mapping[str, float], about: str
) -> Figure:
    """One-vs-rest precision-recall curve of every emotion, and the chance level of each.

    Parameters
    ----------
    curves : mapping
        Emotion -> (recall, precision, average precision). Precision is drawn in steps: between
        two thresholds there is none, and average precision is the area below the steps.
    shares : mapping
        Emotion -> its share of the clips: the precision of guessing.
    about : str
    """
    title = "Precision and recall, one emotion against the rest · dotted: chance"
    figure = new_figure(NARROW + 1.2, 5.2, title, about)
    axes = figure.subplots()
    for (emotion, (x, y, area)), colour in zip(curves.items(), colours(), strict=False):
        step = np.append(np.diff(x) != 0, True)  # of several thresholds with one recall the highest
        label = f"{short(emotion)} ({area:.2f})"
        axes.step(x[step], y[step], where="post", color=colour, label=label)
        axes.axhline(shares[emotion], color=colour, linestyle=":", linewidth=0.8)
    axes.set(xlabel="recall", ylabel="precision", xlim=(-0.01, 1.01), ylim=(0, 1.02))
    axes.legend(
        title="emotion (average\nprecision)",
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        frameon=False,
    )
    return figure


@in_style
def plot_reliability(bins: pd.DataFrame, *, error: float, about: str) -> Figure:
    """Accuracy against confidence with intervals, and how many clips there are of each.

    Parameters
    ----------
    bins : DataFrame
        See `evaluation.reliability`.
    error : float
        Expected calibration error.
    about : str
    """
    figure = new_figure(NARROW, 6, f"Reliability · expected calibration error {error:.3f}", about)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    some = bins[bins["clips"] > 0]
    upper.plot([0, 1], [0, 1], color="grey", linestyle=":", label="as sure as right")
    upper.errorbar(
        some["confidence"],
        some["accuracy"],
        yerr=wilson(some["accuracy"], some["clips"]),
        color=COLOURS[0],
        capsize=3,
        label="means of the bins, 95 % intervals; the larger, the more clips",
    )
    sizes = 15 + 200 * some["clips"] / some["clips"].max()
    upper.scatter(some["confidence"], some["accuracy"], sizes, color=COLOURS[0], zorder=3)
    upper.set(ylabel="accuracy", ylim=(-0.02, 1.02))
    upper.grid()
    upper.legend(loc="upper left")
    bars = lower.bar(bins["low"], bins["clips"], bins["high"] - bins["low"], align="edge")
    for bar in bars:
        bar.set(color=COLOURS[0], edgecolor="white")
    lower.bar_label(bars, [str(n) if n else "" for n in bins["clips"]], fontsize=7)
    lower.margins(y=0.2)
    lower.set(xlabel="probability of the predicted emotion", ylabel="clips", xlim=(0, 1))
    return figure


@in_style
def plot_breakdown(table: pd.DataFrame, *, listeners: Mapping[str, float], about: str) -> Figure:
    """Accuracy by everything known of the clips, the listeners' beside the emotions'.

    Parameters
    ----------
    table : DataFrame
        See `evaluation.breakdown`.
    listeners : mapping of str to float
        Emotion -> recall of human listeners, in percent, and `overall` of all; may be empty.
    about : str
    """
    by_factor = dict(list(table.groupby("factor", sort=False)))
    title = "Accuracy by what is known of the test clips · 95 % intervals over clips, (clips)"
    figure = new_figure(WIDE, 6.6, title, about)
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
        _accuracy_bars(axes, levels, factor)
        if factor == "emotion" and listeners:
            heard = [listeners.get(level, np.nan) for level in levels["level"]]
            overall = f" ({listeners['overall']} % of all)" if "overall" in listeners else ""
            axes.plot(
                range(len(levels)),
                heard,
                "D",
                color=COLOURS[1],
                markersize=5,
                label=f"human listeners{overall}",
            )
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    panels[0].set(ylabel="accuracy (%)", xlabel="emotion (its accuracy is its recall)")
    axes.set(ylabel="accuracy (%)", xlabel="test actor")
    return figure


def _accuracy_bars(axes: Axes, levels: pd.DataFrame, factor: str) -> None:
    places, accuracy = np.arange(len(levels)), levels["accuracy"]
    ends = 100 * wilson(accuracy, levels["clips"])
    few_bars = len(levels) <= 60
    axes.bar(
        places,
        100 * accuracy,
        color=COLOURS[0],
        alpha=0.8,
        yerr=ends if few_bars else None,
        ecolor="black",
        capsize=2,
    )
    names = [
        f"{short(level)}\n({n})" for level, n in zip(levels["level"], levels["clips"], strict=True)
    ]
    slanted = factor == "emotion" or (factor == "actor" and sum(map(len, names)) > 220)
    axes.set_xticks(
        places,
        names if few_bars else [""] * len(places),
        rotation=35 * slanted,
        ha="right" if slanted else "center",
        rotation_mode="anchor" if slanted else None,
    )
    axes.set(xlabel=factor, ylim=(0, 105))
    axes.grid(axis="y")


@in_style
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
    figure = new_figure(WIDE, 4, title, f"{len(seconds)} windows")
    axes = figure.subplots()
    for emotion, values, colour in zip(emotions, np.array(proba).T, colours(), strict=False):
        axes.plot(seconds, 100 * values, color=colour, marker=".", label=short(emotion))
    axes.set(xlabel="middle of the window (s)", ylabel="probability (%)", ylim=(0, 100))
    axes.grid()
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@in_style
def plot_class_balance(parts: Mapping[str, Sequence[int]], labels: Sequence[str]) -> Figure:
    """Clips of every emotion in every part.

    Parameters
    ----------
    parts : mapping of str to (n_labels,) int
        Part ("training", "test") -> clips of each emotion.
    labels : sequence of str
    """
    n_clips = sum(map(sum, parts.values()))
    figure = new_figure(NARROW + 1, 4.2, f"Class balance · {n_clips} clips")
    axes = figure.subplots()
    stacked_bars(axes, labels, {f"{name} ({sum(n)})": n for name, n in parts.items()})
    axes.set(xlabel="emotion", ylabel="clips")
    axes.tick_params("x", rotation=20 * (len(labels) > 8))
    return figure
