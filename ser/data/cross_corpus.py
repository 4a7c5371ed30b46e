"""Two corpora as one clip table: trained on the first, tested on the second.

Only the emotions that both have are kept, as no other can be both learned and tested. Actors and
sentences get the corpus's name before theirs, so that actor 3 of one is not actor 3 of the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ser.core.errors import SerError


@dataclass(frozen=True)
class Part:
    """A corpus, as one of the two.

    Attributes
    ----------
    name : str
    clips : DataFrame
        Its clip table.
    people : str
        Whose actors and sentences these are: the corpus's own name, or that of the corpus which
        has the same people saying the same.
    """

    name: str
    clips: pd.DataFrame
    people: str


def join(train: Part, test: Part) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One clip table of two corpora, the training corpus's rows first.

    Parameters
    ----------
    train, test : Part

    Returns
    -------
    clips : (n_clips, ...) DataFrame
        path, corpus (its name) and the tables' columns; `actor` and `statement` are ``emodb:03``;
        a column that one corpus lacks is NaN in its rows.
    left_out : (n_rows, 3) DataFrame
        corpus, emotion and clips of the emotions that only one of the two has.

    Raises
    ------
    SerError
        If they share fewer than two emotions.
    """
    emotions = {part.name: sorted(set(part.clips["emotion"])) for part in (train, test)}
    shared = set(emotions[train.name]) & set(emotions[test.name])
    if len(shared) < 2:
        listed = "; ".join(f"{name} has {', '.join(words)}" for name, words in emotions.items())
        raise SerError(
            f"{train.name} and {test.name} share {len(shared)} emotions ({listed}): a model that "
            "is trained on one and tested on the other needs two. Choose other corpora, or map the "
            "emotions onto common words (data.labels)."
        )
    kept, left_out = [], []
    for part in (train, test):
        is_shared = part.clips["emotion"].isin(shared)
        counts = part.clips.loc[~is_shared, "emotion"].value_counts().sort_index()
        left_out += [(part.name, emotion, n) for emotion, n in counts.items()]
        kept.append(_renamed(part, part.clips[is_shared]))
    clips = pd.concat(kept, ignore_index=True)
    return clips, pd.DataFrame(left_out, columns=["corpus", "emotion", "clips"])


def described(left_out: pd.DataFrame) -> str:
    """The left-out clips in words.

    >>> described(pd.DataFrame([("ravdess", "calm", 192)], columns=["corpus", "emotion", "clips"]))
    'ravdess calm 192'
    """
    return ", ".join(f"{r.corpus} {r.emotion} {r.clips}" for r in left_out.itertuples())


def _renamed(part: Part, clips: pd.DataFrame) -> pd.DataFrame:
    clips = clips.copy()
    for column in ("actor", "statement"):
        if column in clips:
            clips[column] = clips[column].map(f"{part.people}:{{}}".format, na_action="ignore")
    clips.insert(1, "corpus", part.name)
    return clips
