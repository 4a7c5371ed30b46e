"""How a run's model learned, and what it leans on -> matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ser.report.style import COLOURS, NARROW, WIDE, Figure, in_style, new_figure, whole


@in_style
def plot_loss_curve(losses: Mapping[str, Sequence[float]], *, about: str) -> Figure:
    """Loss after each epoch, of training and, where some was held out to stop by, of validation."""
    n_epochs = max(map(len, losses.values()))
    figure = new_figure(NARROW, 4.4, f"Loss while fitting · {n_epochs} epochs", about)
    axes = figure.subplots()
    for (part, loss), colour in zip(losses.items(), COLOURS, strict=False):
        axes.plot(np.arange(1, len(loss) + 1), loss, color=colour, label=part)
    if "validation" in losses:
        best = int(np.argmin(losses["validation"]))
        axes.plot(best + 1, losses["validation"][best], "o", color=COLOURS[1], label="lowest")
    axes.set(xlabel="epoch", ylabel="loss (cross-entropy + penalty, nats)", ylim=(0, None))
    whole(axes.xaxis)
    axes.legend()
    axes.grid()
    return figure


@in_style
def plot_layers(scores: pd.DataFrame, *, about: str) -> Figure:
    """How well emotion and actor are told from each layer of a speech encoder.

    Parameters
    ----------
    scores : DataFrame
        layer, emotion_uar and actor_accuracy, in [0, 1] (not a number of one actor).
    about : str
    """
    title = "What each layer of the encoder tells"
    figure = new_figure(max(NARROW, 3 + 0.35 * len(scores)), 4.4, title, about)
    axes = figure.subplots()
    lines = {"emotion_uar": "emotion of actors left out (UAR)", "actor_accuracy": "who speaks"}
    for (column, label), colour in zip(lines.items(), COLOURS, strict=False):
        if scores[column].notna().any():
            axes.plot(100 * scores[column], color=colour, marker="o", label=label)
    short = [str(int(layer.rpartition("layer")[2])) for layer in scores["layer"]]
    axes.set_xticks(range(len(short)), short)
    axes.set(xlabel="layer (0: before the first)", ylabel="UAR, or accuracy (%)", ylim=(0, 102))
    axes.grid()
    axes.legend(loc="lower right")
    return figure


@in_style
def plot_accuracy_curve(table: pd.DataFrame, *, title: str, n_labels: int, about: str) -> Figure:
    """Accuracy against what varies: mean and one standard deviation over folds.

    Numbers over more than two decades are drawn on a logarithmic axis; what is no number (the sizes
    of several layers) stands at equal distances.

    Parameters
    ----------
    table : DataFrame
        See `ser.evaluation.curves.Curve.table`.
    title : str
    n_labels : int
        Emotions, for chance.
    about : str
    """
    name, n_folds = table.columns[0], table["fold"].nunique()
    kept = "actors held out" if table["grouped"].iloc[0] else "actors known"
    figure = new_figure(
        NARROW, 4.6, f"{title} · {n_folds} folds, {kept} · band: 1 standard deviation", about
    )
    axes = figure.subplots()
    points = list(dict.fromkeys(table[name]))
    try:
        x = np.array([float(point) for point in points])
        if x.min() > 0 and x.max() / x.min() > 100:
            axes.set_xscale("log")
    except ValueError:
        x = np.arange(len(points))
        axes.set_xticks(x, list(map(str, points)), rotation=30, ha="right")
    parts = {"training clips": "train_accuracy", "held-out folds": "validation_accuracy"}
    for (label, column), colour in zip(parts.items(), COLOURS, strict=False):
        values = (100 * table[column]).groupby(table[name], sort=False)
        mean, deviation = values.mean(), values.std(ddof=0)
        axes.plot(x, mean, color=colour, marker="o", label=label)
        axes.fill_between(
            x, mean - deviation, mean + deviation, color=colour, alpha=0.2, linewidth=0
        )
    axes.axhline(100 / n_labels, color="grey", linestyle=":", label="chance")
    trained_on = name in ("clips", "actors")
    axes.set(xlabel=f"{name} trained on" if trained_on else name)
    axes.set(ylabel="accuracy (%)", ylim=(0, 102))
    axes.grid()
    axes.legend(loc="best")
    return figure


@in_style
def plot_permutations(
    uars: Sequence[float], *, real: float, n_labels: int, p: float, about: str
) -> Figure:
    """UARs after the emotions were shuffled, chance, and the UAR with the true ones."""
    title = f"Permutation check · {len(uars)} permutations · p = {p:.3g}"
    figure = new_figure(NARROW, 4, title, about)
    axes = figure.subplots()
    axes.hist(100 * np.asarray(uars), bins="auto", color=COLOURS[0], label="emotions shuffled")
    axes.axvline(100 / n_labels, color="grey", linestyle=":", label="chance")
    axes.axvline(100 * real, color=COLOURS[1], label="true emotions")
    axes.set(xlabel="test UAR (%)", ylabel="permutations")
    whole(axes.yaxis)
    axes.legend()
    return figure


@in_style
def plot_feature_importance(table: pd.DataFrame, *, about: str = "", top: int = 20) -> Figure:
    """UAR lost without each group of features, and without each of the `top` features.

    Parameters
    ----------
    table : DataFrame
        See `importance.permutation_importance`.
    about : str
    top : int
    """
    groups = table[table["kind"] == "group"]
    features = table[table["kind"] == "feature"].head(top)
    height = 1.5 + 0.3 * max(len(features), len(groups))
    title = "UAR lost when features are shuffled within each actor's test clips"
    figure = new_figure(WIDE, height, title, about)
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
        axes.grid(axis="x")
    return figure
