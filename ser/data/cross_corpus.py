"""Two corpora as one clip table: trained on the first, tested on the second.

Only the emotions that both have are kept, as no other can be both learned and tested. Actors and
sentences get the corpus's name before theirs, so that actor 3 of one is not actor 3 of the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ser.core.errors import SerError
from ser.data.names import check_twins


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
        If they share fewer than two emotions, or the names of two emotions differ by a hair.
    """
    check_twins({*train.clips["emotion"], *test.clips["emotion"]}, "emotion")
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


def rates(clips: pd.DataFrame) -> dict[str, list[int]]:
    """Corpus -> sampling rates of its clips in Hz, sorted; without those that are not known."""
    by_corpus = clips[clips["sr"] > 0].groupby("corpus", sort=False)["sr"]
    return {name: sorted(map(int, set(corpus_rates))) for name, corpus_rates in by_corpus}


def rates_warning(clips: pd.DataFrame, *, resampled: int | None, can_resample: bool) -> str | None:
    """What is to be known of features of clips of several sampling rates; None where nothing is.

    Parameters
    ----------
    clips : (n_clips, ...) DataFrame
        With `corpus` and `sr`.
    resampled : int or None
        Rate in Hz that the features resample clips to; None where they do not.
    can_resample : bool
        Whether these features could.
    """
    by_corpus = rates(clips)
    all_rates = sorted({rate for corpus_rates in by_corpus.values() for rate in corpus_rates})
    listed = ", ".join(f"{name} {_listed(sr)} Hz" for name, sr in by_corpus.items())
    lowest = min(all_rates, default=0)
    if resampled is not None and all_rates and resampled > lowest:
        return (
            f"Sampling rates: {listed}, resampled to {resampled} Hz. Clips of {lowest} Hz hold "
            f"nothing above {lowest // 2} Hz, the others do: the model can hear the corpus. "
            f"features.sr={lowest} takes that away."
        )
    if resampled is not None or len(all_rates) < 2:
        return None
    remedy = f" features.sr={lowest} resamples all clips first." if can_resample else ""
    return (
        f"Sampling rates: {listed}. The lower the rate, the longer are frames that are counted in "
        "samples and the less high reach the MFCCs: the same column measures something else in "
        f"clips of another rate.{remedy}"
    )


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


def _listed(values: list[int]) -> str:
    return " and ".join(map(str, values))
