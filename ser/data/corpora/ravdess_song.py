"""RAVDESS, the audio-only song part: 1012 clips, 23 actors, 6 emotions.

The actors of `ser.data.corpora.ravdess` sing the same two statements, 44 clips each, 48 kHz: 92
neutral clips and 184 of each of calm, happy, sad, angry and fearful. Actor 18 has no song. The
grammar of the file names is RAVDESS's, with the channel 02: 03-02-06-01-02-01-12.wav.

Published at https://doi.org/10.5281/zenodo.1188976 under CC BY-NC-SA 4.0. Paper: Livingstone SR,
Russo FA (2018), PLoS ONE 13(5): e0196391, https://doi.org/10.1371/journal.pone.0196391.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ser.data.corpora import absolute, ravdess
from ser.data.corpora.download import Archive
from ser.data.corpora.file_names import Corpus, Fields, Labels

ARCHIVE = Archive(
    url="https://zenodo.org/records/1188976/files/Audio_Song_Actors_01-24.zip?download=1",
    name="Audio_Song_Actors_01-24.zip",
    size=225_505_317,
    md5="5411230427d67a21e18aa4d466e6d1b9",
)


def load(root: str | Path, *, labels: Labels, download: bool = True) -> pd.DataFrame:
    """Clip table of the audio-only songs under a folder.

    The folder may hold the published tree, any nesting of it, speech beside it, or the published
    zip, which is then unpacked into it.

    Parameters
    ----------
    root : str or Path
        Folder of the corpus.
    labels : mapping of str to str or None
        RAVDESS's word for the emotion -> word; None leaves its clips out.
    download : bool
        Whether to fetch the songs (226 MB) into `root` if they are not there.

    Returns
    -------
    DataFrame, (n_clips, 9)
        path, emotion, actor, intensity, statement, repetition, gender, duration (s) and sr (Hz),
        sorted by actor, emotion and the rest.

    Raises
    ------
    SerError
        There are no songs and they cannot be fetched; see also
        `ser.data.corpora.file_names.Corpus.load`.
    """
    root = absolute(root)
    if not CORPUS.parsed_clips(root):
        ravdess.unpack_channel(root, ARCHIVE, channel="song", download=download)
    return CORPUS.load(root, labels=labels)


def parse_name(path: Path) -> Fields | None:
    """What the file name of a song tells about the clip; None for RAVDESS's speech and video.

    Raises
    ------
    SerError
        The name is out of RAVDESS's grammar.

    Examples
    --------
    >>> parse_name(Path("03-02-06-01-02-01-12.wav"))["code"]
    'fearful'
    >>> parse_name(Path("03-01-06-01-02-01-12.wav")) is None
    True
    """
    fields = ravdess.parse_audio_only(path, channel="song")
    if fields is None:
        return None
    kept = ("intensity", "statement", "repetition", "gender")
    further = {key: fields[key] for key in kept}
    return {"actor": fields["actor"], "code": fields["emotion"], **further}


CORPUS = Corpus(
    name="RAVDESS song",
    choice="ravdess_song",
    n_clips=1012,
    source=f"from {ARCHIVE.url} (CC BY-NC-SA 4.0)",
    parse=parse_name,
)
