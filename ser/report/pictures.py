"""The pictures of a page: all that are in a folder, captioned, those of one kind together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ser.report.captions import FIGURES, caption_of, in_order, stem_of
from ser.report.html import data_uri
from ser.report.style import DPI, NARROW

_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB\x60\x82"  # how every PNG begins and ends
_SMALL = 1.2 * NARROW * DPI  # pixels: a picture as wide can be read on a phone


@dataclass(frozen=True)
class Picture:
    """A picture on a page, or several of one kind, which stand beside each other.

    Attributes
    ----------
    title, caption : str
    images : tuple of (str, str)
        What each shows in words, and its data URI.
    small : bool
        Whether a phone shows each without scrolling.
    """

    title: str
    caption: str
    images: tuple[tuple[str, str], ...]
    small: bool


def pictures(folder: Path, alts: Mapping[str, str] | None = None) -> dict[str, Picture]:
    """Pictures in a folder, by the name of their caption, in the order of `captions.FIGURES`.

    Parameters
    ----------
    folder : Path
        With ``NAME.png``.
    alts : mapping of str to str, optional
        Of what a picture is, by its name; unless given, its caption says it.

    Raises
    ------
    ValueError
        If one is no whole picture.
    """
    alts = alts or {}
    files = {file.stem: file for file in folder.glob("*.png")}
    ordered = in_order(FIGURES, files)
    shown = {}
    for stem, names in groupby(ordered, key=lambda name: stem_of(FIGURES, name)):
        images, small = [], True
        for name in names:
            data = files[name].read_bytes()
            if not (data.startswith(_PNG) and data.endswith(_PNG_END)):
                raise ValueError(f"{name}.png is no whole picture")
            of = ordered[name]
            images.append((f"{of.title}: {alts.get(name, of.text)}", data_uri(data, "image/png")))
            small = small and int.from_bytes(data[16:20], "big") <= _SMALL
        if not of.own_section:
            title = caption_of(FIGURES, stem).title if len(images) > 1 else of.title
            shown[stem] = Picture(title, of.text, tuple(images), small)
    return shown
