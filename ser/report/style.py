"""What all figures share: their colours, and bars that stand on each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes

# Okabe & Ito's palette, told apart with every common colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")


def colours() -> Iterator[str]:
    """Eight emotions have a colour each; a corpus with more of them uses the colours again."""
    return cycle(COLOURS)


def stacked_bars(
    axes: Axes, places: Sequence[str], parts: Mapping[str | None, Sequence[int]]
) -> None:
    """Bars of several parts on each other, with room for a legend above them.

    Parameters
    ----------
    axes : Axes
    places : (n,) str
        What each bar is of.
    parts : mapping of str or None to (n,) int
        Name of a part, or None, -> the heights of its bars.
    """
    bottom = np.zeros(len(places), dtype=int)
    for (name, heights), colour in zip(parts.items(), colours(), strict=False):
        axes.bar(range(len(places)), heights, bottom=bottom, color=colour, label=name)
        bottom += np.asarray(heights)
    axes.set_xticks(range(len(places)), places)
    axes.margins(y=0.15)
