"""Which clips train and which test, and the folds that cross-validate the training part.

A splitter is a function of the clip table. It returns a `Split`: one or more folds, and what of a
held-out clip no training clip of its fold shares. Where that is the actor, everything after it
keeps actors apart too: inner folds, curves, calibration, and the intervals of the scores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from ser.core.errors import SerError
from ser.data.corpora import speakers_known
from ser.data.folds import Fold, Split, cross_validation_folds


def random(
    clips: pd.DataFrame, *, test_size: float, seed: int, validation_size: float = 0.0
) -> Split:
    """Clips drawn at random: the test clips come from actors that the model has heard.

    With ``test_size=0.2, seed=69`` on clips sorted by path this is the tutorial's split.

    Parameters
    ----------
    clips : (n_clips, ...) DataFrame
    test_size : float
        Part of the clips that is held out, in (0, 1).
    seed : int
    validation_size : float
        Part of all clips held out besides, in [0, 1); the test clips are the same without it.

    Raises
    ------
    SerError
        If a size is out of bounds or leaves one side empty.
    """
    _check_part("test_size", test_size)
    try:
        train, test = train_test_split(
            np.arange(len(clips)), test_size=test_size, random_state=seed
        )
        if not validation_size:
            return Split((Fold(train, test),))
        _check_part("validation_size", validation_size)
        part = validation_size / (1 - test_size)
        train, validation = train_test_split(train, test_size=part, random_state=seed)
    except ValueError as error:
        raise SerError(
            f"{len(clips)} clips cannot be split by split.test_size={test_size} and "
            f"split.validation_size={validation_size}: a part would be empty."
        ) from error
    return Split((Fold(train, test, validation),))


def random_folds(clips: pd.DataFrame, *, n_splits: int, seed: int) -> Split:
    """Cross-validation by clip: every clip is tested by a model that has heard its actor.

    Parameters
    ----------
    clips : (n_clips, ...) DataFrame
        With `emotion`, of which every fold gets the same share.
    n_splits : int
        At least 2, at most the clips of the rarest emotion.
    seed : int

    Raises
    ------
    SerError
        If there are too few clips of an emotion.
    """
    folds = cross_validation_folds(
        clips["emotion"].to_numpy(dtype=str),
        clips["actor"].to_numpy(),
        n_splits=n_splits,
        grouped=False,
        seed=seed,
        key="split.n_splits",
    )
    return Split(tuple(folds))


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
    _check_part("test_size", test_size)
    _check_known(clips)
    draw = np.random.default_rng(seed)
    held_out: list[object] = []
    for gender, members in _actors_by_gender(clips):
        n_test = max(1, round(test_size * len(members)))
        if n_test >= len(members):
            raise SerError(
                f"split=speaker would hold out {n_test} of {len(members)} actors ({gender}) and "
                "leave none to train on: add speakers, lower split.test_size, or use split=random."
            )
        held_out += list(draw.choice(members, n_test, replace=False))
    return Split((_without_actors(clips, held_out),), held_out=("actor",))


def loso(clips: pd.DataFrame) -> Split:
    """Leave one speaker out: one fold for every actor.

    Raises
    ------
    SerError
        If there is only one actor.
    """
    return actor_folds(clips, folds=[[actor] for actor in np.unique(clips["actor"])])


def actor_folds(clips: pd.DataFrame, *, folds: Sequence[Sequence[object]]) -> Split:
    """Folds of named actors, as a paper or a benchmark fixes them.

    Parameters
    ----------
    clips : (n_clips, ...) DataFrame
    folds : sequence of sequence
        Test actors of each fold; every actor of the table in exactly one.

    Raises
    ------
    SerError
        If an actor is unknown, named twice or left out, or a fold holds all actors.
    """
    _check_known(clips)
    tested = Counter(actor for fold in folds for actor in fold)
    present = dict.fromkeys(np.unique(clips["actor"]))  # ordered, and asked often
    for problem, actors in (
        ("are not in the clip table", [a for a in tested if a not in present]),
        ("are in more than one fold", sorted((a for a, n in tested.items() if n > 1), key=str)),
        ("are in no fold", [a for a in present if a not in tested]),
    ):
        if actors:
            named = ", ".join(map(str, actors[:5])) + (", ..." if len(actors) > 5 else "")
            raise SerError(
                f"Actors {named} {problem}, but split.folds must hold each "
                f"of the table's {len(present)} actors once. Fixed folds belong to one corpus: "
                "use split=loso or split=speaker on another, or on a part of it."
            )
    if len(folds) < 2:
        raise SerError("One fold of all actors leaves nobody to train on.")
    return Split(tuple(_without_actors(clips, fold) for fold in folds), held_out=("actor",))


def statement(clips: pd.DataFrame) -> Split:
    """One fold for every sentence: tested on it, trained on the others, by the same actors.

    Raises
    ------
    SerError
        If the clip table does not say which sentence is spoken, or there is only one.
    """
    spoken = _statements(clips)
    folds = [
        Fold(np.flatnonzero(spoken != sentence), np.flatnonzero(spoken == sentence))
        for sentence in np.unique(spoken)
    ]
    return Split(tuple(folds), held_out=("statement",))


def speaker_statement(clips: pd.DataFrame, *, n_groups: int, seed: int) -> Split:
    """Neither the actor nor the sentence was heard: a fold for every group of actors and sentence.

    Parameters
    ----------
    clips : (n_clips, ...) DataFrame
    n_groups : int
        Groups that the actors are dealt into, of each gender the same number.
    seed : int
        Of the deal.

    Raises
    ------
    SerError
        If there are fewer actors than groups, or fewer than two of either.
    """
    _check_known(clips)
    spoken, actors = _statements(clips), clips["actor"].to_numpy()
    draw = np.random.default_rng(seed)
    dealt = np.concatenate([draw.permutation(members) for _, members in _actors_by_gender(clips)])
    if not 2 <= n_groups <= len(dealt):
        raise SerError(
            f"split.n_groups={n_groups}: {len(dealt)} actors make 2 to {len(dealt)} groups."
        )
    folds = []
    for group in (dealt[start::n_groups] for start in range(n_groups)):
        inside = np.isin(actors, group)
        for sentence in np.unique(spoken):
            test = inside & (spoken == sentence)
            train = ~inside & (spoken != sentence)
            folds.append(Fold(np.flatnonzero(train), np.flatnonzero(test)))
    return Split(tuple(folds), held_out=("actor", "statement"))


def cross_corpus(clips: pd.DataFrame, *, train: str, test: str) -> Split:
    """Trained on all clips of one corpus, tested on all of another.

    Parameters
    ----------
    clips : (n_clips, ...) DataFrame
        With `corpus`, and actors (and statements) that are the same only where the people (and
        the sentences) are: see `ser.data.cross_corpus.join`.
    train, test : str
        Names in `corpus`.

    Returns
    -------
    Split
        Of one fold. The actors and the statements are held out where no training
        clip has them.
    """
    is_train, is_test = ((clips["corpus"] == name).to_numpy() for name in (train, test))
    fold = Fold(np.flatnonzero(is_train), np.flatnonzero(is_test))
    held_out = ["corpus"]
    for what in ("actor", "statement"):
        known = what in clips and not clips[what].isna().any()
        known = known and (what != "actor" or speakers_known(clips))
        if known and not set(clips.loc[is_train, what]) & set(clips.loc[is_test, what]):
            held_out.append(what)
    return Split((fold,), tuple(held_out))


def _check_known(clips: pd.DataFrame) -> None:
    if not speakers_known(clips):
        raise SerError(
            "No split can keep speakers apart where nobody knows who speaks (data.speaker=null). "
            "Use split=random or split=random_10fold, or say who speaks."
        )


def _without_actors(clips: pd.DataFrame, actors: Sequence[object]) -> Fold:
    is_test = clips["actor"].isin(list(actors)).to_numpy()
    return Fold(np.flatnonzero(~is_test), np.flatnonzero(is_test))


def _actors_by_gender(clips: pd.DataFrame) -> list[tuple[object, np.ndarray]]:
    actors = clips.drop_duplicates("actor")
    genders = actors["gender"] if "gender" in actors else pd.Series("all", index=actors.index)
    by_gender = actors["actor"].groupby(genders, dropna=False)
    return [(gender, members.to_numpy()) for gender, members in by_gender]


def _statements(clips: pd.DataFrame) -> np.ndarray:
    if "statement" not in clips:
        raise SerError("The clip table has no column 'statement', which this split goes by.")
    spoken = clips["statement"].to_numpy()
    if len(np.unique(spoken)) < 2:
        raise SerError("All clips have the same 'statement': there is no other to train on.")
    return spoken


def _check_part(name: str, part: float) -> None:
    if not (isinstance(part, int | float) and 0 < part < 1):
        raise SerError(f"split.{name}={part} must lie between 0 and 1, both left out.")
