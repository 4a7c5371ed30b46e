"""What all figures share: names drawn to the letter, colours, and stacked bars."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text

from ser.core.printable import shown

# Okabe & Ito's palette, told apart with every common colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
LONGEST = 24  # characters of a name that is drawn


class Figure(matplotlib.figure.Figure):
    """A figure in which every name stands to the letter: a dollar starts no mathematics.

    Signs that no font here has are drawn as empty boxes; tables and pages have them.
    """

    __module__ = matplotlib.figure.__name__  # Gradio knows a figure by it

    def savefig(self, *args: Any, **settings: Any) -> None:
        """Write the figure; see matplotlib's own."""
        for text in self._names():
            text.set_parse_math(False)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
            warnings.filterwarnings("ignore", r"Matplotlib currently does not support", UserWarning)
            super().savefig(*args, **settings)

    def _names(self) -> set[Text]:
        """All texts but the numbers of logarithmic axes, which are powers in mathematics."""
        texts = {text for text in self.findobj(Text) if isinstance(text, Text)}
        axes = [each for axes in self.axes for each in (axes.xaxis, axes.yaxis)]
        powers = [axis.get_ticklabels(which="both") for axis in axes if axis.get_scale() == "log"]
        return texts.difference(*powers)


def colours() -> Iterator[str]:
    """Eight emotions have a colour each; a corpus with more of them uses the colours again."""
    return cycle(COLOURS)


def short(name: object) -> str:
    """A name with room in a figure, and in a legend: matplotlib leaves out what begins with _.

    >>> short("happy"), len(short("x" * 300)), short("_tense")
    ('happy', 24, ' _tense')
    """
    text = shown(name)
    text = f" {text}" if text.startswith("_") else text
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


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
        label = None if name is None else short(name)
        axes.bar(range(len(places)), heights, bottom=bottom, color=colour, label=label)
        bottom += np.asarray(heights)
    axes.set_xticks(range(len(places)), list(map(short, places)))
    axes.margins(y=0.15)
