"""Who trains and who tests."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from ser.core.errors import SerError
from ser.data import folds as folds_of
from ser.data import splits


def test_random_is_the_tutorials_split(clips):
    (fold,) = splits.random(clips, test_size=0.2, seed=69).folds
    # The tutorial split X and y; the positions are what its call leaves of a range.
    train, test = train_test_split(np.arange(len(clips)), test_size=0.2, random_state=69)
    np.testing.assert_array_equal(fold.train, train)
    np.testing.assert_array_equal(fold.test, test)


@pytest.mark.parametrize("seed", range(5))
def test_speaker_no_actor_on_both_sides_and_genders_balanced(clips, seed):
    split = splits.speaker(clips, test_size=0.25, seed=seed)
    (fold,) = split.folds
    train, test = clips.iloc[fold.train], clips.iloc[fold.test]
    assert split.grouped
    assert not set(train["actor"]) & set(test["actor"])
    assert len(train) + len(test) == len(clips)
    assert test.drop_duplicates("actor")["gender"].value_counts().to_dict() == {
        "female": 3,
        "male": 3,
    }


def test_speaker_without_gender_draws_from_all(clips):
    (fold,) = splits.speaker(clips.drop(columns="gender"), test_size=0.25, seed=1).folds
    assert clips.iloc[fold.test]["actor"].nunique() == 6


@pytest.mark.parametrize("grouped", [False, True])
def test_cross_validation_every_clip_held_out_once(clips, grouped):
    y, groups = clips["emotion"].to_numpy(), clips["actor"].to_numpy()
    folds = folds_of.cross_validation_folds(y, groups, n_splits=6, grouped=grouped, seed=3)
    np.testing.assert_array_equal(np.sort(np.concatenate([f.test for f in folds])), range(len(y)))
    for fold in folds:
        assert not set(fold.train) & set(fold.test)
        shared = set(groups[fold.train]) & set(groups[fold.test])
        assert not shared if grouped else shared


def test_splits_same_seed_same_fold_other_seed_other(clips):
    for splitter in (splits.random, splits.speaker):
        a, b, c = (splitter(clips, test_size=0.25, seed=seed).folds[0].test for seed in (1, 1, 2))
        np.testing.assert_array_equal(a, b)
        assert set(a) != set(c)


@pytest.mark.parametrize("test_size", [0, 1, -0.2, 1.5, "a fifth"])
def test_splits_test_size_out_of_bounds(clips, test_size):
    for splitter in (splits.random, splits.speaker):
        with pytest.raises(SerError, match="test_size"):
            splitter(clips, test_size=test_size, seed=1)


def test_speaker_too_few_actors(clips):
    with pytest.raises(SerError, match="split=random"):
        splits.speaker(clips[clips["actor"] <= 2], test_size=0.25, seed=1)


@pytest.mark.parametrize(
    ("n_splits", "grouped", "message"),
    [
        (1, False, "at least 2"),
        (25, True, "24 training actors"),
        (97, False, "only 96 training clips of neutral"),
    ],
)
def test_cross_validation_folds_that_cannot_be(clips, n_splits, grouped, message):
    y, groups = clips["emotion"].to_numpy(), clips["actor"].to_numpy()
    with pytest.raises(SerError, match=message):
        folds_of.cross_validation_folds(y, groups, n_splits=n_splits, grouped=grouped, seed=0)


def test_no_grouped_fold_is_empty_where_scikit_learn_leaves_one():
    counts = [[0, 0, 8, 0], [4, 8, 0, 6], [0, 4, 0, 4], [0, 0, 4, 6]]  # actors x emotions
    y = np.concatenate([np.repeat(range(4), row) for row in counts])
    actors = np.repeat(range(4), np.sum(counts, axis=1))
    theirs = StratifiedGroupKFold(4, shuffle=True, random_state=6).split(y, y, actors)
    if all(len(test) for _, test in theirs):
        pytest.skip("this scikit-learn leaves no fold empty")
    folds = folds_of.cross_validation_folds(y, actors, n_splits=4, grouped=True, seed=6)
    assert sorted(np.unique(actors[fold.test]).tolist() for fold in folds) == [[0], [1], [2], [3]]


def test_grouped_folds_are_scikit_learns_and_none_is_empty():
    """Of random tables of few actors."""
    draw = np.random.default_rng(0)
    for _ in range(60):
        counts = draw.integers(0, 9, (draw.integers(2, 6), 3))
        y = np.concatenate([np.repeat(range(3), row) for row in counts])
        actors = np.repeat(range(len(counts)), counts.sum(axis=1))
        most, _ = folds_of.most_folds(y, actors, grouped=True)
        if most < 2:
            continue
        theirs = list(StratifiedGroupKFold(most, shuffle=True, random_state=1).split(y, y, actors))
        folds = folds_of.cross_validation_folds(y, actors, n_splits=most, grouped=True, seed=1)
        assert all(len(fold.train) and len(fold.test) for fold in folds)
        if all(len(test) for _, test in theirs):
            for fold, (train, test) in zip(folds, theirs, strict=True):
                np.testing.assert_array_equal(fold.train, train)
                np.testing.assert_array_equal(fold.test, test)


EMOBOX = [[1, 11, 20, 21], [4, 10, 12, 14], [8, 9, 19, 23], [3, 5, 7, 24], [2, 15, 16, 18]]
EMOBOX += [[6, 13, 17, 22]]


@pytest.mark.parametrize(
    ("make", "n_folds"),
    [
        (splits.loso, 24),
        (lambda clips: splits.actor_folds(clips, folds=EMOBOX), 6),
        (splits.statement, 2),
        (lambda clips: splits.speaker_statement(clips, n_groups=6, seed=3), 12),
    ],
    ids=["loso", "emobox6", "statement", "speaker_statement"],
)
def test_several_folds_hold_every_clip_once_and_what_they_claim_is_unheard(clips, make, n_folds):
    split = make(clips)
    assert len(split.folds) == n_folds
    tested = np.concatenate([fold.test for fold in split.folds])
    np.testing.assert_array_equal(np.sort(tested), range(len(clips)))
    np.testing.assert_array_equal(split.development, range(len(clips)))
    for fold in split.folds:
        train, test = clips.iloc[fold.train], clips.iloc[fold.test]
        for what in split.held_out:
            assert not set(train[what]) & set(test[what])
        assert set(train["emotion"]) == set(clips["emotion"])
    folds_of.check(split, clips)


def test_speaker_statement_groups_are_gender_balanced_and_trained_on_the_other_sentence(clips):
    split = splits.speaker_statement(clips, n_groups=6, seed=0)
    for fold in split.folds:
        test = clips.iloc[fold.test]
        assert test.drop_duplicates("actor")["gender"].value_counts().tolist() == [2, 2]
        assert test["statement"].nunique() == 1
        # 20 actors are left, with one of two sentences.
        assert len(fold.train) == 20 / 24 * len(clips) / 2


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([[1, 2], [3, 99]], "99 are not in the clip table"),
        ([[1, 2], [2, 3]], "2 are in more than one fold"),
        ([[1], [2, 3]], "are in no fold"),
        ([list(range(1, 25))], "nobody to train on"),
    ],
)
def test_actor_folds_that_do_not_fit_the_corpus(clips, folds, message):
    with pytest.raises(SerError, match=message):
        splits.actor_folds(clips, folds=folds)


def test_random_with_validation_keeps_the_test_clips(clips):
    (two,) = splits.random(clips, test_size=0.2, seed=69).folds
    (three,) = splits.random(clips, test_size=0.2, validation_size=0.2, seed=69).folds
    np.testing.assert_array_equal(two.test, three.test)
    parts = [set(part) for part in (three.train, three.validation, three.test)]
    assert not any(a & b for a, b in combinations(parts, 2))
    assert set.union(*parts) == set(range(len(clips)))
    assert len(three.validation) == len(three.test)


def test_check_names_the_fold_and_what_it_lacks(clips):
    emotions = clips["emotion"].to_numpy()
    no_sad = np.flatnonzero(emotions != "sad")
    sad = np.flatnonzero(emotions == "sad")
    with pytest.raises(SerError, match=r"Fold 0 .* no training clip of sad"):
        folds_of.check(folds_of.Split((folds_of.Fold(no_sad, sad),)), clips)
    with pytest.raises(SerError, match=r"Fold 0 .* 0 test clips"):
        folds_of.check(folds_of.Split((folds_of.Fold(no_sad, sad[:0]),)), clips)


def test_check_refuses_folds_that_are_not_what_the_split_says(clips):
    rows = np.arange(len(clips))
    halves = folds_of.Fold(rows[::2], rows[1::2])  # of every actor
    folds_of.check(folds_of.Split((halves,)), clips)
    with pytest.raises(SerError, match=r"no actor is heard .* fold 0 shares 24"):
        folds_of.check(folds_of.Split((halves,), held_out=("actor",)), clips)
    with pytest.raises(SerError, match="trains on 2 clips that it holds out"):
        folds_of.check(folds_of.Split((folds_of.Fold(rows[:-10], rows[-12:]),)), clips)


def test_splits_without_what_they_go_by(clips):
    with pytest.raises(SerError, match="statement"):
        splits.statement(clips.drop(columns="statement"))
    with pytest.raises(SerError, match="no other to train on"):
        splits.statement(clips[clips["statement"] == 1])
    with pytest.raises(SerError, match="24 actors make 2 to 24 groups"):
        splits.speaker_statement(clips, n_groups=25, seed=0)
    with pytest.raises(SerError, match="nobody to train on"):
        splits.loso(clips[clips["actor"] == 1])
