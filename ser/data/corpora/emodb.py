"""EMO-DB, the Berlin Database of Emotional Speech: 535 clips, 10 actors, 7 emotions, German.

Ten actors (5 male, 5 female) say ten everyday sentences in an anechoic chamber, 16 kHz and mono.
Of about 800 recordings, those are published whose emotion at least 80 % of the listeners
recognised: 127 angry, 81 bored, 79 neutral, 71 happy, 69 fearful, 62 sad, 46 disgusted.

A file name tells all about its clip, e.g. 03a01Fa.wav:

- actor: 03, 10, 11, 12, 15 male; 08, 09, 13, 14, 16 female;
- sentence: a01, a02, a04, a05, a07, b01, b02, b03, b09, b10;
- emotion, by its German initial: W Wut (angry), L Langeweile (boredom), E Ekel (disgust),
  A Angst (fearful), F Freude (happy), T Trauer (sad), N neutral;
- version: a, b, c ..., where there are several.

Published at http://emodb.bilderbar.info (also http://database.syntheticspeech.de) without a form;
audEERING's copy is under CC0. A later release (emodb 2.0.0) adds the 281 recordings that the
listeners did not recognise. Paper: Burkhardt F, Paeschke A, Rolfes M, Sendlmeier W, Weiss B (2005),
A database of German emotional speech, Interspeech, https://doi.org/10.21437/Interspeech.2005-446.
"""

from __future__ import annotations

import re
from pathlib import Path

from ser.data.corpora.file_names import Corpus, Fields, match

MALE = ("03", "10", "11", "12", "15")

_NAME = re.compile(
    r"(?P<actor>03|08|09|1[0-6])(?P<statement>a0[12457]|b(?:0[1239]|10))"
    r"(?P<code>[A-Z])(?P<repetition>[a-z]?)"
)


def parse_name(path: Path) -> Fields:
    """What an EMO-DB file name tells about the clip.

    Raises
    ------
    SerError
        The name is out of the grammar.

    Examples
    --------
    >>> parse_name(Path("03a01Fa.wav"))["code"], parse_name(Path("08b10Wb.wav"))["gender"]
    ('F', 'female')
    """
    fields = match(
        _NAME,
        path.stem,
        name="EMO-DB",
        expected="actor, sentence, emotion and version such as 03a01Fa",
    )
    return {**fields, "gender": "male" if fields["actor"] in MALE else "female"}


CORPUS = Corpus(
    name="EMO-DB",
    choice="emodb",
    n_clips=535,
    source="from http://emodb.bilderbar.info/download/download.zip (no form; cite the paper)",
    parse=parse_name,
)
