"""Several runs side by side -> matplotlib figures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ser.core.comparable import INDUCTIVE, KINDS
from ser.report.style import COLOURS, NARROW, Figure, in_style, new_figure


@in_style
def plot_intervals(
    table: pd.DataFrame, *, chance: float | None, title: str, bars: str = "its 95 % interval"
) -> Figure:
    """Test UAR of several runs, or configs, with an interval around it, one under the other.

    Parameters
    ----------
    table : DataFrame
        name, test_uar, test_uar_low, test_uar_high (in [0, 1]; not there, or not a number, of one
        actor) and kind (of `core.comparable`); each kind in a colour of its own, under a gap.
    chance : float or None
        In [0, 1]; None where the runs have not the same.
    title, bars : str
        Of the figure, and what the interval is.
    """
    figure = new_figure(NARROW + 1, 1.5 + 0.45 * len(table), title)
    axes = figure.subplots()
    kinds = [kind for kind in KINDS if kind in set(table["kind"])]
    places = -np.arange(len(table)) - 0.6 * table["kind"].map(kinds.index)
    for kind in kinds:
        rows, colour = table[table["kind"] == kind], COLOURS[KINDS.index(kind)]
        uar = 100 * rows["test_uar"]
        low, high = (100 * rows.get(f"test_uar_{end}", np.nan) for end in ("low", "high"))
        ends = [uar - low, high - uar]
        axes.errorbar(uar, places[rows.index], xerr=ends, fmt="o", capsize=4, color=colour)
        for value, place in zip(uar, places[rows.index], strict=True):
            axes.annotate(
                f"{value:.1f}",
                (value, place),
                (0, 6),
                textcoords="offset points",
                ha="center",
                size=8,
            )
    if chance is not None:
        axes.axvline(100 * chance, color="grey", linestyle=":", label="chance")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    names = [
        row.name if row.kind == INDUCTIVE else f"{row.name} ({row.kind})"
        for row in table.itertuples()
    ]
    axes.set_yticks(places, names)
    axes.set(xlabel=f"test UAR (%) and {bars}", xlim=(0, 100))
    axes.set_ylim(min(places) - 0.8, 0.8)
    axes.grid(axis="x")
    return figure


@in_style
def plot_by_actor(scores: pd.DataFrame, *, label: str) -> Figure:
    """Score of each actor's clips in several runs.

    Parameters
    ----------
    scores : (n_actors, n_runs) DataFrame
        In [0, 1]; actors in rows, runs in columns.
    label : str
        Of the score.
    """
    title = f"{label} of each actor's test clips · {len(scores)} actors, a line for each"
    figure = new_figure(max(NARROW, 1.2 * scores.shape[1] + 3), 4.8, title)
    axes = figure.subplots()
    places = np.arange(scores.shape[1])
    for _, row in scores.iterrows():
        axes.plot(places, 100 * row, color="grey", alpha=0.35, linewidth=1, marker=".")
    axes.plot(places, 100 * scores.mean(), color=COLOURS[1], marker="D", label="mean over actors")
    names = [
        f"{name}\n{value:.1f} %"
        for name, value in zip(scores.columns, 100 * scores.mean(), strict=True)
    ]
    axes.set_xticks(places, names, rotation=15, ha="right")
    axes.set(ylabel=f"{label} (%)", ylim=(0, 102))
    axes.grid(axis="y")
    axes.legend()
    return figure
