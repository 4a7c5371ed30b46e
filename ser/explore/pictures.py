"""The pictures of a page: what draws those of a clip, and all that are in a folder, captioned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from ser.data.audio import as_flac
from ser.report import sound_figures
from ser.report.captions import FIGURES, in_order
from ser.report.clip_views import ClipViews
from ser.report.html import data_uri, is_small


@dataclass(frozen=True)
class Picture:
    """A picture on a page.

    Attributes
    ----------
    title, caption, alt : str
    source : str
        Data URI.
    small : bool
        Whether a phone shows it without scrolling.
    """

    title: str
    caption: str
    alt: str
    source: str
    small: bool


def clip_figures(shown: Sequence[ClipViews]) -> dict[str, Callable[[], Figure]]:
    """What draws the pictures of one clip or of several, by name."""
    drawn = (
        sound_figures.plot_waveforms,
        sound_figures.plot_spectrograms,
        sound_figures.plot_mel_spectrograms,
        sound_figures.plot_mfccs,
        sound_figures.plot_chromagrams,
        sound_figures.plot_contours,
    )
    return {draw.__name__.removeprefix("plot_"): partial(draw, shown) for draw in drawn}


def pictures(folder: Path, shown: Sequence[ClipViews], corpus: str = "") -> dict[str, Picture]:
    """Pictures in a folder, by name, in the order of `captions.FIGURES`.

    Parameters
    ----------
    folder : Path
        With ``NAME.png``.
    shown : sequence of ClipViews
        What the pictures of clips are of.
    corpus : str
        What the others are of.
    """
    files = {file.stem: file for file in folder.glob("*.png")}
    of_clips, titles = clip_figures(shown), " and ".join(clip.title for clip in shown)
    captioned = {}
    for name, caption in in_order(FIGURES, files).items():
        data = files[name].read_bytes()
        alt = f"{caption.title}: {titles if name in of_clips else corpus}"
        uri = data_uri(data, "image/png")
        captioned[name] = Picture(caption.title, caption.text, alt, uri, is_small(data))
    return captioned


def sound(view: ClipViews) -> str:
    """A clip as a data URI that browsers play."""
    return data_uri(as_flac(view.y, view.sr), "audio/flac")
