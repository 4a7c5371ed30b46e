"""What all figures share: colours, titles with names in them, and stacked bars."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes

# Okabe & Ito's palette, told apart with every common colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")


def colours() -> Iterator[str]:
    """Eight emotions have a colour each; a corpus with more of them uses the colours again."""
    return cycle(COLOURS)


def literal(name: str) -> str:
    r"""A name as matplotlib draws it to the letter: without mathematics, whatever its bytes.

    >>> print(literal("a$b$.wav"), literal("bad\udcff.wav"))
    a\$b\$.wav bad\xff.wav
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace").replace("$", r"\$")


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
