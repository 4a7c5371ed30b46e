"""Folds of a clip table, what a split promises of them, and whether it keeps its promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from ser.core.errors import SerError

_NONE = np.empty(0, dtype=int)


@dataclass(frozen=True)
class Fold:
    """Rows of the clip table that train and rows that are held out.

    Attributes
    ----------
    train, test : (n,) int
        Positions, disjoint.
    validation : (n,) int
        Positions held out besides, to look at while a model is chosen; often none.
    """

    train: np.ndarray
    test: np.ndarray
    validation: np.ndarray = field(default_factory=lambda: _NONE)


@dataclass(frozen=True)
class Split:
    """A protocol applied to a clip table.

    Attributes
    ----------
    folds : tuple of Fold
        One, or several whose test parts hold every clip once.
    held_out : tuple of {"corpus", "actor", "statement"}
        What a test clip shares with no training clip of its fold.
    name : str
        Of the protocol; empty where it has none.
    n_clips : int
        Of the clip table that it is of; 0 where it does not say.
    """

    folds: tuple[Fold, ...]
    held_out: tuple[str, ...] = ()
    name: str = ""
    n_clips: int = 0

    @property
    def grouped(self) -> bool:
        """Whether no actor is both in training and in test, and none may be in two inner folds."""
        return "actor" in self.held_out

    @property
    def development(self) -> np.ndarray:
        """Rows that the final model may learn from: all but the test part of a single fold."""
        if len(self.folds) == 1:
            return self.folds[0].train
        return np.unique(np.concatenate([fold.test for fold in self.folds]))

    @property
    def unit(self) -> str:
        """What the test part is a sample of: "actor" where actors are held out, else "clip"."""
        return "actor" if self.grouped else "clip"

    def __str__(self) -> str:
        if not self.held_out:
            return "test actors known to the model"
        known = "" if self.grouped else ", test actors known to the model"
        *others, last = (what if what == "corpus" else f"{what}s" for what in self.held_out)
        listed = f"{', '.join(others)} and {last}" if others else last
        return f"test {listed} never heard{known}"


def check(split: Split, clips: pd.DataFrame) -> None:
    """Refuse a split that no model can be fitted or scored on, or that is not what it says.

    Parameters
    ----------
    split : Split
    clips : (n_clips, ...) DataFrame
        With `emotion`, and a column for each of the split's `held_out`.

    Raises
    ------
    SerError
        If a part of a fold is empty, an emotion is missing where a fold trains, a clip is in
        training and held out, or training clips share what the split says is held out.
    """
    last = max(max(fold.train.max(initial=-1), fold.test.max(initial=-1)) for fold in split.folds)
    if last >= len(clips) or split.n_clips not in (0, len(clips)):
        raise SerError(
            f"The split is of {split.n_clips or f'{last + 1} or more'} clips, and the data set has "
            f"{len(clips)}: split the data set that is evaluated."
        )
    emotions = clips["emotion"].to_numpy(dtype=str)
    known = set(emotions)
    for number, fold in enumerate(split.folds):
        if not len(fold.train) or not len(fold.test):
            raise SerError(
                f"Fold {number} of the split has {len(fold.train)} training and {len(fold.test)} "
                "test clips: each needs at least one. Use another split, or more clips."
            )
        missing = sorted(known - set(emotions[fold.train]))
        if missing:
            raise SerError(
                f"Fold {number} of the split leaves no training clip of {', '.join(missing)} "
                f"({len(fold.train)} training clips). Use another split, or more clips of it."
            )
        _check_apart(fold, number, clips, split.held_out)


def cross_validation_folds(
    y: np.ndarray, groups: np.ndarray, *, n_splits: int, grouped: bool, seed: int | None
) -> list[Fold]:
    """Stratified folds of the training part, with whole actors where the split is grouped.

    Parameters
    ----------
    y : (n_clips,)
        Emotion of each training clip.
    groups : (n_clips,)
        Actor of each training clip.
    n_splits : int
        At least 2. At most the clips of the rarest emotion and, grouped, the number of actors.
    grouped : bool
        Keep every actor within one fold.
    seed : int

    Raises
    ------
    SerError
        If there are too few clips of an emotion, or too few actors, for `n_splits` folds.
    """
    emotions, counts = np.unique(y, return_counts=True)
    n_actors = len(np.unique(groups))
    if n_splits < 2:
        raise SerError(f"cv.n_splits={n_splits}: cross-validation needs at least 2 folds.")
    if grouped and n_splits > n_actors:
        raise SerError(
            f"cv.n_splits={n_splits}, but the training part has {n_actors} actors, and each "
            f"belongs to one fold: give cv.n_splits={n_actors} or less."
        )
    if counts.min() < n_splits:
        raise SerError(
            f"cv.n_splits={n_splits}, but the training part has only {counts.min()} clips of "
            f"{emotions[counts.argmin()]}: give fewer folds or more clips."
        )
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    folds = kind(n_splits=n_splits, shuffle=True, random_state=seed)
    positions = folds.split(np.zeros(len(y)), y, groups if grouped else None)
    return [Fold(train, test) for train, test in positions]


def _check_apart(fold: Fold, number: int, clips: pd.DataFrame, promised: Sequence[str]) -> None:
    for held_out in (fold.test, fold.validation):
        if both := np.isin(held_out, fold.train).sum():
            raise SerError(f"Fold {number} of the split trains on {both} clips that it holds out.")
    for what in promised:
        of_clip = clips[what].to_numpy()
        shared = set(of_clip[fold.train]) & set(of_clip[fold.test])
        if shared:
            named = ", ".join(sorted(map(str, shared))[:5])
            raise SerError(
                f"The split says that no {what} is heard in training and in test, and fold "
                f"{number} shares {len(shared)} ({named}). Mend its folds, or its held_out."
            )
