"""TESS, the Toronto Emotional Speech Set: 2800 clips, 2 actors, 7 emotions, English.

Two actresses, aged 64 (OAF) and 26 (YAF), say "Say the word ..." with each of 200 words in each of
seven emotions: 400 clips of every emotion. Most clips are mono at 24 414 Hz; some are at another
rate, and some hold AIFF under a name in .wav: what a file holds is read, not what it is called.

A file name is actor, word and emotion, e.g. OAF_back_angry.wav. The emotions are angry, disgust,
fear, happy, ps (pleasant surprise), sad and neutral. One file lacks a letter: OA_bite_neutral.wav
is of OAF. Folders (OAF_angry, OAF_Fear, YAF_pleasant_surprised ...) differ in case and wording
from copy to copy, and nothing is read off them.

Published at https://doi.org/10.5683/SP2/E8H2MF under a non-commercial Creative Commons licence
(read there which; copies say CC BY-NC or CC BY-NC-ND 4.0): Pichora-Fuller MK, Dupuis K (2020),
Toronto emotional speech set (TESS), Borealis.
"""

from __future__ import annotations

import re
from pathlib import Path

from ser.data.corpora.file_names import Corpus, Fields, match

_NAME = re.compile(
    r"(?P<actor>OAF?|YAF)_(?P<statement>[A-Z]+)_(?P<code>[A-Z]+)",
    re.IGNORECASE | re.ASCII,  # without ASCII, [A-Z] in any case has the long s and the Kelvin sign
)


def parse_name(path: Path) -> Fields:
    """What a TESS file name tells about the clip.

    Raises
    ------
    SerError
        The name is out of the grammar.

    Examples
    --------
    >>> parse_name(Path("OA_bite_neutral.wav"))
    {'actor': 'OAF', 'statement': 'bite', 'code': 'neutral', 'gender': 'female'}
    """
    fields = match(
        _NAME,
        path.stem,
        name="TESS",
        expected="actor (OAF or YAF), word and emotion such as OAF_back_angry",
    )
    actor = "YAF" if fields["actor"].upper() == "YAF" else "OAF"
    lower = {name: text.lower() for name, text in fields.items()}
    return {**lower, "actor": actor, "gender": "female"}


CORPUS = Corpus(
    name="TESS",
    choice="tess",
    n_clips=2800,
    source="from https://doi.org/10.5683/SP2/E8H2MF (Creative Commons, non-commercial)",
    parse=parse_name,
)
