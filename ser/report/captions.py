"""What every figure and table is called, and what to look for in it, in the order of the pages.

What a run logs as ``figures/NAME.png`` or ``tables/NAME.csv`` has its entry in
``templates/captions.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Caption:
    """Words around a figure or a table.

    Attributes
    ----------
    text : str
        What it shows, and what to look for.
    title : str
        Its name in words, unless given.
    each : bool
        Whether a run may have several, ``NAME_WHAT``: one for each part, parameter or clip.
    own_section : bool
        Whether a run's page shows what is in it elsewhere.
    """

    text: str = ""
    title: str = ""
    each: bool = False
    own_section: bool = False


def _captions(section: str) -> dict[str, Caption]:
    entries = tomllib.loads(_FILE.read_text(encoding="utf-8"))[section]
    return {name: Caption(**entry) for name, entry in entries.items()}


_FILE = Path(__file__).parent / "templates" / "captions.toml"
FIGURES, TABLES = map(_captions, ("figures", "tables"))


def caption_of(captions: Mapping[str, Caption], name: str) -> Caption:
    """The entry of a figure or a table, with its title.

    >>> caption_of(FIGURES, "validation_curve_classifier.C").title
    'Validation curve: classifier.C'

    Raises
    ------
    KeyError
        If it has none.
    """
    stem = stem_of(captions, name)
    caption = captions[stem]
    title = caption.title or stem.replace("_", " ").capitalize()
    what = name.removeprefix(stem)[1:]
    return replace(caption, title=f"{title}: {what}" if what else title)


def in_order(captions: Mapping[str, Caption], names: Iterable[str]) -> dict[str, Caption]:
    """Captions of what a run has, in the registry's order.

    What an older or a newer ser logged and is not known here comes last, under its own name.
    """
    order = list(captions)
    names = set(names)
    known = {name for name in names if stem_of(captions, name) in captions}
    ordered = sorted(known, key=lambda name: (order.index(stem_of(captions, name)), name))
    both = {name: caption_of(captions, name) for name in ordered}
    return both | {name: caption_of({name: Caption()}, name) for name in sorted(names - known)}


def stem_of(captions: Mapping[str, Caption], name: str) -> str:
    """The entry's name: without what a figure of several is of."""
    several = (stem for stem, caption in captions.items() if caption.each)
    stem = next((stem for stem in several if name.startswith(f"{stem}_")), name)
    return name if name in captions else stem
