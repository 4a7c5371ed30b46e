"""The pictures of an exploration: what draws those of a clip, and what a page says of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from ser.data.audio import as_flac
from ser.report import html as pages
from ser.report import sound_figures
from ser.report.clip_views import ClipViews

# Picture -> heading, and what it shows and what to look for.
CAPTIONS = {
    "waveforms": (
        "Waveform",
        "Air pressure over time: how loud each moment is. Look at how high the peaks are, how long "
        "the speech takes, and how much silence surrounds it.",
    ),
    "spectrograms": (
        "STFT power spectrogram",
        "How much power there is at each frequency and moment. Horizontal stripes are the "
        "harmonics of a voiced sound: the further apart, the higher the voice. Hisses such as /s/ "
        "are clouds above 4000 Hz. An aroused voice has more power up there.",
    ),
    "mel_spectrograms": (
        "Mel spectrogram",
        "The same on the ear's scale, which takes high frequencies together: 128 mel bands. Their "
        "means over time are the tutorial's mel features.",
    ),
    "mfccs": (
        "MFCCs",
        "The shape of each moment's mel spectrum in a few numbers: low coefficients for its broad "
        "shape, high ones for detail. The first (loudness) is left out, as it is many times "
        "larger. Steady columns are vowels, changes are consonants.",
    ),
    "chromagrams": (
        "Chromagram",
        "Power gathered into the twelve pitch classes of music, whatever the octave. In speech it "
        "follows the melody roughly; where it is silent, it shows noise scaled up.",
    ),
    "contours": (
        "F0 and energy contours",
        "Above, the pitch of the voiced moments (YIN): the melody of the sentence. Below, the "
        "level of every moment. Look at the height, the range and the movement of both: a voice "
        "that is aroused is higher and louder.",
    ),
    "class_balance": (
        "Class balance",
        "Clips of every emotion and of every actor. Where the bars differ, accuracy flatters a "
        "model that prefers the common emotions; UAR does not.",
    ),
    "spoken": (
        "Pitch, energy and duration by emotion",
        "Boxes hold half of the clips, whiskers nine tenths, the line is the median. Emotions "
        "whose boxes do not overlap can mostly be told apart by this number alone. Where gender is "
        "known each has boxes of its own, as voices differ in F0 before they feel anything.",
    ),
    "correlation": (
        "Correlation of the features",
        "Red squares are features that say the same (neighbouring mel bands), blue ones rise "
        "where the other falls. Many features that say the same weigh much in a distance.",
    ),
    "ranking": (
        "What a feature tells by itself",
        "Left, how much one feature alone tells of the emotion; neighbours in the list often say "
        "the same. Right, every feature: how much of its variance lies between emotions, and how "
        "much between actors. What is above the dotted line tells who speaks rather than how.",
    ),
    "map_t-sne": (
        "Map of the clips: t-SNE",
        "Each dot is a clip; clips that sound alike to the features are near. Where the islands on "
        "the right are of one actor, and the same islands on the left are of all emotions, the "
        "features know the speaker better than the emotion. A model tested on actors that it has "
        "heard profits from that. Distances between islands mean little.",
    ),
    "map_umap": (
        "Map of the clips: UMAP",
        "As t-SNE, by another method that keeps more of the distances between islands.",
    ),
    "map_pca": (
        "Map of the clips: PCA",
        "The two directions in which the clips differ most, and nothing bent. Clips that lie far "
        "out are drawn at the edge.",
    ),
    "neighbours": (
        "Whose clips are near",
        "The leak as a number: how often a clip's nearest clips have the same actor, or the same "
        "emotion. The last bars leave out the clip's own actor, as a test on unheard actors does: "
        "what remains above chance is what the features know of emotion in a new voice.",
    ),
    "loudness": (
        "Level of each actor's speech",
        "Median and quartiles of the clips' level. Where actors differ as much as emotions do, "
        "loudness tells who was recorded how, and misleads a model on a new voice.",
    ),
}


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
        sound_figures.waveforms,
        sound_figures.spectrograms,
        sound_figures.mel_spectrograms,
        sound_figures.mfccs,
        sound_figures.chromagrams,
        sound_figures.contours,
    )
    return {draw.__name__: partial(draw, shown) for draw in drawn}


def pictures(folder: Path, shown: Sequence[ClipViews], corpus: str = "") -> dict[str, Picture]:
    """Pictures in a folder, by name, as far as `CAPTIONS` knows them.

    Parameters
    ----------
    folder : Path
        With ``NAME.png``.
    shown : sequence of ClipViews
        What the pictures of clips are of.
    corpus : str
        What the others are of.
    """
    found = {}
    of_clips, titles = clip_figures(shown), " and ".join(clip.title for clip in shown)
    for name, (title, caption) in CAPTIONS.items():
        file = folder / f"{name}.png"
        if file.exists():
            data = file.read_bytes()
            alt = f"{title}: {titles if name in of_clips else corpus}"
            uri = pages.data_uri(data, "image/png")
            found[name] = Picture(title, caption, alt, uri, pages.is_small(data))
    return found


def sound(view: ClipViews) -> str:
    """A clip as a data URI that browsers play."""
    return pages.data_uri(as_flac(view.y, view.sr), "audio/flac")
