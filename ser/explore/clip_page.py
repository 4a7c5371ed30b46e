"""One clip -> one page: heard, seen, and in numbers. Needs no corpus, and makes no run."""

from __future__ import annotations

from pathlib import Path

from ser.core.process import temporary_folder
from ser.data.audio import probe, read_audio
from ser.explore.pictures import clip_alts, clip_figures, sound
from ser.features.prosody import ProsodyFeatures
from ser.report.clip_views import LONGEST, views
from ser.report.html import check_free, render, write_page
from ser.report.pictures import pictures


def write_clip_page(clip: str, *, out: str | None = None, prosody: ProsodyFeatures) -> str:
    """Write a clip's page.

    Parameters
    ----------
    clip : str
        Audio file.
    out : str, optional
        The page, a name that ends in ``.html``, or a folder for it; by default NAME.html in the
        working folder. A page that ser wrote is written anew, another file is left alone.
    prosody : ProsodyFeatures
        Settings of F0 and level.

    Returns
    -------
    str
        What the terminal shows.

    Raises
    ------
    SerError
        If the clip cannot be used, or the page cannot be written.
    """
    file = _place(clip, out)
    check_free(file)
    html = render_clip_page(clip, prosody=prosody)
    return f"page    {file}  ({write_page(file, html, 'Set explore.out=<another place>.')})"


def render_clip_page(clip: str, *, prosody: ProsodyFeatures) -> str:
    """The page of a clip.

    Raises
    ------
    AudioError
        If the clip cannot be used.
    """
    y, sr = read_audio(clip)
    name = Path(clip).name
    shown = views(y, sr, name, prosody=prosody)
    values = dict(zip(prosody.names, map(float, prosody(y, sr)), strict=True))
    with temporary_folder() as folder:
        for picture, draw in clip_figures([shown]).items():
            Path(folder, f"{picture}.png").write_bytes(draw().png())
        drawn = pictures(Path(folder), clip_alts([shown]))
    return render(
        "clip.html",
        name=name,
        sound=sound(shown),
        cut=f"{LONGEST:g}" if values["duration"] > LONGEST else "",
        facts=facts(values, sr=sr, channels=probe(clip).channels),
        pictures=list(drawn.values()),
    )


def facts(values: dict[str, float], *, sr: int, channels: int) -> list[tuple[str, str, str]]:
    """A clip in numbers: what, its value with the unit, and what to know of it.

    Parameters
    ----------
    values : dict of str to float
        By the columns of `ProsodyFeatures`.
    sr : int
        Hz.
    channels : int
    """
    voiced = values["f0_median"] > 0
    return [
        ("duration", f"{values['duration']:.2f} s", ""),
        ("sampling rate", f"{sr} Hz", f"nothing above {sr // 2} Hz can be in it"),
        ("channels", str(channels), "mixed to one by the mean" if channels > 1 else ""),
        ("peak", f"{values['energy_peak']:.1f} dBFS", "0 is the largest that a file can hold"),
        ("level of speech", f"{values['energy_mean']:.1f} dBFS", "of what is not silent"),
        ("level range", f"{values['energy_range']:.1f} dB", "from the 5th to the 95th percentile"),
        ("clipped samples", f"{100 * values['clipping_share']:.2g} %", "at full scale in a row"),
        ("silence", f"{100 * values['silence_share']:.0f} %", "40 dB below the loudest moment"),
        ("silence before", f"{values['silence_start']:.2f} s", ""),
        ("silence after", f"{values['silence_end']:.2f} s", ""),
        ("voiced", f"{100 * values['voiced_share']:.0f} %", "of what is not silent"),
        ("median F0", f"{values['f0_median']:.0f} Hz" if voiced else "no voice found", ""),
        (
            "F0 range",
            f"{values['f0_range']:.1f} semitones" if voiced else "no voice found",
            "from the 5th to the 95th percentile",
        ),
    ]


def _place(clip: str, out: str | None) -> Path:
    name = f"{Path(clip).stem}.html"
    if out is None:
        return Path(name)
    return Path(out) if out.endswith(".html") else Path(out, name)
