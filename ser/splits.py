"""Which clips train and which test, and the folds that cross-validate the training part.

A splitter is a function of the clip table. It returns a `Split`, which says whether actors are
kept apart (`grouped`), and so decides how everything after it is cross-validated: where the test
actors are unknown to the model, the actors of a validation fold are too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from ser.errors import SerError


@dataclass(frozen=True)
class Fold:
    """Rows of the clip table that train and rows that are held out.

    Attributes
    ----------
    train, test : (n,) int
        Positions, disjoint.
    """

    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Split:
    """A protocol applied to a clip table.

    Attributes
    ----------
    fold : Fold
        The training clips and the test clips.
    grouped : bool
        Whether no actor is in both, and none may be in two folds.
    """

    fold: Fold
    grouped: bool


def random(clips: pd.DataFrame, *, test_size: float, seed: int) -> Split:
    """Clips drawn at random: the test clips come from actors that the model has heard.

    With ``test_size=0.2, seed=69`` on clips sorted by path this is the tutorial's split.

    Parameters
    ----------
    clips : (n_clips, ...) DataFrame
    test_size : float
        Part of the clips that is held out, in (0, 1).
    seed : int

    Raises
    ------
    SerError
        If `test_size` is out of bounds or leaves one side empty.
    """
    _check_test_size(test_size)
    try:
        train, test = train_test_split(
            np.arange(len(clips)), test_size=test_size, random_state=seed
        )
    except ValueError as error:
        raise SerError(f"{len(clips)} clips cannot be split by test_size={test_size}.") from error
    return Split(Fold(train, test), grouped=False)


def speaker(clips: pd.DataFrame, *, test_size: float, seed: int) -> Split:
    """Actors drawn at random, of each gender the same part: no test actor is heard in training.

    Parameters
    ----------
    clips : (n_clips, ...) DataFrame
        With `actor`; with `gender` the draw is balanced.
    test_size : float
        Part of the actors (of each gender) that is held out, in (0, 1); at least one of each.
    seed : int

    Raises
    ------
    SerError
        If `test_size` is out of bounds, or no actor of a gender would be left for training.
    """
    _check_test_size(test_size)
    actors = clips.drop_duplicates("actor")
    genders = actors["gender"] if "gender" in actors else pd.Series("all", index=actors.index)
    draw = np.random.default_rng(seed)
    held_out: list[object] = []
    for gender, members in actors["actor"].groupby(genders, dropna=False):
        n_test = max(1, round(test_size * len(members)))
        if n_test >= len(members):
            raise SerError(
                f"split=speaker would hold out {n_test} of {len(members)} actors ({gender}) and "
                "leave none to train on: add speakers, lower split.test_size, or use split=random."
            )
        held_out += list(draw.choice(members.to_numpy(), n_test, replace=False))
    is_test = clips["actor"].isin(held_out).to_numpy()
    return Split(Fold(np.flatnonzero(~is_test), np.flatnonzero(is_test)), grouped=True)


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
            f"{emotions[counts.argmin()]!r}: give fewer folds or more clips."
        )
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    folds = kind(n_splits=n_splits, shuffle=True, random_state=seed)
    positions = folds.split(np.zeros(len(y)), y, groups if grouped else None)
    return [Fold(train, test) for train, test in positions]


def _check_test_size(test_size: float) -> None:
    if not (isinstance(test_size, int | float) and 0 < test_size < 1):
        raise SerError(f"split.test_size={test_size} must lie between 0 and 1, both left out.")
