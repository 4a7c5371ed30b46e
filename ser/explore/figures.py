"""A corpus and its features -> matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ser.explore.quality import SPOKEN, with_voice
from ser.report.style import COLOURS, Figure, colours, short, stacked_bars

MAX_NAMES = 30  # on an axis


def plot_clip_counts(clips: pd.DataFrame, emotions: Sequence[str]) -> Figure:
    """Clips of every emotion, by gender where it is known, and of every actor."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    genders = clips["gender"].astype(str) if "gender" in clips else None
    by_emotion = clips["emotion"].astype("category").cat.set_categories(emotions)
    groups = {None: by_emotion} if genders is None else dict(list(by_emotion.groupby(genders)))
    counts = {name: group.value_counts(sort=False).to_numpy() for name, group in groups.items()}
    stacked_bars(left, emotions, counts)
    _name_emotions(left, emotions)
    if genders is not None:
        left.legend(loc="upper right", ncols=len(counts))
    left.set(ylabel="clips", title=f"{len(clips)} clips, {len(emotions)} emotions")
    by_actor = clips["actor"].value_counts().to_numpy()
    right.bar(range(len(by_actor)), by_actor, color=COLOURS[0], width=1.0, edgecolor="white")
    right.set(xlabel="actors, by number of clips", title=f"{len(by_actor)} actors")
    right.set_xticks([])
    return figure


def plot_spoken(clips: pd.DataFrame, prosody: pd.DataFrame, emotions: Sequence[str]) -> Figure:
    """Pitch, energy and duration of every emotion, by gender where it is known.

    Boxes hold half of the clips, whiskers nine tenths; the line is the median.
    """
    figure = Figure(figsize=(10, 11), layout="constrained")
    gender = clips["gender"].astype(str) if "gender" in clips else pd.Series("", index=clips.index)
    genders = sorted(gender.unique())
    width = 0.8 / len(genders)
    for axes, (quantity, label) in zip(figure.subplots(3, 2).flat, SPOKEN.items(), strict=True):
        values = with_voice(prosody, quantity)
        for number, (name, colour) in enumerate(zip(genders, colours(), strict=False)):
            groups = [values[(clips["emotion"] == e) & (gender == name)].dropna() for e in emotions]
            places = np.arange(len(emotions)) + (number - (len(genders) - 1) / 2) * width
            axes.boxplot(
                groups,
                positions=places,
                widths=0.85 * width,
                whis=(5, 95),
                showfliers=False,
                patch_artist=True,
                manage_ticks=False,
                medianprops={"color": "black"},
                boxprops={"facecolor": colour, "alpha": 0.75},
                label=short(name) or None,
            )
        _name_emotions(axes, emotions)
        axes.set(ylabel=label)
        axes.grid(axis="y", alpha=0.3)
    if genders != [""]:
        figure.axes[0].legend(loc="upper left", ncols=len(genders), fontsize="small")
    return figure


def plot_correlation(matrix: np.ndarray, groups: Mapping[str, np.ndarray]) -> Figure:
    """Correlation of every pair of features, with lines between groups.

    Parameters
    ----------
    matrix : (n_features, n_features)
        In [-1, 1]; NaN stays white.
    groups : mapping of str to (n,) int
        Group -> its columns, one group after the other.
    """
    figure = Figure(figsize=(6.5, 5.4), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    for columns in list(groups.values())[1:]:
        axes.axhline(columns[0] - 0.5, color="black", linewidth=0.6)
        axes.axvline(columns[0] - 0.5, color="black", linewidth=0.6)
    middles = [columns.mean() for columns in groups.values()]
    names = [f"{n} ({len(c)})" if len(c) > 1 else n for n, c in groups.items()]
    axes.set_xticks(
        middles,
        names,
        rotation=45 if len(names) > 4 else 0,
        ha="right" if len(names) > 4 else "center",
    )
    axes.set_yticks(middles, names)
    figure.colorbar(image, ax=axes, label="Pearson's correlation", fraction=0.045, pad=0.02)
    return figure


def plot_ranking(table: pd.DataFrame, *, top: int) -> Figure:
    """The features that tell most of the emotion, and what all of them tell of the actor.

    Parameters
    ----------
    table : DataFrame
        See `statistics.ranking`.
    top : int
        Features whose mutual information is drawn.
    """
    best = table.head(top)[::-1]
    figure = Figure(figsize=(10, 1.5 + 0.24 * max(len(best), 14)), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.barh(best["feature"], best["mutual_information"], color=COLOURS[0])
    left.set(xlabel="mutual information with the emotion (bits)", title=f"the first {len(best)}")
    group = table["feature"].str.split("_").str[0]
    for (name, rows), colour in zip(table.groupby(group), colours(), strict=False):
        right.scatter(
            100 * rows["emotion_share"],
            100 * rows["actor_share"],
            s=14,
            color=colour,
            label=short(name),
            linewidths=0,
        )
    end = 105 * max(table["emotion_share"].max(), table["actor_share"].max(), 0.01)
    right.plot((0, end), (0, end), color="grey", linestyle=":")
    right.set(xlim=(0, end), ylim=(0, end), title="all features")
    right.set(xlabel="variance between emotions (%)", ylabel="variance between actors (%)")
    if group.nunique() <= len(COLOURS):
        right.legend(fontsize="small")
    return figure


def plot_loudness(table: pd.DataFrame) -> Figure:
    """Level of each actor's speech: median and quartiles, the quietest first.

    Parameters
    ----------
    table : DataFrame
        See `quality.loudness`.
    """
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(table))
    ends = [table["median"] - table["low"], table["high"] - table["median"]]
    axes.errorbar(places, table["median"], yerr=ends, fmt="o", color=COLOURS[0], capsize=3)
    axes.axhline(table["median"].median(), color="grey", linestyle=":")
    if len(table) <= MAX_NAMES:
        axes.set_xticks(places, table["actor"].astype(str))
    else:
        axes.set_xticks([])
    axes.set(xlabel="actor, the quietest first", ylabel="level of speech (dBFS)")
    axes.grid(axis="y", alpha=0.3)
    return figure


def _name_emotions(axes: Axes, emotions: Sequence[str]) -> None:
    if len(emotions) <= MAX_NAMES:
        axes.set_xticks(range(len(emotions)), list(map(short, emotions)), rotation=35, ha="right")
    else:
        axes.set_xticks([])
        axes.set(xlabel=f"{len(emotions)} labels")
