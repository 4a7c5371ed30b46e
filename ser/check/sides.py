"""Which protocol a table's folds are, and what stands on both of their sides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import nan
from pathlib import Path

import pandas as pd
import yaml

from ser.check.findings import Finding
from ser.check.foreign import Foreign, clip_name
from ser.core import paths
from ser.data.audio import AudioError, read_file
from ser.data.corpora.ravdess import SAME_SOUND
from ser.data.folds import counted

FIXED = ("emobox6", "luna5")  # splits of RAVDESS whose actors are fixed: conf/split
UNKNOWN = "no protocol can be told"
LEAK = "speaker, with a leak"
FEW = 0.5  # share of test clips with a speaker who was heard: with fewer it was not meant


def protocol(foreign: Foreign) -> tuple[str, str]:
    """The protocol that the folds are, under the project's name where they have one, and why.

    Returns
    -------
    name : str
        ``loso``, ``emobox6``, ``luna5``, ``speaker``, ``statement``, ``random``; `LEAK` or
        `UNKNOWN`.
    why : str
        A sentence.
    """
    sides = _sides(foreign)
    table = foreign.predictions
    if not sides:
        return UNKNOWN, (
            "The table has no column fold, and none that says what was learned from: nothing tells "
            "what the model had heard."
        )
    if "actor" not in table:
        return UNKNOWN, f"{len(sides)} folds, and no column that says who speaks."
    apart = not any(set(train["actor"]) & set(test["actor"]) for train, test in sides)
    if "statement" in table and not apart:
        if not any(set(a["statement"]) & set(b["statement"]) for a, b in sides):
            return "statement", "No sentence is on both sides; the test actors are known."
        if _is_grid(sides):
            return UNKNOWN, (
                "Each fold has one sentence of some speakers, as in speaker_statement: whether the "
                "other folds were learned from, or only those of other speakers, is not told."
            )
    if not apart:
        share, known = _shared(sides, "actor")
        if share < FEW:
            return LEAK, (
                f"{100 * share:.1f} % of test clips have a speaker who was heard ({known}); the "
                "others do not, as if the folds were to keep speakers apart."
            )
        return "random", "Test clips come from speakers that the model has heard."
    tested = [set(test["actor"]) for _, test in sides]
    if len(sides) > 1 and all(len(actors) == 1 for actors in tested):
        return "loso", f"{len(sides)} folds, a speaker each: no test speaker was heard."
    if (name := _fixed(tested)) is not None:
        return name, f"Its {len(sides)} folds of actors: no test speaker was heard."
    return "speaker", f"{counted(len(sides), 'fold')} of whole speakers: no test speaker was heard."


def both_sides(foreign: Foreign) -> list[Finding]:
    """Shares of test clips whose speaker, sentence or sound is among the training clips'."""
    sides, table = _sides(foreign), foreign.predictions
    found = []
    for column, what, limit in (
        ("actor", "speakers on both sides", 0.0),
        ("statement", "sentences on both sides", None),
        ("sound", "the same sound on both sides", 0.0),
    ):
        value, note = nan, "no folds are told"
        if column != "sound" and column not in table:
            note = f"no column tells the {'speaker' if column == 'actor' else column}"
        elif column == "actor" and "statement" in table and _is_grid(sides):
            note = "each fold has one sentence of some speakers: what trained it is not told"
        elif sides:
            value, note = _shared(sides, column)
        found.append(_finding(what, value, limit, note))
    twice = table["clip"].duplicated(keep=False)
    note = ", ".join(map(str, table.loc[twice, "clip"].unique()[:3]))
    found.append(_finding("clips answered more than once", float(twice.mean()), None, note))
    return found


def _finding(what: str, value: float, limit: float | None, note: str) -> Finding:
    return Finding(
        part="protocol",
        check=what,
        measure="share of test clips",
        value=value,
        limit=limit,
        exact=True,
        note=note,
    )


def _sides(foreign: Foreign) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Training and test rows of each fold; if no part says what trains it, the other folds do."""
    table = foreign.predictions.assign(sound=_sounds(foreign.predictions["clip"]))
    several = "fold" in table and len(set(table["fold"])) > 1
    if foreign.trained is not None:
        trained = foreign.trained.assign(sound=_sounds(foreign.trained["clip"]))
        if several and set(table["fold"]) <= set(trained["fold"]):  # each fold has both parts
            return [(trained[trained["fold"] == fold], of) for fold, of in table.groupby("fold")]
        return [(trained, table)]
    if not several:
        return []
    return [(table[table["fold"] != fold], test) for fold, test in table.groupby("fold")]


def _shared(sides: Sequence[tuple[pd.DataFrame, pd.DataFrame]], column: str) -> tuple[float, str]:
    """Share of test clips whose value is among the training clips', and which values are."""
    n_shared, n_test = 0, 0
    values: dict[object, None] = {}
    for train, test in sides:
        shared = test[column].isin(set(train[column].dropna()))
        n_shared, n_test = n_shared + int(shared.sum()), n_test + len(test)
        values |= dict.fromkeys(test.loc[shared, "clip" if column == "sound" else column])
    listed = ", ".join(map(str, list(values)[:5])) + (", ..." if len(values) > 5 else "")
    return n_shared / n_test, listed


def _sounds(clips: pd.Series) -> pd.Series:
    """What tells sounds apart: a file's bytes where it is there, else its path."""
    return clips.map(lambda clip: _sound(str(clip)))


def _sound(clip: str) -> str:
    try:
        if Path(clip).is_file():
            return hashlib.sha256(read_file(clip)).hexdigest()
    except (OSError, ValueError, AudioError):
        pass
    return "ravdess" if Path(clip_name(clip)).stem in SAME_SOUND else clip


def _is_grid(sides: Sequence[tuple[pd.DataFrame, pd.DataFrame]]) -> bool:
    """Whether each fold has one sentence of some speakers, and others the rest."""
    tests = [test for _, test in sides]
    actors = [frozenset(test["actor"]) for test in tests]
    one = all(len(set(test["statement"])) == 1 for test in tests)
    several = len(set(actors)) > 1
    return one and several and all(a == b or not a & b for a in actors for b in actors)


def _fixed(tested: Sequence[set[object]]) -> str | None:
    """The split of RAVDESS that has these test actors, if one has."""
    given = {frozenset(str(actor).lstrip("0") for actor in actors) for actors in tested}
    for name in FIXED:
        text = (paths.CONF / "split" / f"{name}.yaml").read_text(encoding="utf-8")
        if given == {frozenset(map(str, fold)) for fold in yaml.safe_load(text)["folds"]}:
            return name
    return None
