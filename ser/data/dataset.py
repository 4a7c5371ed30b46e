"""Clips with what is known of them and, once extracted, their features: what models learn from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ser.core.errors import SerError
from ser.data.names import tidied


@dataclass(frozen=True, eq=False)
class Dataset:
    """A clip table and the features of its clips.

    Attributes
    ----------
    clips : (n_clips, ...) DataFrame
        One row per clip: path, emotion, actor, ... (`ser.data.corpora`).
    X : (n_clips, n_features) or (n_clips, 1 + n_copies, n_features) float32, or None
        Features of every clip, or of every clip and its augmented copies, the clip itself first.
        None before they are extracted.
    names : tuple of str
        Of the columns of `X`.
    digests : (n_clips,) str, or None
        Hexadecimal digest of what each clip's file holds.
    corpus : str
        Name of the corpus, or of the two.
    feature_set : FeatureSet or None
        What computed `X` from audio (`ser.features`).
    recordings : (n_clips, ...) DataFrame or None
        What each recording is like (`ser.data.facts`). None before features are extracted.
    transductive : bool
        Whether each actor's clips were scaled by the statistics of all of them, test clips too.
    duplicates : {"raise", "drop", "keep"}
        What is to be done about clips that hold the same sound (`ser.data.duplicates`).

    Raises
    ------
    SerError
        If a clip has no emotion or actor, or two of their names differ by a hair
        (`ser.data.names`).
    """

    clips: pd.DataFrame
    X: np.ndarray | None = None
    names: tuple[str, ...] = ()
    digests: np.ndarray | None = None
    corpus: str = ""
    feature_set: Any = None
    recordings: pd.DataFrame | None = None
    transductive: bool = False
    duplicates: str = "raise"

    def __post_init__(self) -> None:
        check_duplicates_choice(self.duplicates)
        object.__setattr__(self, "clips", tidied(self.clips))

    def __len__(self) -> int:
        return len(self.clips)

    @cached_property
    def labels(self) -> np.ndarray:
        """(n_clips,) str: the emotion of every clip."""
        return self.clips["emotion"].to_numpy(dtype=str)

    @property
    def groups(self) -> np.ndarray:
        """(n_clips,) the actor of every clip: what must not be in training and in test."""
        return self.clips["actor"].to_numpy()

    @property
    def emotions(self) -> tuple[str, ...]:
        """The emotions there are, sorted."""
        return tuple(np.unique(self.labels).tolist())

    @property
    def features(self) -> np.ndarray:
        """`X`, which must be there.

        Raises
        ------
        SerError
            If the features are not extracted.
        """
        if self.X is None:
            raise SerError("The data set has no features yet: ser.extract(data) computes them.")
        return self.X

    def select(self, rows: np.ndarray) -> Dataset:
        """Some of the clips.

        Parameters
        ----------
        rows : (n_clips,) bool, or (n_selected,) int
        """
        chosen = np.arange(len(self))[rows]
        recordings = self.recordings
        if recordings is not None:
            recordings = recordings.iloc[chosen].reset_index(drop=True)
        return replace(
            self,
            clips=self.clips.iloc[chosen].reset_index(drop=True),
            X=None if self.X is None else self.X[rows],
            digests=None if self.digests is None else self.digests[rows],
            recordings=recordings,
        )

    def bare(self) -> Dataset:
        """Only what a fit needs, features, labels and actors: little to send to workers."""
        columns = self.clips[["emotion", "actor"]].astype("category")
        return replace(self, clips=columns, digests=None, recordings=None)


def check_duplicates_choice(choice: str) -> None:
    """Refuse a way with duplicates that is not known.

    Raises
    ------
    SerError
    """
    if choice not in ("raise", "drop", "keep"):
        raise SerError(f"data.duplicates={choice!r} is not known: give 'raise', 'drop' or 'keep'.")
