"""Where clips lie among each other -> matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from ser.report.style import COLOURS, Figure, colours, short

MARKERS = ("o", "^", "s")
MAX_ACTORS = len(COLOURS) * len(MARKERS)  # told apart by colour and marker
MAX_EMOTIONS = len(COLOURS)  # told apart by colour alone


def plot_clip_map(
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
    for name, colour in zip(emotions, colours(), strict=False):
        left.scatter(
            *positions[emotion == name].T, s=9, color=colour, label=short(name), linewidths=0
        )
    if len(emotions) <= MAX_EMOTIONS:
        handles = {"markerscale": 2, "handletextpad": 0.1, "columnspacing": 0.8}
        left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=4, **handles)
    most = pd.Series(actor).value_counts().index[:MAX_ACTORS]
    shown = {name: positions[actor == name] for name in dict.fromkeys(actor) if name in most}
    grey = ~np.isin(actor, list(shown))
    right.scatter(*positions[grey].T, s=5, color="lightgrey", linewidths=0)
    for own, (marker, colour) in zip(shown.values(), product(MARKERS, COLOURS), strict=False):
        right.scatter(*own.T, s=11, color=colour, marker=marker, linewidths=0)
    if named:
        _name_actors(right, shown)
    left.set_title("coloured by emotion")
    drawn = f": {len(shown)} of {len(set(actor))}, the others grey" if grey.any() else ""
    right.set_title(f"coloured by actor{drawn}")
    for axes in (left, right):
        axes.set(xticks=[], yticks=[])
    return figure


def plot_neighbours(table: pd.DataFrame) -> Figure:
    """Share of nearest neighbours of the same actor, and emotion, beside chance.

    Parameters
    ----------
    table : DataFrame
        See `maps.neighbours`.
    """
    counts = sorted(table["neighbours"].unique())
    kinds = list(dict.fromkeys(table["same"]))
    figure = Figure(figsize=(6.5, 1.2 + 0.75 * len(kinds)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(counts)
    for number, (count, colour) in enumerate(zip(counts, colours(), strict=False)):
        rows = table[table["neighbours"] == count]
        places = np.array([-kinds.index(kind) for kind in rows["same"]]) - number * height
        label = "nearest clip" if count == 1 else f"{count} nearest clips"
        axes.barh(places, 100 * rows["share"], height=0.9 * height, color=colour, label=label)
        for place, share in zip(places, 100 * rows["share"], strict=True):
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
        axes.annotate(
            short(name), place, ha="center", va="center", weight="bold", path_effects=halo
        )


def _within(positions: np.ndarray) -> np.ndarray:
    """Positions with what lies far out moved to the edge, so that the others fill the picture."""
    low, high = np.percentile(positions, (3, 97), axis=0)
    margin = 0.35 * (high - low)
    return np.clip(positions, low - margin, high + margin)
