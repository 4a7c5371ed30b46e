"""EMOVO: 588 clips, 6 actors, 7 emotions, Italian.

Six actors (3 female, 3 male) say fourteen sentences in each of seven emotions: 84 clips of every
emotion, 48 kHz and stereo (mixed to mono by the mean over channels, `ser.data.audio`).

A file name is emotion, actor and sentence, e.g. dis-f1-b1.wav:

- emotion: dis disgusto (disgust), gio gioia (happy), pau paura (fearful), rab rabbia (angry),
  sor sorpresa (surprised), tri tristezza (sad), neu neutro (neutral);
- actor: f1, f2, f3 female; m1, m2, m3 male;
- sentence: b1 to b3 (short), l1 to l4 (long), n1 to n5 (nonsense), d1 and d2 (questions).

Published by the Fondazione Ugo Bordoni at http://voice.fub.it/activities/corpora/emovo/index.html,
for research. Paper: Costantini G, Iaderola I, Paoloni A, Todisco M (2014), EMOVO Corpus: an Italian
Emotional Speech Database, LREC, 3501-3504, https://aclanthology.org/L14-1478/.
"""

from __future__ import annotations

import re
from pathlib import Path

from ser.data.corpora.file_names import Corpus, Fields, match

_NAME = re.compile(
    r"(?P<code>[a-z]{3})-(?P<actor>[fm][123])-(?P<statement>b[1-3]|l[1-4]|n[1-5]|d[12])",
    re.IGNORECASE | re.ASCII,
)


def parse_name(path: Path) -> Fields:
    """What an EMOVO file name tells about the clip.

    Raises
    ------
    SerError
        The name is out of the grammar.

    Examples
    --------
    >>> parse_name(Path("dis-f1-b1.wav"))
    {'actor': 'f1', 'code': 'dis', 'statement': 'b1', 'gender': 'female'}
    """
    expected = "emotion, actor and sentence such as dis-f1-b1"
    fields = match(_NAME, path.stem, name="EMOVO", expected=expected)
    lower = {name: fields[name].lower() for name in ("actor", "code", "statement")}
    return {**lower, "gender": "female" if lower["actor"][0] == "f" else "male"}


CORPUS = Corpus(
    name="EMOVO",
    choice="emovo",
    n_clips=588,
    source=(
        "from http://voice.fub.it/activities/corpora/emovo/index.html (free for research; cite "
        "the paper)"
    ),
    parse=parse_name,
)
