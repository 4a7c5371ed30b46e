"""How far long work is: a bar on a terminal, a line every ten seconds in a file or a log."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

EVERY = 10.0  # seconds between two lines
_LINE = "{desc}: {n_fmt} of {total_fmt}, {elapsed} passed, about {remaining} left{postfix}"


class _Lines(tqdm):
    """Progress where standard error is no terminal: whole lines, and none of short work."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        # miniters=1: a line may come after every step, however fast the first ones were.
        often = {"mininterval": EVERY, "delay": EVERY, "miniters": 1, "leave": False}
        super().__init__(*args, **{**settings, **often, "bar_format": _LINE})

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        if msg is None:  # otherwise what clears a bar
            print(self, file=sys.stderr, flush=True)

    @classmethod
    def write(cls, s: str, file: Any = None, end: str = "\n", nolock: bool = False) -> None:
        """Print a message: there is no bar that it would have to be kept out of."""
        print(s, file=file, end=end, flush=True)

    def reset(self, total: float | None = None) -> None:
        self.n = 0  # of a download that is whole, which is counted once more; tqdm's draws, too


def bar(steps: Any = None, *, shown: bool = True, **settings: Any) -> tqdm:
    """Progress that its `update` moves, or the steps that are taken from it.

    Parameters
    ----------
    steps : iterable, optional
    shown : bool
        False draws nothing.
    settings : dict
        tqdm's: `total`, `desc`, `unit`, `delay` in seconds, `leave`.
    """
    drawn = tqdm if sys.stderr and sys.stderr.isatty() else _Lines
    return drawn(steps, disable=not (shown and sys.stderr), **settings)


def announce(text: str, *, shown: bool = True) -> None:
    """Say on standard error what long work costs, before it starts."""
    if shown and sys.stderr:
        print(text, file=sys.stderr, flush=True)
