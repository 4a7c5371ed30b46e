"""Arrays -> matplotlib figures. Nothing is computed that a table does not hold, saved or logged."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ser.evaluation.curves import Curve

# Okabe & Ito's palette, told apart with every common colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
MOST_LEVELS = 20  # of a factor that a breakdown draws; a table has more


def confusion_matrix(counts: np.ndarray, labels: Sequence[str], *, title: str) -> Figure:
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
    panels = ((counts, "clips", None), (percent, "percent of the true emotion's clips", 100))
    for axes, (values, unit, top) in zip(figure.subplots(1, 2), panels, strict=True):
        image = axes.imshow(values, cmap="Blues", vmin=0, vmax=top)
        axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
        axes.set_yticks(range(len(labels)), labels)
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


def roc_and_precision_recall(
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
        for (emotion, (x, y, area)), colour in zip(curves.items(), _colours(), strict=False):
            axes.plot(x, y, color=colour, label=f"{emotion} ({area:.2f})")
    left.plot([0, 1], [0, 1], color="grey", linestyle=":", label="chance (0.50)")
    left.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    left.legend(title="emotion (area)", loc="lower right")
    right.set(xlabel="recall", ylabel="precision", title="precision and recall", ylim=(0, 1.02))
    right.legend(title="emotion (average precision)", loc="upper right", fontsize="small")
    return figure


def reliability(bins: pd.DataFrame, *, error: float) -> Figure:
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


def breakdown(table: pd.DataFrame, *, listeners: Mapping[str, float], title: str) -> Figure:
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
        names = levels["level"].astype(str) if len(levels) <= 60 else [""] * len(levels)
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


def permutations(uars: np.ndarray, *, real: float, n_labels: int, p: float) -> Figure:
    """UARs after the emotions were shuffled, chance, and the UAR with the true ones."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.hist(100 * uars, bins="auto", color=COLOURS[0], label="emotions shuffled")
    axes.axvline(100 / n_labels, color="grey", linestyle=":", label="chance")
    axes.axvline(100 * real, color=COLOURS[1], label="true emotions")
    axes.set(xlabel="test UAR (%)", ylabel="permutations")
    axes.set_title(f"Permutation check · {len(uars)} permutations · p = {p:.3g}")
    axes.legend()
    return figure


def feature_importance(table: pd.DataFrame, *, top: int = 20) -> Figure:
    """UAR lost without each group of features, and without each of the `top` features.

    Parameters
    ----------
    table : DataFrame
        See `importance.permutation_importance`.
    """
    groups = table[table["kind"] == "group"]
    features = table[table["kind"] == "feature"].head(top)
    height = 1.5 + 0.3 * max(len(features), len(groups))
    figure = Figure(figsize=(11, height), layout="constrained")
    figure.suptitle("UAR lost when features are shuffled within each actor's test clips")
    titles = ("groups of features", f"the {len(features)} features that matter most")
    for axes, rows, title in zip(figure.subplots(1, 2), (groups, features), titles, strict=True):
        lost = 100 * rows["uar_lost"]
        ends = [lost - 100 * rows["low"], 100 * rows["high"] - lost]
        names = [
            f"{row.name_} ({row.features})" if row.features > 1 else row.name_
            for row in rows.rename(columns={"name": "name_"}).itertuples()
        ]
        places = -np.arange(len(rows))
        axes.barh(places, lost, xerr=ends, color=COLOURS[0], ecolor="black", capsize=3)
        axes.set_yticks(places, names)
        axes.axvline(0, color="grey", linewidth=0.8)
        axes.set(xlabel="UAR lost (points), 95 % interval over actors", title=title)
        axes.grid(axis="x", alpha=0.3)
    return figure


def emotions_over_time(
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
    for emotion, values, colour in zip(emotions, np.array(proba).T, _colours(), strict=False):
        axes.plot(seconds, 100 * values, color=colour, marker=".", label=emotion)
    axes.set(xlabel="middle of the window (s)", ylabel="probability (%)", ylim=(0, 100))
    axes.set_title(f"{title} · {len(seconds)} windows")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def loss_curve(losses: Mapping[str, Sequence[float]], *, n_clips: int) -> Figure:
    """Loss after each epoch, of training and, where there is one, of validation."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    for (part, loss), colour in zip(losses.items(), COLOURS, strict=False):
        axes.plot(np.arange(1, len(loss) + 1), loss, color=colour, label=part)
    axes.set(xlabel="epoch", ylabel="loss (cross-entropy + penalty, nats)", ylim=(0, None))
    axes.legend(frameon=False)
    axes.set_title(f"Loss while fitting · {len(loss)} epochs · {n_clips} training clips")
    axes.grid(alpha=0.3)
    return figure


def accuracy_curve(curve: Curve, *, title: str, xlabel: str, n_labels: int) -> Figure:
    """Accuracy against what varies: mean and one standard deviation over folds.

    Numbers over more than two decades are drawn on a logarithmic axis; what is no number (the sizes
    of several layers) stands at equal distances.
    """
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    x = np.arange(len(curve.points))
    if all(isinstance(value, int | float) for value in curve.points):
        x = np.array(curve.points, dtype=float)
        if x.min() > 0 and x.max() / x.min() > 100:
            axes.set_xscale("log")
    else:
        axes.set_xticks(x, [str(value) for value in curve.points], rotation=30, ha="right")
    parts = (("training clips", curve.train), ("held-out folds", curve.validation))
    for (name, values), colour in zip(parts, COLOURS, strict=False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # where nothing could be fitted
            mean, deviation = np.nanmean(values, axis=1), np.nanstd(values, axis=1)
        axes.plot(x, 100 * mean, color=colour, marker="o", label=name)
        low, high = 100 * (mean - deviation), 100 * (mean + deviation)
        axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.axhline(100 / n_labels, color="grey", linestyle=":", label="chance")
    kept = "held-out actors" if curve.grouped else "actors known"
    n_folds = curve.validation.shape[1]
    axes.set(xlabel=xlabel, ylabel="accuracy (%)", ylim=(0, 102))
    axes.set_title(f"{title} · {n_folds} folds, {kept} · band: 1 standard deviation")
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    return figure


def intervals(table: pd.DataFrame, *, chance: float, title: str) -> Figure:
    """Test UAR of several runs with its interval, one under the other.

    Parameters
    ----------
    table : DataFrame
        name, test_uar, test_uar_low, test_uar_high (in [0, 1]) and transductive (bool); the
        transductive ones in another colour, under a line.
    chance : float
        In [0, 1].
    title : str
    """
    figure = Figure(figsize=(8, 1.4 + 0.45 * len(table)), layout="constrained")
    axes = figure.subplots()
    places = -np.arange(len(table)) - 0.6 * table["transductive"]
    for kind, colour in ((False, COLOURS[0]), (True, COLOURS[1])):
        some = table[table["transductive"] == kind]
        uar = 100 * some["test_uar"]
        ends = [uar - 100 * some["test_uar_low"], 100 * some["test_uar_high"] - uar]
        axes.errorbar(uar, places[some.index], xerr=ends, fmt="o", capsize=4, color=colour)
        for value, place in zip(uar, places[some.index], strict=True):
            axes.annotate(
                f"{value:.1f}", (value, place), (0, 6), textcoords="offset points", ha="center"
            )
    axes.axvline(100 * chance, color="grey", linestyle=":", label="chance")
    names = [
        f"{row.name_}{' (transductive)' if row.transductive else ''}"
        for row in table.rename(columns={"name": "name_"}).itertuples()
    ]
    axes.set_yticks(places, names)
    axes.set(xlabel="test UAR (%) and its 95 % interval", xlim=(0, 100), title=title)
    axes.set_ylim(min(places) - 0.8, 0.8)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower right")
    return figure


def sweep(summary: pd.DataFrame, *, title: str) -> Figure:
    """Test UAR of a sweep's configs, mean and deviation, the best on top.

    Parameters
    ----------
    summary : DataFrame
        See `sweep_report.over_seeds`.
    title : str
    """
    figure = Figure(figsize=(8, 1.4 + 0.35 * len(summary)), layout="constrained")
    axes = figure.subplots()
    places = -np.arange(len(summary))
    for kind, colour in ((False, COLOURS[0]), (True, COLOURS[1])):
        some = summary[summary["transductive"] == kind]
        mean, deviation = 100 * some["test_uar_mean"], 100 * some["test_uar_std"].fillna(0)
        axes.barh(places[some.index], mean, xerr=deviation, color=colour, capsize=3, alpha=0.8)
        for value, place in zip(mean, places[some.index], strict=True):
            axes.annotate(f"{value:.1f}", (0.6, place), va="center", color="white", fontsize=9)
    names = [
        f"{name}{' (transductive)' if kind else ''}"
        for name, kind in zip(summary["name"], summary["transductive"], strict=True)
    ]
    axes.set_yticks(places, names)
    axes.set(xlabel="test UAR (%)", xlim=(0, 100), title=title)
    axes.grid(axis="x", alpha=0.3)
    return figure


def by_actor(accuracy: pd.DataFrame) -> Figure:
    """Accuracy of each actor's clips in several runs.

    Parameters
    ----------
    accuracy : (n_actors, n_runs) DataFrame
        In [0, 1]; actors in rows, runs in columns.
    """
    figure = Figure(figsize=(max(7, 1.6 * accuracy.shape[1] + 3), 6), layout="constrained")
    axes = figure.subplots()
    places = np.arange(accuracy.shape[1])
    for _, row in accuracy.iterrows():
        axes.plot(places, 100 * row, color="grey", alpha=0.35, linewidth=1, marker=".")
    axes.plot(places, 100 * accuracy.mean(), color=COLOURS[1], marker="D", label="mean over actors")
    axes.set_xticks(places, accuracy.columns, rotation=15, ha="right")
    axes.set(ylabel="accuracy on the actor's test clips (%)", ylim=(0, 102))
    axes.set_title(f"{len(accuracy)} actors, a line for each")
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    return figure


def class_balance(parts: Mapping[str, Sequence[int]], labels: Sequence[str]) -> Figure:
    """Clips of every emotion in every part.

    Parameters
    ----------
    parts : mapping of str to (n_labels,) int
        Part ("training", "test") -> clips of each emotion.
    labels : sequence of str
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    bottom = np.zeros(len(labels), dtype=int)
    for (name, counts), colour in zip(parts.items(), _colours(), strict=False):
        axes.bar(labels, counts, bottom=bottom, color=colour, label=f"{name} ({sum(counts)})")
        bottom += np.asarray(counts)
    axes.set(xlabel="emotion", ylabel="clips", title=f"Class balance · {bottom.sum()} clips")
    axes.margins(y=0.15)  # room for the legend above the bars
    axes.legend(loc="upper right", ncols=3)
    return figure


def _colours() -> Sequence[str]:
    # Eight emotions have a colour each; a corpus with more of them uses the colours again.
    return COLOURS * 8
