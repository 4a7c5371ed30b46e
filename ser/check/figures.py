"""Findings -> matplotlib figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import isnan

import numpy as np

from ser.check.findings import FAIL, PASS, Finding
from ser.report.style import COLOURS, NARROW, Figure, in_style, new_figure, short

VERDICT_COLOURS = {PASS: COLOURS[2], FAIL: COLOURS[1], "cannot tell": COLOURS[0]}


def check_figures(findings: Sequence[Finding], over: str) -> dict[str, Callable[[], Figure]]:
    """What draws each picture, by name; of parts that were not looked at, none."""
    drawn: dict[str, Callable[[], Figure]] = {}
    for name, part, measure, label in (
        ("check_robustness", "robustness", "UAR lost", "UAR lost (points)"),
        ("check_flips", "robustness", "answers that flip", "Answers that flip (%)"),
    ):
        chosen = [f for f in findings if (f.part, f.measure) == (part, measure)]
        chosen = [finding for finding in chosen if not isnan(finding.value)]
        if chosen:
            drawn[name] = partial(plot_findings, chosen, label=label, over=over)
    coverage = [f for f in findings if f.part == "confidence" and "speaker" in f.check]
    if coverage:
        drawn["check_sets"] = partial(plot_sets, coverage)
    curve = [finding for finding in findings if finding.part == "new speaker"]
    if curve:
        drawn["check_new_speaker"] = partial(plot_new_speaker, curve)
    return drawn


@in_style
def plot_findings(findings: Sequence[Finding], *, label: str, over: str) -> Figure:
    """Values with their 95 % intervals, one below another, and the limit.

    Parameters
    ----------
    findings : sequence of Finding
        Of one measure.
    label : str
        Of the axis.
    over : str
        What the intervals are over.
    """
    title = f"{label.partition(' (')[0]}, with 95 % intervals over {over}"
    figure = new_figure(NARROW, 1.2 + 0.26 * len(findings), title)
    axes = figure.subplots()
    for place, finding in enumerate(findings):
        value, low, high = (100 * end for end in (finding.value, finding.low, finding.high))
        colour = VERDICT_COLOURS[finding.verdict]
        axes.errorbar(
            value, -place, xerr=[[value - low], [high - value]], fmt="o", capsize=3, color=colour
        )
    limit = findings[0].limit
    if limit is not None:
        axes.axvline(100 * limit, color="grey", linestyle=":")
    for verdict, colour in VERDICT_COLOURS.items():
        axes.plot([], [], "o", color=colour, label=verdict)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
    axes.set_yticks(-np.arange(len(findings)), [finding.check for finding in findings])
    axes.set(xlabel=label)
    axes.grid(axis="x")
    return figure


@in_style
def plot_sets(findings: Sequence[Finding]) -> Figure:
    """Coverage and mean size of each speaker's sets of answers."""
    coverage = [f for f in findings if f.measure == "coverage"]
    size = [f for f in findings if f.measure == "mean size"]
    figure = new_figure(NARROW, 3.6, "Sets of answers for each speaker")
    axes = figure.subplots()
    axes.scatter([f.value for f in size], [100 * f.value for f in coverage], color=COLOURS[0])
    for one, other in zip(size, coverage, strict=True):
        name = short(one.check.rpartition("speaker ")[2])
        axes.annotate(
            name, (one.value, 100 * other.value), (4, 3), textcoords="offset points", size=7
        )
    axes.set(xlabel="mean number of emotions in a set", ylabel="sets with the right one (%)")
    axes.grid()
    return figure


@in_style
def plot_new_speaker(findings: Sequence[Finding]) -> Figure:
    """UAR over the number of clips that were heard of a new speaker."""
    figure = new_figure(NARROW, 3.6, "UAR on a new speaker · bars: 95 % intervals over speakers")
    axes = figure.subplots()
    places = np.arange(len(findings))
    uar, low, high = (
        100 * np.array([getattr(finding, end) for finding in findings])
        for end in ("value", "low", "high")
    )
    axes.errorbar(
        places, uar, yerr=[uar - low, high - uar], marker="o", capsize=3, color=COLOURS[0]
    )
    for place, value in zip(places, uar, strict=True):
        axes.annotate(f"{value:.1f}", (place, value), (5, 5), textcoords="offset points", size=8)
    axes.set_xticks(places, [finding.check.split()[0] for finding in findings])
    axes.set(xlabel="unlabelled clips of the speaker that were heard", ylabel="UAR (%)")
    axes.grid(axis="y")
    return figure
