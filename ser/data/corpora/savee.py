"""SAVEE, the Surrey Audio-Visual Expressed Emotion database: 480 clips, 4 actors, 7 emotions.

Four male native speakers of British English (DC, JE, JK, KL) say 15 sentences in each of six
emotions and 30 neutrally: 120 clips each, 44.1 kHz. Of the 15 sentences of an emotion 3 are common
to all, 2 are the emotion's own and 10 are others. So the number in a file name counts sentences
within an emotion and is no name of a sentence: the clip table has no `statement`.

A clip is named by emotion and number in its actor's folder, DC/a01.wav, or in one folder,
DC_a01.wav. The emotions are a anger, d disgust, f fear, h happiness, n neutral, sa sadness,
su surprise.

Published at http://kahlan.eps.surrey.ac.uk/savee/ to those who register, for research. Paper:
Haq S, Jackson PJB (2009), Speaker-dependent audio-visual emotion recognition, Proceedings of the
International Conference on Auditory-Visual Speech Processing (AVSP), 53-58.
"""

from __future__ import annotations

import re
from pathlib import Path

from ser.core.errors import SerError
from ser.data.corpora.file_names import Corpus, Fields, match

ACTORS = ("DC", "JE", "JK", "KL")

_NAME = re.compile(r"(?:(?P<actor>[A-Z]{2})_)?(?P<code>[a-z]+)(?P<number>[0-3][0-9])")


def parse_name(path: Path) -> Fields:
    """What a SAVEE file name, and its folder where the name lacks the actor, tell about the clip.

    Raises
    ------
    SerError
        The name is out of the grammar, or nothing tells who speaks.

    Examples
    --------
    >>> parse_name(Path("AudioData/DC/sa03.wav")) == parse_name(Path("ALL/DC_sa03.wav"))
    True
    """
    expected = "emotion and number such as a01 in a folder DC, JE, JK or KL, or DC_a01"
    fields = match(_NAME, path.stem, name="SAVEE", expected=expected)
    actor = fields["actor"] or path.parent.name.upper()
    if actor not in ACTORS:
        raise SerError(
            f"{path.stem!r} in {path.parent.name!r} is no SAVEE name: expected {expected}"
        )
    return {**fields, "actor": actor, "number": int(fields["number"]), "gender": "male"}


CORPUS = Corpus(
    name="SAVEE",
    choice="savee",
    n_clips=480,
    source="from http://kahlan.eps.surrey.ac.uk/savee/ (you register there; for research)",
    parse=parse_name,
)
