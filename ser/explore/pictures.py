"""What draws the pictures of a clip, or of several beside each other; and their sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ser.data.audio import as_flac
from ser.report import sound_figures
from ser.report.clip_views import ClipViews
from ser.report.html import data_uri
from ser.report.style import Figure

_DRAWN = (
    sound_figures.plot_waveforms,
    sound_figures.plot_spectrograms,
    sound_figures.plot_mel_spectrograms,
    sound_figures.plot_mfccs,
    sound_figures.plot_chromagrams,
    sound_figures.plot_contours,
)
CLIP_PICTURES = tuple(draw.__name__.removeprefix("plot_") for draw in _DRAWN)


def clip_figures(shown: Sequence[ClipViews]) -> dict[str, Callable[[], Figure]]:
    """What draws the pictures of each clip on the scale of all: ``mfccs_1``, ``mfccs_2``.

    Those of a single clip have no number.
    """
    return {
        name + end: partial(draw, clip, [other for other in shown if other is not clip])
        for name, draw in zip(CLIP_PICTURES, _DRAWN, strict=True)
        for end, clip in _by_number(shown)
    }


def clip_alts(shown: Sequence[ClipViews]) -> dict[str, str]:
    """What each of `clip_figures` is of, for those who do not see it."""
    return {name + end: clip.title for end, clip in _by_number(shown) for name in CLIP_PICTURES}


def _by_number(shown: Sequence[ClipViews]) -> list[tuple[str, ClipViews]]:
    return [(f"_{n}" if len(shown) > 1 else "", clip) for n, clip in enumerate(shown, start=1)]


def sound(view: ClipViews) -> str:
    """A clip as a data URI that browsers play."""
    return data_uri(as_flac(view.y, view.sr), "audio/flac")
