"""CREMA-D: 7442 clips, 91 actors, 6 emotions, English.

In the Crowd-sourced Emotional Multimodal Actors Dataset 91 actors (48 male, 43 female, 20 to 74
years old) say twelve sentences, 16 kHz and mono: 1271 clips of each emotion but neutral, which has
1087. One sentence (IEO) is said in three intensities.

A file name tells all about its clip but the actor's sex, e.g. 1001_DFA_ANG_XX.wav:

- actor: 1001 to 1091; VideoDemographics.csv, beside the folder AudioWAV, has the sex;
- sentence: IEO, TIE, IOM, IWW, TAI, MTI, IWL, ITH, DFA, ITS, TSI, WSI;
- emotion: ANG angry, DIS disgust, FEA fearful, HAP happy, NEU neutral, SAD sad;
- intensity: LO, MD, HI, or XX for not specified; one file lacks a letter, 1040_ITH_SAD_X.wav.

The repository holds every clip again as MP3 (AudioMP3), as the raters heard them: only WAV and FLAC
files are looked at. 1076_MTI_SAD_XX holds no speech.

Published at https://github.com/CheyneyComputerScience/CREMA-D (Git LFS) under the Open Database
License 1.0, its contents under the Database Contents License 1.0. Paper: Cao H, Cooper DG, Keutmann
MK, Gur RC, Nenkova A, Verma R (2014), CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset,
IEEE Transactions on Affective Computing 5(4): 377-390, https://doi.org/10.1109/TAFFC.2014.2336244.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ser.core.errors import SerError
from ser.data.corpora import absolute
from ser.data.corpora.file_names import Corpus, Fields, Labels, match

STATEMENTS = (
    *("IEO", "TIE", "IOM", "IWW", "TAI", "MTI"),
    *("IWL", "ITH", "DFA", "ITS", "TSI", "WSI"),
)
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}
ACTORS = range(1001, 1092)
DEMOGRAPHICS = "VideoDemographics.csv"

_NAME = re.compile(
    rf"(?P<actor>\d{{4}})_(?P<statement>{'|'.join(STATEMENTS)})_(?P<code>[A-Z]{{3}})"
    rf"_(?P<intensity>{'|'.join(INTENSITIES)})",
    re.ASCII,  # other scripts have digits too
)
_EXPECTED = "actor (1001 to 1091), sentence, emotion and intensity such as 1001_DFA_ANG_XX"


def load(root: str | Path, *, labels: Labels, leave_out: Sequence[str] = ()) -> pd.DataFrame:
    """Clip table of `CORPUS`, with the actors' gender where `DEMOGRAPHICS` is there.

    Parameters
    ----------
    root : str or Path
        Folder with the clips, nested or not: the repository, or its AudioWAV.
    labels : mapping of str to str or None
    leave_out : sequence of str
        See `ser.data.corpora.file_names.Corpus.load`.

    Returns
    -------
    DataFrame, (n_clips, 7) or (n_clips, 8)
        path, emotion, actor (int), statement, intensity, gender (where `DEMOGRAPHICS` is there),
        duration (s) and sr (Hz), sorted by name.

    Raises
    ------
    SerError
        `DEMOGRAPHICS` cannot be read or lacks an actor; see also
        `ser.data.corpora.file_names.Corpus.load`.
    """
    clips = CORPUS.load(root, labels=labels, leave_out=leave_out)
    root = absolute(root)
    tables = [folder / DEMOGRAPHICS for folder in (root, root.parent)]
    table = next((table for table in tables if table.is_file()), None)
    if table is not None:
        genders = _genders(table, set(clips["actor"]))
        clips.insert(clips.columns.get_loc("duration"), "gender", clips["actor"].map(genders))
    return clips


def parse_name(path: Path) -> Fields:
    """What a CREMA-D file name tells about the clip.

    Raises
    ------
    SerError
        The name is out of the grammar.

    Examples
    --------
    >>> parse_name(Path("1001_IEO_ANG_HI.wav"))
    {'actor': 1001, 'statement': 'IEO', 'code': 'ANG', 'intensity': 'high'}
    """
    fields = match(_NAME, path.stem, name="CREMA-D", expected=_EXPECTED)
    actor = int(fields["actor"])
    if actor not in ACTORS:
        raise SerError(f"{path.stem!r} is no CREMA-D name: expected {_EXPECTED}")
    return {**fields, "actor": actor, "intensity": INTENSITIES[fields["intensity"]]}


def _genders(file: Path, actors: set[int]) -> dict[int, str]:
    """Gender of each actor, from the columns ActorID and Sex."""
    try:
        table = pd.read_csv(file)
        genders = dict(zip(table["ActorID"].astype(int), table["Sex"].str.lower(), strict=True))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise SerError(
            f"{file} cannot be read as a table with ActorID and Sex ({error}). Get it again, or "
            "remove it: the actors' gender is then not known."
        ) from error
    if missing := sorted(actors - set(genders)):
        raise SerError(f"{file} lacks the actors {', '.join(map(str, missing))}. Get it again.")
    return genders


CORPUS = Corpus(
    name="CREMA-D",
    choice="crema_d",
    n_clips=7442,
    source=(
        "from https://github.com/CheyneyComputerScience/CREMA-D with Git LFS (Open Database "
        "License)"
    ),
    parse=parse_name,
    suffixes=(".wav", ".flac"),
)
