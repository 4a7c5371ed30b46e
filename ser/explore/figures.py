"""A corpus and its features -> matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ser.explore.quality import SPOKEN, with_voice
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
)

MAX_NAMES = 30  # on an axis


@in_style
def plot_clip_counts(clips: pd.DataFrame, emotions: Sequence[str]) -> Figure:
    """Clips of every emotion, by gender where it is known."""
    figure = new_figure(NARROW, 3.8, f"{len(clips)} clips, {len(emotions)} emotions")
    axes = figure.subplots()
    by_emotion = clips["emotion"].astype("category").cat.set_categories(emotions)
    groups: dict[str | None, pd.Series] = {None: by_emotion}
    if "gender" in clips:
        groups = dict(list(by_emotion.groupby(clips["gender"].astype(str))))
    counts = {name: group.value_counts(sort=False).to_numpy() for name, group in groups.items()}
    stacked_bars(axes, emotions, counts)
    _name_emotions(axes, emotions)
    axes.set(ylabel="clips")
    return figure


@in_style
def plot_actor_counts(clips: pd.DataFrame) -> Figure:
    """Clips of every actor, the most first."""
    counts = clips["actor"].astype(str).value_counts()
    figure = new_figure(NARROW, 3.8, f"{len(clips)} clips, {len(counts)} actors")
    axes = figure.subplots()
    axes.bar(range(len(counts)), counts, color=COLOURS[0])
    axes.set(xlabel="actor, by number of clips", ylabel="clips", xticks=[])
    if len(counts) <= MAX_NAMES:
        slanted = sum(map(len, counts.index)) > 60
        axes.set_xticks(range(len(counts)), map(short, counts.index), rotation=45 * slanted)
    axes.grid(axis="y")
    return figure


@in_style
def plot_spoken(clips: pd.DataFrame, prosody: pd.DataFrame, emotions: Sequence[str]) -> Figure:
    """Pitch, energy and duration of every emotion, by gender where it is known.

    Boxes hold half of the clips, whiskers nine tenths; the line is the median.
    """
    figure = new_figure(WIDE, 9.5, f"Pitch, energy and duration by emotion · {len(clips)} clips")
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
        axes.grid(axis="y")
    if genders != [""]:
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=8, frameon=False)
    return figure


@in_style
def plot_correlation(
    matrix: np.ndarray, groups: Mapping[str, np.ndarray], *, n_clips: int
) -> Figure:
    """Correlation of every pair of features, with lines between groups.

    Parameters
    ----------
    matrix : (n_features, n_features)
        In [-1, 1]; NaN stays white.
    groups : mapping of str to (n,) int
        Group -> its columns, one group after the other.
    n_clips : int
    """
    title = f"Correlation of {len(matrix)} features · {n_clips} clips"
    figure = new_figure(NARROW, 5.4, title, layout="compressed")
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    for columns in list(groups.values())[1:]:
        axes.axhline(columns[0] - 0.5, color="black", linewidth=0.6)
        axes.axvline(columns[0] - 0.5, color="black", linewidth=0.6)
    middles = [columns.mean() for columns in groups.values()]
    names = [
        f"{short(n)} ({len(columns)})" if len(columns) > 1 else short(n)
        for n, columns in groups.items()
    ]
    axes.set_xticks(
        middles,
        names,
        rotation=45 if len(names) > 4 else 0,
        ha="right" if len(names) > 4 else "center",
    )
    axes.set_yticks(middles, names)
    figure.colorbar(image, ax=axes, label="Pearson's correlation", fraction=0.045, pad=0.02)
    return figure


@in_style
def plot_ranking(table: pd.DataFrame, *, top: int, n_clips: int) -> Figure:
    """The features that tell most of the emotion.

    Parameters
    ----------
    table : DataFrame
        See `statistics.ranking`.
    top : int
        Features whose mutual information is drawn.
    n_clips : int
    """
    best = table.head(top)[::-1]
    title = f"The {len(best)} of {len(table)} features that tell most of the emotion"
    figure = new_figure(NARROW, 1.5 + 0.2 * max(len(best), 16), f"{title} · {n_clips} clips")
    axes = figure.subplots()
    axes.barh(list(map(short, best["feature"])), best["mutual_information"], color=COLOURS[0])
    axes.set(xlabel="mutual information with the emotion (bits)")
    axes.grid(axis="x")
    return figure


@in_style
def plot_shares(table: pd.DataFrame, *, n_clips: int) -> Figure:
    """How much of each feature's variance lies between emotions, and between actors."""
    title = f"What {len(table)} features tell of {n_clips} clips"
    dotted = "dotted: as much of the emotion as of the actor"
    figure = new_figure(NARROW, 4.7, title, dotted, layout="compressed")
    axes = figure.subplots()
    group = table["feature"].str.split("_").str[0]
    for (name, rows), colour in zip(table.groupby(group), colours(), strict=False):
        axes.scatter(
            100 * rows["emotion_share"],
            100 * rows["actor_share"],
            s=14,
            color=colour,
            label=short(name),
            linewidths=0,
        )
    end = 105 * max(table["emotion_share"].max(), table["actor_share"].max(), 0.01)
    axes.plot((0, end), (0, end), color="grey", linestyle=":")
    axes.set(xlim=(0, end), ylim=(0, end), aspect="equal")
    axes.set(xlabel="variance between emotions (%)", ylabel="variance between actors (%)")
    axes.grid()
    if group.nunique() <= len(COLOURS):
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


@in_style
def plot_loudness(table: pd.DataFrame) -> Figure:
    """Level of each actor's speech: median and quartiles, the quietest first.

    Parameters
    ----------
    table : DataFrame
        See `quality.loudness`.
    """
    title = f"Level of speech of {len(table)} actors · bars: half of an actor's clips"
    figure = new_figure(WIDE, 3.6, title)
    axes = figure.subplots()
    places = np.arange(len(table))
    ends = [table["median"] - table["low"], table["high"] - table["median"]]
    axes.errorbar(places, table["median"], yerr=ends, fmt="o", color=COLOURS[0], capsize=3)
    axes.axhline(
        table["median"].median(), color="grey", linestyle=":", label="median of the actors"
    )
    axes.legend(loc="upper left")
    if len(table) <= MAX_NAMES:
        axes.set_xticks(places, table["actor"].astype(str))
    else:
        axes.set_xticks([])
    axes.set(xlabel="actor, the quietest first", ylabel="level of speech (dBFS)")
    axes.grid(axis="y")
    return figure


def _name_emotions(axes: Axes, emotions: Sequence[str]) -> None:
    if len(emotions) <= MAX_NAMES:
        axes.set_xticks(range(len(emotions)), list(map(short, emotions)), rotation=35, ha="right")
    else:
        axes.set_xticks([])
        axes.set(xlabel=f"{len(emotions)} labels")
