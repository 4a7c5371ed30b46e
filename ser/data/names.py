"""Names of emotions and speakers: tidied, and refused where two differ by a hair.

A stray space, another way to write an umlaut or a byte order mark make no other name: they go.
Capital letters, full-width digits or a space that is not seen may: who wrote the table has to say.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from numbers import Number

import pandas as pd

from ser.core.errors import SerError

_SHOWN = 5  # names that an error lists before it only counts
_WHOLE = r"0|-?[1-9]\d{0,17}"  # a number that is written in one way only, and fits 64 bits
_REMEDY = {
    "emotion": "Mend the table, or make them one: data.labels={{{0}: {1}}}.",
    "actor": "Give each speaker one name in the table; two people need names that differ by more.",
}


def tidy(name: str) -> str:
    r"""A name in Unicode's composed form, without blanks and unseen characters around it.

    >>> tidy(" u\u0308bel\u00a0\ufeff"), tidy("very\n happy")
    ('übel', 'very happy')
    """
    name = " ".join(unicodedata.normalize("NFC", name).split())
    name = "".join(c for c in name if unicodedata.category(c) != "Cc")
    start, end = 0, len(name)
    while start < end and _is_blank(name[start]):
        start += 1
    while end > start and _is_blank(name[end - 1]):
        end -= 1
    return name[start:end]


def folded(name: str) -> str:
    r"""What names have in common that differ by a hair: by case, width or unseen characters.

    >>> folded("Happy") == folded("hap\u200bpy") == folded("ＨＡＰＰＹ")
    True
    >>> folded("01") == folded("1")
    False
    """
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = (c for c in name if unicodedata.category(c) != "Cf" and not "\ufe00" <= c <= "\ufe0f")
    return " ".join("".join(seen).split())


def tidied(clips: pd.DataFrame) -> pd.DataFrame:
    """A clip table whose emotions and actors have tidy names.

    Numbers as text stay text: 1, 01 and 001 are three speakers.

    Parameters
    ----------
    clips : (n_clips, ...) DataFrame
        With `emotion` and `actor`.

    Raises
    ------
    SerError
        If a clip has no emotion or actor, or two names differ by case, width or unseen characters.
    """
    before = {what: clips[what] for what in ("emotion", "actor")}
    after = {what: _tidied(names, what) for what, names in before.items()}
    changed = {what: names for what, names in after.items() if names is not before[what]}
    return clips.assign(**changed) if changed else clips


def relabelled(clips: pd.DataFrame, labels: Mapping[str, str | None]) -> pd.DataFrame:
    """A clip table under other words for its emotions.

    Parameters
    ----------
    clips : (n_clips, ...) DataFrame
    labels : mapping of str to str or None
        Emotion -> word; None leaves its clips out. Others keep theirs.

    Raises
    ------
    SerError
        If there is no such emotion, or no clip is left.
    """
    given = clips["emotion"].astype(object)
    names = given.map({name: tidy(str(name)) for name in given.unique()})
    words = {tidy(str(name)): word and tidy(str(word)) for name, word in labels.items()}
    known = sorted(set(names))
    if unknown := sorted(set(words) - set(known)):
        raise SerError(f"labels names {', '.join(unknown)}; there are {', '.join(known)}.")
    words = {**{name: name for name in known}, **words}
    kept = names.map(lambda name: words[name] is not None).to_numpy(dtype=bool)
    if not kept.any():
        raise SerError("labels leaves out every emotion: give one of them a word.")
    return clips[kept].assign(emotion=names[kept].map(words)).reset_index(drop=True)


def twins(names: Iterable[str]) -> list[list[str]]:
    """Names that differ only by case, width or unseen characters, together.

    >>> twins(["sad", "Happy", "happy"])
    [['Happy', 'happy']]
    """
    by_look: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        by_look.setdefault(folded(name), []).append(name)
    return [alike for alike in by_look.values() if len(alike) > 1]


def check_twins(names: Iterable[str], what: str) -> None:
    """Refuse names that differ only by case, width or unseen characters.

    Parameters
    ----------
    names : iterable of str
    what : {"emotion", "actor"}

    Raises
    ------
    SerError
        With the list of them.
    """
    if found := twins(names):
        listed = "; ".join(" and ".join(map(repr, alike)) for alike in found[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        word = {"emotion": "emotions", "actor": "speakers"}[what]
        raise SerError(
            f"The names of {word} differ by no more than case or characters that are not seen: "
            f"{listed}{more}. {_REMEDY[what].format(*found[0])}"
        )


def numbers_if_whole(names: pd.Series) -> pd.Series:
    """Text as integers, where nothing is lost by it: 1, 2, 10, but not 01 or 1.0.

    >>> numbers_if_whole(pd.Series(["1", "10"])).tolist()
    [1, 10]
    >>> numbers_if_whole(pd.Series(["1", "01"])).tolist()
    ['1', '01']
    """
    text = names.astype(str)
    return text.astype("int64") if text.str.fullmatch(_WHOLE).all() else names


def _tidied(names: pd.Series, what: str) -> pd.Series:
    """The column itself where there is nothing to tidy."""
    words = {name: tidy(str(name)) for name in pd.unique(names) if not pd.isna(name)}
    missing = names.isna()
    if "" in words.values():
        missing |= names.isin([name for name, word in words.items() if not word])
    if missing.any():
        rows = missing.to_numpy().nonzero()[0]
        shown = ", ".join(map(str, rows[:_SHOWN]))
        raise SerError(
            f"{len(rows)} clips have no {what} (rows {shown}{', ...' * (len(rows) > _SHOWN)} of "
            "the clip table): each needs one."
        )
    if what == "actor" and all(isinstance(name, Number) for name in words):
        return names
    check_twins(words.values(), what)
    if all(name == word for name, word in words.items()):
        return names
    return names.astype(object).map(words)


def _is_blank(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Cf"
