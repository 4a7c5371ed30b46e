"""Where clips lie among each other -> matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from ser.report.style import COLOURS, NARROW, Figure, colours, in_style, new_figure, short

MARKERS = ("o", "^", "s")
MAX_ACTORS = len(COLOURS) * len(MARKERS)  # told apart by colour and marker
MAX_EMOTIONS = len(COLOURS)  # told apart by colour alone


def within(positions: np.ndarray) -> np.ndarray:
    """Positions with what lies far out moved to the edge, so that the others fill the picture.

    Parameters
    ----------
    positions : (n_clips, 2)
    """
    low, high = np.percentile(positions, (3, 97), axis=0)
    margin = 0.35 * (high - low)
    return np.clip(positions, low - margin, high + margin)


@in_style
def plot_map_of_emotions(
    positions: np.ndarray, emotion: pd.Series, emotions: Sequence[str], *, about: str
) -> Figure:
    """A map coloured by emotion.

    Parameters
    ----------
    positions : (n_clips, 2)
    emotion : (n_clips,) Series of str
    emotions : sequence of str
    about : str
    """
    figure, axes = _map("Coloured by emotion", about, height=6.35)
    for name, colour in zip(emotions, colours(), strict=False):
        own = positions[(emotion == name).to_numpy()]
        axes.scatter(own[:, 0], own[:, 1], s=9, color=colour, label=short(name), linewidths=0)
    if len(emotions) <= MAX_EMOTIONS:
        handles = {"markerscale": 2, "handletextpad": 0.1, "columnspacing": 0.8}
        figure.legend(loc="outside lower center", ncols=4, frameon=False, **handles)
    return figure


@in_style
def plot_map_of_actors(
    positions: np.ndarray, actor: pd.Series, *, about: str, named: bool = True
) -> Figure:
    """The same map coloured by actor; of very many actors, those with the most clips.

    Parameters
    ----------
    positions : (n_clips, 2)
    actor : (n_clips,) Series
    about : str
    named : bool
        Whether the actors' names are written on it.
    """
    who = actor.astype(str).to_numpy()
    most = pd.Series(who).value_counts().index[:MAX_ACTORS]
    shown = {name: positions[who == name] for name in dict.fromkeys(who) if name in most}
    grey = ~np.isin(who, list(shown))
    drawn = f": {len(shown)} of {len(set(who))}, the others grey" if grey.any() else ""
    figure, axes = _map(f"Coloured by actor{drawn}", about)
    axes.scatter(positions[grey, 0], positions[grey, 1], s=5, color="lightgrey", linewidths=0)
    for own, (marker, colour) in zip(shown.values(), product(MARKERS, COLOURS), strict=False):
        axes.scatter(own[:, 0], own[:, 1], s=11, color=colour, marker=marker, linewidths=0)
    if named:
        _name_actors(axes, shown)
    return figure


@in_style
def plot_neighbours(table: pd.DataFrame) -> Figure:
    """Share of nearest neighbours of the same actor, and emotion, beside chance.

    Parameters
    ----------
    table : DataFrame
        See `maps.neighbours`.
    """
    counts = sorted(table["neighbours"].unique())
    kinds = list(dict.fromkeys(table["same"]))
    title = "How often a clip's nearest clips have the same actor or emotion"
    figure = new_figure(NARROW, 1.6 + 0.75 * len(kinds), title)
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
    axes.grid(axis="x")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
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


def _map(title: str, about: str, height: float = 5.9) -> tuple[Figure, Axes]:
    figure = new_figure(NARROW, height, title, about)
    axes = figure.subplots()
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
    return figure, axes
