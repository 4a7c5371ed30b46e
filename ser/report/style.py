"""What all figures share: one style, titles, names drawn to the letter, colours, intervals."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from itertools import cycle
from typing import Any, ParamSpec, TypeVar

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from ser.core.printable import shown

# Okabe & Ito's palette, told apart with every common colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
LONGEST = 24  # characters of a name that is drawn
DPI = 200
WIDE, NARROW = 10.0, 6.4  # inches; a phone shows a narrow figure without scrolling
_OWN: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.titlesize": 10,
    "font.size": 9,
    "grid.alpha": 0.3,
    "legend.fontsize": 8,
    "legend.framealpha": 0.85,
    "pdf.fonttype": 42,  # text that a publisher can search
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}
_OF_THE_PROCESS = {"backend", "backend_fallback", "interactive", "toolbar", "timezone"}
P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def _style() -> Iterator[None]:
    """Matplotlib as it comes and what is ser's own, whatever style the process has."""
    usual: dict[Any, Any] = {
        k: v for k, v in matplotlib.rcParamsDefault.items() if k not in _OF_THE_PROCESS
    }
    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.simplefilter("ignore", matplotlib.MatplotlibDeprecationWarning)
        dict.update(matplotlib.rcParams, usual)  # they are valid: to check 300 takes 10 ms
        matplotlib.rcParams.update(_OWN)
        yield


def in_style(draw: Callable[P, R]) -> Callable[P, R]:
    """A function that draws, in ser's style whatever else was imported or set."""

    @wraps(draw)
    def styled(*args: P.args, **settings: P.kwargs) -> R:
        with _style():
            return draw(*args, **settings)

    return styled


class Figure(matplotlib.figure.Figure):
    """A figure in which every name stands to the letter: a dollar starts no mathematics.

    Signs that no font here has are drawn as empty boxes; tables and pages have them.
    """

    __module__ = matplotlib.figure.__name__  # Gradio knows a figure by it

    def png(self, dpi: int = DPI) -> bytes:
        """The figure as PNG, drawn once: `savefig` lays out and draws twice."""
        file = io.BytesIO()
        self.set_dpi(dpi)
        with self._to_the_letter():
            # The strongest compression takes as long as the drawing, for a tenth of the size.
            FigureCanvasAgg(self).print_png(
                file, metadata={"Software": "ser"}, pil_kwargs={"compress_level": 2}
            )
        return file.getvalue()

    def savefig(self, *args: Any, **settings: Any) -> None:
        """Write the figure; see matplotlib's own."""
        with self._to_the_letter():
            super().savefig(*args, **settings)

    @contextmanager
    def _to_the_letter(self) -> Iterator[None]:
        for text in self._names():
            text.set_parse_math(False)
        with _style(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
            warnings.filterwarnings("ignore", r"Matplotlib currently does not support", UserWarning)
            yield

    def _names(self) -> set[Text]:
        """All texts but the numbers of logarithmic axes, which are powers in mathematics."""
        texts = {text for text in self.findobj(Text) if isinstance(text, Text)}
        axes = [each for axes in self.axes for each in (axes.xaxis, axes.yaxis)]
        powers = [axis.get_ticklabels(which="both") for axis in axes if axis.get_scale() == "log"]
        return texts.difference(*powers)


def new_figure(
    width: float, height: float, title: str = "", about: str = "", *, layout: str = "constrained"
) -> Figure:
    """An empty figure with its title, in lines that are as wide as it is.

    Parameters
    ----------
    width, height : float
        Inches.
    title, about : str
        What is drawn; and of what: run, UAR, clips, protocol. Either may be empty.
    layout : {"constrained", "compressed"}
        The second for pictures whose sides have a fixed ratio.
    """
    figure = Figure(figsize=(width, height), layout=layout)  # type: ignore[arg-type]
    lines = [line for text in (title, about) for line in textwrap.wrap(text, int(12 * width))]
    if lines:
        figure.suptitle("\n".join(map(shown, lines)))
    return figure


def whole(axis: Axis) -> None:
    """Ticks at whole numbers alone: epochs, trials, counts."""
    axis.set_major_locator(MaxNLocator(integer=True))


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


def wilson(rate: Any, n: Any) -> np.ndarray:
    """Distances from a rate of n clips to the ends of its 95 % interval (Wilson 1927).

    Parameters
    ----------
    rate : (n_bars,) float
        In [0, 1].
    n : (n_bars,) int
        Clips, at least one.

    Returns
    -------
    (2, n_bars) float
        Down and up, as matplotlib's error bars take them.

    >>> wilson([0.5], [2]).round(2).tolist()
    [[0.41], [0.41]]
    """
    z, rate, n = 1.96, np.asarray(rate, dtype=float), np.asarray(n)
    middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return np.maximum([rate - middle + half, middle + half - rate], 0)


def stacked_bars(
    axes: Axes, places: Sequence[str], parts: Mapping[str | None, Sequence[int]]
) -> None:
    """Bars of several parts on each other, the clips of each written in it, and a legend above.

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
        bars = axes.bar(range(len(places)), heights, bottom=bottom, color=colour, label=label)
        if len(places) <= 20:
            texts = [str(height) if height else "" for height in heights]
            axes.bar_label(bars, texts, label_type="center", color="white", fontsize=7)
        bottom += np.asarray(heights)
    axes.grid(axis="y")
    axes.set_xticks(range(len(places)), list(map(short, places)))
    if None not in parts:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(parts), frameon=False)
