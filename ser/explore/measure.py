"""All that can be counted and measured of a corpus before a model is fitted: numbers, no pictures.

What learns from the clips here (scaling, maps, rankings) learns from all of them, for looking only:
no score may rest on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser.core.errors import SerError
from ser.data import kinds
from ser.data.corpora import EMOTIONS
from ser.data.dataset import Dataset
from ser.data.told import told_table
from ser.explore import maps, quality, statistics
from ser.features.prosody import NAMES as PROSODY

PAIR = ("happy", "angry")  # whose clips are compared unless told, where the corpus has them
CANDIDATES = 100  # clips of each emotion among which a pair is looked for


@dataclass(frozen=True)
class Exploration:
    """A corpus, looked at.

    Attributes
    ----------
    clips : (n_clips, ...) DataFrame
    emotions : tuple of str
        In the order of `ser.data.corpora.EMOTIONS`; others follow by the alphabet.
    names : tuple of str
        Of the features.
    prosody : (n_clips, ...) DataFrame
        The columns of `ProsodyFeatures`.
    statistics, ranking : DataFrame
        See `ser.explore.statistics`.
    correlation : (n_features, n_features)
    sampled : (n_sampled,) int
        Rows of the clips that the maps, the neighbours and the ranking are of.
    maps : dict of str to ((n_sampled, 2) array, str)
        See `maps.embeddings`.
    neighbours : DataFrame
        See `maps.neighbours`.
    spoken, quality, findings, loudness : DataFrame
        See `ser.explore.quality`.
    told : DataFrame
        See `ser.data.told.told_table`.
    doubts : tuple of str
        See `ser.data.kinds.warnings`.
    """

    clips: pd.DataFrame
    emotions: tuple[str, ...]
    names: tuple[str, ...]
    prosody: pd.DataFrame
    statistics: pd.DataFrame
    ranking: pd.DataFrame
    correlation: np.ndarray
    sampled: np.ndarray
    maps: dict[str, tuple[np.ndarray, str]]
    neighbours: pd.DataFrame
    spoken: pd.DataFrame
    quality: pd.DataFrame
    findings: pd.DataFrame
    loudness: pd.DataFrame
    told: pd.DataFrame
    doubts: tuple[str, ...]

    @property
    def metrics(self) -> dict[str, float]:
        """What runs are compared by."""
        counts = {
            "n_clips": len(self.clips),
            "n_actors": self.clips["actor"].nunique(),
            "n_emotions": len(self.emotions),
            "n_features": len(self.names),
            "hours": self.prosody["duration"].sum() / 3600,
            "n_duplicates": (self.quality["duplicate_of"] != "").sum(),
            "n_near_copies": (self.quality["near_copy_of"] != "").sum(),
            "n_not_mono": (self.quality["channels"] > 1).sum(),
            "n_clipped": (self.quality["clipping_share"] > 0).sum(),
            "loudness_between_actors_db": np.ptp(self.loudness["median"]),
        }
        for row in self.neighbours.itertuples():
            key = row.same.replace(", ", "_").replace(" ", "_")
            counts[f"same_{key}_{row.neighbours}_nearest"] = row.share
            counts[f"same_{key}_chance"] = row.chance
        return {key: float(value) for key, value in counts.items()}


STEPS = 4  # calls of `advance`


def explore_corpus(
    data: Dataset,
    by_clip: pd.DataFrame,
    *,
    max_clips: int = 5000,
    neighbours: Sequence[int] = (1, 10),
    seed: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> Exploration:
    """Look at a corpus.

    Parameters
    ----------
    data : Dataset
        Its clip table's gender is used where there is one.
    by_clip : (n_clips, ...) DataFrame
        See `quality.clip_quality` and `quality.findings`.
    max_clips : int
        Of more, a sample is mapped and ranked, with every actor and emotion in their share.
    neighbours : sequence of int
        How many nearest clips are counted.
    seed : int
        Of the sample and the maps.
    advance : callable
        Called once after each of `STEPS` steps.
    """
    clips, X, names = data.clips, data.features, data.names
    sampled = maps.sample(clips, max_clips, seed=seed)
    sample, sample_X = clips.iloc[sampled].reset_index(drop=True), X[sampled]
    placed = maps.embeddings(sample_X, seed=seed)
    advance()
    near = maps.neighbours(sample_X, sample, counts=tuple(neighbours))
    advance()
    ranking = statistics.ranking(sample_X, sample, names, seed=seed)
    advance()
    prosody = by_clip[list(PROSODY)]
    grouped = len(set(data.groups)) > 1
    exploration = Exploration(
        clips=clips,
        emotions=emotions_in_order(clips["emotion"].unique()),
        names=names,
        prosody=prosody,
        statistics=statistics.feature_statistics(X, names),
        ranking=ranking,
        correlation=statistics.correlation(X),
        sampled=sampled,
        maps=placed,
        neighbours=near,
        spoken=quality.spoken(clips, prosody),
        quality=by_clip,
        findings=quality.findings(by_clip),
        loudness=quality.loudness(by_clip),
        told=told_table(data.recordings, data.labels, data.groups),
        doubts=tuple(kinds.warnings(data, grouped=grouped)),
    )
    advance()
    return exploration


def emotions_in_order(emotions: Sequence[str]) -> tuple[str, ...]:
    """Emotions in the order of `ser.data.corpora.EMOTIONS`, others by the alphabet behind them.

    >>> emotions_in_order(["zen", "angry", "calm"])
    ('calm', 'angry', 'zen')
    """
    known = [emotion for emotion in EMOTIONS if emotion in emotions]
    return (*known, *sorted(set(emotions) - set(known)))


def pair(
    clips: pd.DataFrame, emotions: Sequence[str] = PAIR, actor: object = None
) -> tuple[list[int], str]:
    """Two clips to be seen side by side: of one actor, alike in all but the emotion.

    Parameters
    ----------
    clips : DataFrame
    emotions : sequence of str
        Two; `PAIR` may be missing from the corpus, others may not.
    actor : optional
        Whose clips; by default the first who has both emotions.

    Returns
    -------
    rows : list of int
        One for each emotion; one only where there is no second clip.
    note : str
        What is not as it was asked for; empty where all is.

    Raises
    ------
    SerError
        If there is no such actor, or no clip of an emotion.
    """
    speakers = clips["actor"].astype(str)
    own = clips if actor is None else clips[speakers == str(actor)]
    if own.empty:
        raise SerError(
            f"There is no actor {actor} for explore.actor: give one of "
            f"{', '.join(dict.fromkeys(speakers))}."
        )
    wanted, note = _emotions(own, emotions)
    speakers = own["actor"].astype(str)
    both = [name for name, table in own.groupby(speakers, sort=False) if _has(table, wanted)]
    if both:
        own = own[speakers == both[0]]
    elif len(set(wanted)) == 2:
        note += f" No actor has clips of both {' and '.join(wanted)}: these are of two."
    first, second = (own[own["emotion"] == emotion] for emotion in wanted)
    if wanted[0] == wanted[1]:
        return first.index[:2].tolist(), note.strip()
    return _most_alike(first[:CANDIDATES], second[:CANDIDATES]), note.strip()


def _emotions(clips: pd.DataFrame, wanted: Sequence[str]) -> tuple[tuple[str, str], str]:
    """The two emotions that are looked at, and a note where they are not the wanted ones."""
    counts = clips["emotion"].value_counts()
    missing = [emotion for emotion in wanted if emotion not in counts]
    if len(wanted) == 2 and not missing:
        return (wanted[0], wanted[1]), ""
    if tuple(wanted) != PAIR:
        known = ", ".join(emotions_in_order(counts.index))
        raise SerError(f"explore.emotions=[{','.join(wanted)}] is not two of {known}.")
    first, second = counts.index[0], counts.index[min(1, len(counts) - 1)]
    note = f"No clip is {' or '.join(missing)}: shown are the commonest, {first} and {second}."
    return (first, second), note


def _has(clips: pd.DataFrame, emotions: Sequence[str]) -> bool:
    return set(emotions) <= set(clips["emotion"])


def _most_alike(first: pd.DataFrame, second: pd.DataFrame) -> list[int]:
    """Row of each whose other columns (statement, intensity, ...) agree most."""
    columns = [c for c in first if c not in ("path", "emotion", "duration", "sr")]
    agree = sum(
        (first[c].astype(str).to_numpy()[:, None] == second[c].astype(str).to_numpy()).astype(int)
        for c in columns
    )
    a, b = np.unravel_index(np.argmax(agree), agree.shape)
    return [int(first.index[a]), int(second.index[b])]
