"""RAVDESS, the audio-only speech part: 1440 clips, 24 actors, 8 emotions.

The Ryerson Audio-Visual Database of Emotional Speech and Song holds, as audio-only speech, 60
clips of each of 24 professional actors (12 male, 12 female; North American English), 48 kHz and
16-bit: 96 neutral clips and 192 of each other emotion, 5329 s in all. 1435 clips are mono and 5
stereo; two repetitions of Actor_07's hold the same bytes (`SAME_SOUND`).

A file name tells all about its clip, in seven two-digit codes, e.g. 03-01-06-01-02-01-12.wav:

- modality: 01 full-av, 02 video-only, 03 audio-only;
- channel: 01 speech, 02 song;
- emotion: 01 neutral, 02 calm, 03 happy, 04 sad, 05 angry, 06 fearful, 07 disgust, 08 surprised;
- intensity: 01 normal, 02 strong (neutral is never strong);
- statement: 01 "Kids are talking by the door", 02 "Dogs are sitting by the door";
- repetition: 01, 02;
- actor: 01 to 24, odd numbers male, even numbers female.

Published at https://doi.org/10.5281/zenodo.1188976 under CC BY-NC-SA 4.0. Paper: Livingstone SR,
Russo FA (2018), PLoS ONE 13(5): e0196391, https://doi.org/10.1371/journal.pone.0196391.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath

import pandas as pd

from ser.core.errors import SerError
from ser.data.corpora import AUDIO_SUFFIXES, EMOTIONS, absolute, with_durations
from ser.data.corpora.download import ZIP_ERRORS, Archive, fetch, unpack
from ser.data.corpora.file_names import Corpus, Fields

ARCHIVE = Archive(
    url="https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip?download=1",
    name="Audio_Speech_Actors_01-24.zip",
    size=208_468_073,
    md5="bc696df654c87fed845eb13823edef8a",
)
COLUMNS = ["path", "modality", "channel", "emotion", "intensity", "statement", "repetition"]
COLUMNS += ["actor", "gender"]

# Both are happy, by one actor: published so, and the only sound that is there twice.
SAME_SOUND = {"03-01-03-01-02-01-07", "03-01-03-01-02-02-07"}

_FIELDS: dict[str, Fields] = {
    "modality": {"01": "full-av", "02": "video-only", "03": "audio-only"},
    "channel": {"01": "speech", "02": "song"},
    "emotion": {f"{code:02d}": emotion for code, emotion in enumerate(EMOTIONS, start=1)},
    "intensity": {"01": "normal", "02": "strong"},
    "statement": {"01": 1, "02": 2},
    "repetition": {"01": 1, "02": 2},
    "actor": {f"{actor:02d}": actor for actor in range(1, 25)},
}

log = logging.getLogger(__name__)


def load(root: str | Path, *, download: bool = True) -> pd.DataFrame:
    """Clip table of the audio-only speech clips under a folder.

    The folder may hold the published tree (Actor_XX/*.wav), the same as FLAC, any nesting of it, or
    the published zip, which is then unpacked into it. RAVDESS's songs and videos are left out.

    Parameters
    ----------
    root : str or Path
        Folder of the corpus.
    download : bool
        Whether to fetch the corpus (208 MB, and 590 MB unpacked) into `root` if it is not there.

    Returns
    -------
    DataFrame, (n_clips, 11)
        path, modality, channel, emotion, intensity, statement, repetition, actor, gender,
        duration (s) and sr (Hz); in the order of the published Actor_XX/NAME, whatever the nesting.

    Raises
    ------
    SerError
        There are no clips and they cannot be fetched, a name is out of the grammar, or a clip is
        there twice.
    """
    root = absolute(root)
    if not (found := CORPUS.parsed_clips(root)):
        unpacked = unpack_channel(root, ARCHIVE, channel="speech", download=download)
        if not (found := CORPUS.parsed_clips(root)):
            advice = _advice(root, ARCHIVE)
            raise SerError(f"{unpacked} was unpacked, but holds no RAVDESS speech. {advice}")
    clips = clip_table(found)
    if len(clips) < CORPUS.n_clips:
        log.warning("RAVDESS in %s is incomplete: %d clips of %d", root, len(clips), CORPUS.n_clips)
    return clips


def clip_table(found: Mapping[Path, Fields]) -> pd.DataFrame:
    """Clip table of a corpus named by RAVDESS's grammar, whole or not: see `load`."""
    clips = sorted(found.items(), key=lambda clip: (clip[1]["actor"], clip[0].stem))
    rows = [{"path": str(path), **fields} for path, fields in clips]
    return with_durations(pd.DataFrame(rows, columns=COLUMNS))


def unpack_channel(root: Path, archive: Archive, *, channel: str, download: bool) -> Path:
    """Unpack the zip of RAVDESS's speech or song that lies in a folder, or is fetched into it.

    Parameters
    ----------
    root : Path
        Folder of the corpus.
    archive : Archive
        What to fetch where no zip lies there.
    channel : {"speech", "song"}
    download : bool
        Whether it may be fetched.

    Returns
    -------
    Path
        The zip.

    Raises
    ------
    SerError
        A zip there cannot be read, or there is none and it cannot be fetched.
    """
    code = next(code for code, word in _FIELDS["channel"].items() if word == channel)
    zipped = _archive_in(root, code) or _download(root, archive, allowed=download)
    unpack(zipped, root)
    return zipped


def parse_name(stem: str) -> Fields:
    """What a RAVDESS file name, without its suffix, tells about the clip.

    Raises
    ------
    SerError
        The name is not seven known codes, or a strong neutral, which does not exist.

    Examples
    --------
    >>> clip = parse_name("03-01-06-01-02-01-12")
    >>> clip["modality"], clip["channel"], clip["emotion"], clip["intensity"]
    ('audio-only', 'speech', 'fearful', 'normal')
    >>> clip["statement"], clip["repetition"], clip["actor"], clip["gender"]
    (2, 1, 12, 'female')
    """
    codes = stem.split("-")
    if len(codes) != len(_FIELDS):
        raise SerError(
            f"{stem!r} is not a RAVDESS name: expected seven two-digit codes such as "
            "03-01-06-01-02-01-12"
        )
    clip: Fields = {}
    for (field, words), code in zip(_FIELDS.items(), codes, strict=True):
        if code not in words:
            known = f"{min(words)} to {max(words)}"
            raise SerError(f"{stem!r} is not a RAVDESS name: {field} {code!r} is not {known}")
        clip[field] = words[code]
    if (clip["emotion"], clip["intensity"]) == ("neutral", "strong"):
        raise SerError(f"{stem!r} is not a RAVDESS name: neutral has no strong intensity")
    return clip | {"gender": "female" if int(codes[-1]) % 2 == 0 else "male"}


def parse_audio_only(path: Path, *, channel: str) -> Fields | None:
    """What the name of an audio-only file of a channel tells; None for RAVDESS's other files."""
    fields = parse_name(path.stem)
    return fields if (fields["modality"], fields["channel"]) == ("audio-only", channel) else None


def _archive_in(root: Path, channel: str) -> Path | None:
    """The first zip in the folder that holds RAVDESS audio-only clips of a channel."""
    start = f"03-{channel}-"
    for path in sorted(path for path in root.glob("*.zip") if path.is_file()):
        try:
            with zipfile.ZipFile(path) as archive:
                names = [PurePosixPath(name) for name in archive.namelist()]
        except (*ZIP_ERRORS, OSError) as error:
            raise SerError(f"{path} is not a readable zip ({error}). Remove it.") from None
        if any(n.stem.startswith(start) and n.suffix.lower() in AUDIO_SUFFIXES for n in names):
            return path
    return None


def _download(root: Path, archive: Archive, *, allowed: bool) -> Path:
    advice = _advice(root, archive)
    if not allowed:
        raise SerError(f"No RAVDESS clips under {root}, and data.download=false. {advice}")
    log.info("No RAVDESS clips under %s: fetching %s", root, archive.url)
    try:
        return fetch(archive.url, root / archive.name, md5=archive.md5, size=archive.size)
    except SerError as error:
        raise SerError(f"No RAVDESS clips under {root}. {error} {advice}") from error


def _advice(root: Path, archive: Archive) -> str:
    return (
        f"Put {archive.url} into {root}, or set data.root=<folder with the clips>, "
        "or try data=demo, which needs no download."
    )


CORPUS = Corpus(
    name="RAVDESS",
    choice="ravdess",
    n_clips=1440,
    source=f"from {ARCHIVE.url} (CC BY-NC-SA 4.0)",
    parse=partial(parse_audio_only, channel="speech"),
)
