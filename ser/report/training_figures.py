"""How a run's model learned, and what it leans on -> matplotlib figures."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ser.evaluation.curves import Curve
from ser.report.style import COLOURS, Figure


def plot_loss_curve(losses: Mapping[str, Sequence[float]], *, n_clips: int) -> Figure:
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


def plot_layers(scores: pd.DataFrame) -> Figure:
    """How well emotion and actor are told from each layer of a speech encoder.

    Parameters
    ----------
    scores : DataFrame
        layer, emotion_uar and actor_accuracy, in [0, 1] (not a number of one actor).
    """
    figure = Figure(figsize=(max(6, 3 + 0.35 * len(scores)), 4.5), layout="constrained")
    axes = figure.subplots()
    lines = {"emotion_uar": "emotion of actors left out (UAR)", "actor_accuracy": "who speaks"}
    for (column, label), colour in zip(lines.items(), COLOURS, strict=False):
        if scores[column].notna().any():
            axes.plot(100 * scores[column], color=colour, marker="o", label=label)
    short = [str(int(layer.rpartition("layer")[2])) for layer in scores["layer"]]
    axes.set_xticks(range(len(short)), short)
    axes.set(xlabel="layer (0: before the first)", ylabel="%", ylim=(0, 102))
    axes.set_title("What each layer of the encoder tells")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


def plot_accuracy_curve(curve: Curve, *, title: str, xlabel: str, n_labels: int) -> Figure:
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


def plot_permutations(uars: np.ndarray, *, real: float, n_labels: int, p: float) -> Figure:
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


def plot_feature_importance(table: pd.DataFrame, *, top: int = 20) -> Figure:
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
    parts = {
        "groups of features": groups,
        f"the {len(features)} features that matter most": features,
    }
    parts = {title: rows for title, rows in parts.items() if len(rows)}
    panels = figure.subplots(1, len(parts), squeeze=False)[0]
    for axes, (title, rows) in zip(panels, parts.items(), strict=True):
        lost = 100 * rows["uar_lost"]
        ends = [lost - 100 * rows["low"], 100 * rows["high"] - lost]
        names = [
            f"{row.name} ({row.features})" if row.features > 1 else row.name
            for row in rows.itertuples()
        ]
        places = -np.arange(len(rows))
        axes.barh(places, lost, xerr=ends, color=COLOURS[0], ecolor="black", capsize=3)
        axes.set_yticks(places, names)
        axes.axvline(0, color="grey", linewidth=0.8)
        axes.set(xlabel="UAR lost (points), 95 % interval over actors", title=title)
        axes.grid(axis="x", alpha=0.3)
    return figure
