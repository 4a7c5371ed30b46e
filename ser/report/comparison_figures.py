"""Several runs side by side -> matplotlib figures."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ser.core.comparable import INDUCTIVE, KINDS
from ser.report.style import COLOURS, NARROW, Figure, in_style, new_figure


@in_style
def plot_intervals(table: pd.DataFrame, *, about: str) -> Figure:
    """Test UAR of several runs with its 95 % interval, or of configs over seeds, one below another.

    Parameters
    ----------
    table : DataFrame
        name, kind (of `core.comparable`; each in a colour of its own, under a gap), and of runs
        test_uar, test_uar_low, test_uar_high (in [0, 1]; not there, or not a number, of one actor),
        clips and chance; of configs n, test_uar_mean and test_uar_std.
    about : str
        What was tested, on which corpus and by which protocol.
    """
    bars = "95 % interval"
    if "test_uar" not in table:
        bars = "standard deviation over jobs"
        mean, deviation = table["test_uar_mean"], table["test_uar_std"]
        table = table.assign(
            test_uar=mean, test_uar_low=mean - deviation, test_uar_high=mean + deviation
        )
    figure = new_figure(NARROW, 1.6 + 0.45 * len(table), f"Test UAR · bars: {bars}", about)
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
    chances = set(table.get("chance", ()))
    if len(chances) == 1:
        chance = 100 * chances.pop()
        axes.axvline(chance, color="grey", linestyle=":", label=f"chance ({chance:.1f})")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    axes.set_yticks(places, [_named(row) for row in table.to_dict("records")])
    axes.set(xlabel="test UAR (%)", xlim=(0, 100))
    axes.set_ylim(min(places) - 0.8, 0.8)
    axes.grid(axis="x")
    return figure


@in_style
def plot_by_actor(
    scores: pd.DataFrame, *, label: str, listeners: Mapping[str, float] | None = None
) -> Figure:
    """Score of each actor's clips in several runs.

    Parameters
    ----------
    scores : (n_actors, n_runs) DataFrame
        In [0, 1]; actors in rows, runs in columns.
    label : str
        Of the score.
    listeners : mapping of str to float, optional
        Emotion -> recall of human listeners, in percent: their mean, and from the hardest emotion
        to the easiest.
    """
    title = f"{label} of each actor's test clips · {len(scores)} actors, a line for each"
    figure = new_figure(max(NARROW, 1.2 * scores.shape[1] + 3), 4.8, title)
    axes = figure.subplots()
    places = np.arange(scores.shape[1])
    for _, row in scores.iterrows():
        axes.plot(places, 100 * row, color="grey", alpha=0.35, linewidth=1, marker=".")
    axes.plot(places, 100 * scores.mean(), color=COLOURS[1], marker="D", label="mean over actors")
    if listeners:
        recalls = np.array(list(listeners.values()))
        about = f"human listeners: {recalls.mean():.1f} %; band: hardest to easiest emotion"
        axes.axhspan(recalls.min(), recalls.max(), color=COLOURS[2], alpha=0.12, zorder=0)
        axes.axhline(recalls.mean(), color=COLOURS[2], linestyle="--", linewidth=1, label=about)
    names = [
        f"{name}\n{value:.1f} %"
        for name, value in zip(scores.columns, 100 * scores.mean(), strict=True)
    ]
    axes.set_xticks(places, names, rotation=15, ha="right")
    axes.set(ylabel=f"{label} (%)", ylim=(0, 102))
    axes.grid(axis="y")
    axes.legend()
    return figure


def _named(row: Mapping[Hashable, Any]) -> str:
    """Name of a run or config, how many test clips or jobs it has, and what it knew of the test."""
    of = [
        f"{row[column]} {unit}"
        for column, unit in (("clips", "clips"), ("n", "jobs"))
        if column in row
    ]
    if row["kind"] != INDUCTIVE:
        of.append(row["kind"])
    return f"{row['name']}\n({', '.join(of)})" if of else row["name"]
