"""Folds of a clip table, what a split promises of them, and whether it keeps its promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

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


def of_fold(split: Split, number: int | None) -> Split:
    """The split with one of its folds alone, or as it is."""
    return split if number is None else replace(split, folds=(split.folds[number],))


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
                f"({len(fold.train)} training clips): what is not learned cannot be tested. Use "
                "another split or seed, give more clips of it, or leave it out."
            )
        _check_apart(fold, number, clips, split.held_out)


def most_folds(y: np.ndarray, groups: np.ndarray, *, grouped: bool) -> tuple[int, str]:
    """How many folds the training part allows, and what allows no more.

    Parameters
    ----------
    y, groups : (n_clips,)
        Emotion and actor of each training clip.
    grouped : bool
        Whether every actor is kept within one fold.

    Returns
    -------
    n_folds : int
        The clips of the rarest emotion or, grouped, the number of actors if that is less.
    why : str
        ``4 training actors``, ``3 training clips of sad``.
    """
    emotions, counts = np.unique(y, return_counts=True)
    rarest = counts.argmin()
    n_actors = len(np.unique(groups))
    if grouped and n_actors < counts[rarest]:
        return n_actors, counted(n_actors, "training actor")
    return int(counts[rarest]), f"{counted(counts[rarest], 'training clip')} of {emotions[rarest]}"


def cross_validation_folds(
    y: np.ndarray,
    groups: np.ndarray,
    *,
    n_splits: int,
    grouped: bool,
    seed: int | None,
    key: str = "cv.n_splits",
) -> list[Fold]:
    """Stratified folds of the training part, with whole actors where the split is grouped.

    No fold is empty. `StratifiedGroupKFold` can leave one without clips (scikit-learn issue 34828);
    it then gets an actor of the fold with most actors.

    Parameters
    ----------
    y : (n_clips,)
        Emotion of each training clip.
    groups : (n_clips,)
        Actor of each training clip.
    n_splits : int
        At least 2, at most `most_folds`.
    grouped : bool
        Keep every actor within one fold.
    seed : int
    key : str
        Of the config, that `n_splits` comes from.

    Raises
    ------
    SerError
        If there are too few clips of an emotion, or too few actors, for `n_splits` folds.
    """
    if n_splits < 2:
        raise SerError(f"{key}={n_splits}: cross-validation needs at least 2 folds.")
    most, why = most_folds(y, groups, grouped=grouped)
    if n_splits > most:
        raise SerError(
            f"{key}={n_splits}, but the clips have only {why}, and every fold needs one: "
            + (f"give {key}={most} or less." if most > 1 else "give more clips.")
        )
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    folds = kind(n_splits=n_splits, shuffle=True, random_state=seed)
    number = np.empty(len(y), dtype=int)  # of the fold that tests each clip
    for each, (_, test) in enumerate(folds.split(np.zeros(len(y)), y, groups if grouped else None)):
        number[test] = each
    for empty in np.setdiff1d(np.arange(n_splits), number):
        actors = [np.unique(groups[number == each]) for each in range(n_splits)]
        number[groups == max(actors, key=len)[-1]] = empty
    return [
        Fold(np.flatnonzero(number != each), np.flatnonzero(number == each))
        for each in range(n_splits)
    ]


def lacking(y: np.ndarray, folds: Sequence[Fold]) -> str | None:
    """An emotion without a training clip in one of the folds, if there is one."""
    known = set(y)
    return min((each for fold in folds for each in known - set(y[fold.train])), default=None)


def counted(number: int, what: str) -> str:
    """A number of something, in the singular or plural."""
    return f"{number} {what}" + ("" if number == 1 else "s")


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
