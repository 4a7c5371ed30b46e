"""A corpus and its features -> matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from ser.explore.quality import SPOKEN, with_voice
from ser.report.figures import COLOURS

matplotlib.use("Agg")

MARKERS = ("o", "^", "s")
MAX_ACTORS = len(COLOURS) * len(MARKERS)  # told apart by colour and marker
MAX_EMOTIONS = len(COLOURS)  # told apart by colour alone
MAX_NAMES = 30  # on an axis


def class_balance(clips: pd.DataFrame, emotions: Sequence[str]) -> Figure:
    """Clips of every emotion, by gender where it is known, and of every actor."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    genders = sorted(clips["gender"].astype(str).unique()) if "gender" in clips else [None]
    bottom = np.zeros(len(emotions), dtype=int)
    for gender, colour in zip(genders, _cycle(COLOURS), strict=False):
        some = clips if gender is None else clips[clips["gender"].astype(str) == gender]
        counts = some["emotion"].value_counts().reindex(emotions, fill_value=0).to_numpy()
        left.bar(range(len(emotions)), counts, bottom=bottom, color=colour, label=gender)
        bottom += counts
    _name_emotions(left, emotions)
    left.margins(y=0.15)
    if genders != [None]:
        left.legend(loc="upper right", ncols=len(genders))
    left.set(ylabel="clips", title=f"{len(clips)} clips, {len(emotions)} emotions")
    counts = clips["actor"].value_counts().to_numpy()
    right.bar(range(len(counts)), counts, color=COLOURS[0], width=1.0, edgecolor="white")
    right.set(xlabel="actors, by number of clips", title=f"{len(counts)} actors")
    right.set_xticks([])
    return figure


def spoken(clips: pd.DataFrame, prosody: pd.DataFrame, emotions: Sequence[str]) -> Figure:
    """Pitch, energy and duration of every emotion, by gender where it is known.

    Boxes hold half of the clips, whiskers nine tenths; the line is the median.
    """
    figure = Figure(figsize=(10, 11), layout="constrained")
    gender = clips["gender"].astype(str) if "gender" in clips else pd.Series("", index=clips.index)
    genders = sorted(gender.unique())
    width = 0.8 / len(genders)
    for axes, (quantity, label) in zip(figure.subplots(3, 2).flat, SPOKEN.items(), strict=True):
        values = with_voice(prosody, quantity)
        for number, (one, colour) in enumerate(zip(genders, _cycle(COLOURS), strict=False)):
            groups = [values[(clips["emotion"] == e) & (gender == one)].dropna() for e in emotions]
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
                label=one or None,
            )
        _name_emotions(axes, emotions)
        axes.set(ylabel=label)
        axes.grid(axis="y", alpha=0.3)
    if genders != [""]:
        figure.axes[0].legend(loc="upper left", ncols=len(genders), fontsize="small")
    return figure


def clip_map(
    positions: np.ndarray,
    clips: pd.DataFrame,
    emotions: Sequence[str],
    *,
    method: str,
    note: str,
    named: bool = True,
) -> Figure:
    """The same map twice: coloured by emotion, and by actor.

    The few clips that lie far from all others are drawn at the edge.

    Parameters
    ----------
    positions : (n_clips, 2)
    clips : (n_clips, ...) DataFrame
    emotions : sequence of str
    method : str
        What made the map.
    note : str
        What can be said of it.
    named : bool
        Whether the actors' names are written on it.
    """
    figure = Figure(figsize=(10, 5.9), layout="constrained")
    figure.suptitle(f"{method} of {len(clips)} clips · {note}")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    positions = _within(positions)
    emotion, actor = clips["emotion"].to_numpy(), clips["actor"].astype(str).to_numpy()
    for one, colour in zip(emotions, _cycle(COLOURS), strict=False):
        left.scatter(*positions[emotion == one].T, s=9, color=colour, label=one, linewidths=0)
    if len(emotions) <= MAX_EMOTIONS:
        handles = {"markerscale": 2, "handletextpad": 0.1, "columnspacing": 0.8}
        left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=4, **handles)
    most = pd.Series(actor).value_counts().index[:MAX_ACTORS]
    shown = {one: positions[actor == one] for one in dict.fromkeys(actor) if one in most}
    rest = ~np.isin(actor, list(shown))
    right.scatter(*positions[rest].T, s=5, color="lightgrey", linewidths=0)
    for own, (marker, colour) in zip(shown.values(), product(MARKERS, COLOURS), strict=False):
        right.scatter(*own.T, s=11, color=colour, marker=marker, linewidths=0)
    if named:
        _name_actors(right, shown)
    left.set_title("coloured by emotion")
    some = f": {len(shown)} of {len(set(actor))}, the others grey" if rest.any() else ""
    right.set_title(f"coloured by actor{some}")
    for axes in (left, right):
        axes.set(xticks=[], yticks=[])
    return figure


def neighbours(table: pd.DataFrame) -> Figure:
    """Share of nearest neighbours of the same actor, and emotion, beside chance.

    Parameters
    ----------
    table : DataFrame
        See `clip_map.neighbours`.
    """
    counts = sorted(table["neighbours"].unique())
    kinds = list(dict.fromkeys(table["same"]))
    figure = Figure(figsize=(6.5, 1.2 + 0.75 * len(kinds)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(counts)
    for number, (count, colour) in enumerate(zip(counts, _cycle(COLOURS), strict=False)):
        some = table[table["neighbours"] == count]
        places = np.array([-kinds.index(kind) for kind in some["same"]]) - number * height
        label = "nearest clip" if count == 1 else f"{count} nearest clips"
        axes.barh(places, 100 * some["share"], height=0.9 * height, color=colour, label=label)
        for place, share in zip(places, 100 * some["share"], strict=True):
            axes.annotate(
                f"{share:.0f}", (share, place), (4, 0), textcoords="offset points", va="center"
            )
    for kind in kinds:
        chance = 100 * table.loc[table["same"] == kind, "chance"].iloc[0]
        ends = (-kinds.index(kind) + height / 2, -kinds.index(kind) - 0.8 + height / 2)
        axes.plot(
            (chance, chance),
            ends,
            color="black",
            linestyle=":",
            label="chance" if kind == kinds[0] else None,
        )
    middle = (len(counts) - 1) * height / 2
    axes.set_yticks([-i - middle for i in range(len(kinds))], [f"same {kind}" for kind in kinds])
    axes.set(xlabel="share of a clip's nearest clips (%)", xlim=(0, 108))
    axes.legend(loc="lower right")
    return figure


def correlation(matrix: np.ndarray, groups: Mapping[str, np.ndarray]) -> Figure:
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


def ranking(table: pd.DataFrame, *, top: int) -> Figure:
    """The features that tell most of the emotion, and what all of them tell of the actor.

    Parameters
    ----------
    table : DataFrame
        See `exploration.ranking`.
    top : int
        Features whose mutual information is drawn.
    """
    best = table.head(top)[::-1]
    figure = Figure(figsize=(10, 1.5 + 0.24 * max(len(best), 14)), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.barh(best["feature"], best["mutual_information"], color=COLOURS[0])
    left.set(xlabel="mutual information with the emotion (bits)", title=f"the first {len(best)}")
    group = table["feature"].str.split("_").str[0]
    for (one, some), colour in zip(table.groupby(group), _cycle(COLOURS), strict=False):
        right.scatter(
            100 * some["emotion_share"],
            100 * some["actor_share"],
            s=14,
            color=colour,
            label=one,
            linewidths=0,
        )
    end = 105 * max(table["emotion_share"].max(), table["actor_share"].max(), 0.01)
    right.plot((0, end), (0, end), color="grey", linestyle=":")
    right.set(xlim=(0, end), ylim=(0, end), title="all features")
    right.set(xlabel="variance between emotions (%)", ylabel="variance between actors (%)")
    if group.nunique() <= len(COLOURS):
        right.legend(fontsize="small")
    return figure


def loudness(table: pd.DataFrame) -> Figure:
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
        axes.set_xticks(range(len(emotions)), emotions, rotation=35, ha="right")
    else:
        axes.set_xticks([])
        axes.set(xlabel=f"{len(emotions)} labels")


def _name_actors(axes: Axes, positions: Mapping[str, np.ndarray]) -> None:
    """Write each actor's name where their clips are densest and no other name is."""
    everything = np.concatenate(list(positions.values()))
    apart = 0.045 * np.ptp(everything, axis=0)
    halo = [withStroke(linewidth=2.5, foreground="white")]
    taken = np.empty((0, 2))
    for name, own in positions.items():
        own = own[:500]
        near = min(8, len(own)) - 1
        distance = np.linalg.norm(own[:, None] - own, axis=2)
        densest = own[np.argsort(np.partition(distance, near, axis=1)[:, near])]
        free = [not (np.abs(taken - place) < apart).all(axis=1).any() for place in densest]
        place = densest[int(np.argmax(free))]
        taken = np.vstack([taken, place])
        axes.annotate(name, place, ha="center", va="center", weight="bold", path_effects=halo)


def _within(positions: np.ndarray) -> np.ndarray:
    """Positions with what lies far out moved to the edge, so that the others fill the picture."""
    low, high = np.percentile(positions, (3, 97), axis=0)
    margin = 0.35 * (high - low)
    return np.clip(positions, low - margin, high + margin)


def _cycle(colours: Sequence[str]) -> Sequence[str]:
    return tuple(colours) * 100
