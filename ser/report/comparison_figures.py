"""Several runs side by side -> matplotlib figures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ser.core.comparable import INDUCTIVE, KINDS
from ser.report.style import COLOURS, Figure


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
    figure = Figure(figsize=(8, 1.4 + 0.45 * len(table)), layout="constrained")
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
                f"{value:.1f}", (value, place), (0, 6), textcoords="offset points", ha="center"
            )
    if chance is not None:
        axes.axvline(100 * chance, color="grey", linestyle=":", label="chance")
        axes.legend(loc="lower right")
    names = [
        row.name if row.kind == INDUCTIVE else f"{row.name} ({row.kind})"
        for row in table.itertuples()
    ]
    axes.set_yticks(places, names)
    axes.set(xlabel=f"test UAR (%) and {bars}", xlim=(0, 100), title=title)
    axes.set_ylim(min(places) - 0.8, 0.8)
    axes.grid(axis="x", alpha=0.3)
    return figure


def plot_by_actor(scores: pd.DataFrame, *, label: str) -> Figure:
    """Score of each actor's clips in several runs.

    Parameters
    ----------
    scores : (n_actors, n_runs) DataFrame
        In [0, 1]; actors in rows, runs in columns.
    label : str
        Of the score.
    """
    figure = Figure(figsize=(max(7, 1.6 * scores.shape[1] + 3), 6), layout="constrained")
    axes = figure.subplots()
    places = np.arange(scores.shape[1])
    for _, row in scores.iterrows():
        axes.plot(places, 100 * row, color="grey", alpha=0.35, linewidth=1, marker=".")
    axes.plot(places, 100 * scores.mean(), color=COLOURS[1], marker="D", label="mean over actors")
    axes.set_xticks(places, scores.columns, rotation=15, ha="right")
    axes.set(ylabel=f"{label} on the actor's test clips (%)", ylim=(0, 102))
    axes.set_title(f"{len(scores)} actors, a line for each")
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    return figure
