"""Who trains and who tests."""

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from ser import splits
from ser.errors import SerError


def test_random_is_the_tutorials_split(clips):
    fold = splits.random(clips, test_size=0.2, seed=69).fold
    # The tutorial split X and y; the positions are what its call leaves of a range.
    train, test = train_test_split(np.arange(len(clips)), test_size=0.2, random_state=69)
    np.testing.assert_array_equal(fold.train, train)
    np.testing.assert_array_equal(fold.test, test)


@pytest.mark.parametrize("seed", range(5))
def test_speaker_no_actor_on_both_sides_and_genders_balanced(clips, seed):
    split = splits.speaker(clips, test_size=0.25, seed=seed)
    train, test = clips.iloc[split.fold.train], clips.iloc[split.fold.test]
    assert split.grouped
    assert not set(train["actor"]) & set(test["actor"])
    assert len(train) + len(test) == len(clips)
    assert test.drop_duplicates("actor")["gender"].value_counts().to_dict() == {
        "female": 3,
        "male": 3,
    }


def test_speaker_without_gender_draws_from_all(clips):
    fold = splits.speaker(clips.drop(columns="gender"), test_size=0.25, seed=1).fold
    assert clips.iloc[fold.test]["actor"].nunique() == 6


@pytest.mark.parametrize("grouped", [False, True])
def test_cross_validation_every_clip_held_out_once(clips, grouped):
    y, groups = clips["emotion"].to_numpy(), clips["actor"].to_numpy()
    folds = splits.cross_validation_folds(y, groups, n_splits=6, grouped=grouped, seed=3)
    np.testing.assert_array_equal(np.sort(np.concatenate([f.test for f in folds])), range(len(y)))
    for fold in folds:
        assert not set(fold.train) & set(fold.test)
        shared = set(groups[fold.train]) & set(groups[fold.test])
        assert not shared if grouped else shared


def test_splits_same_seed_same_fold_other_seed_other(clips):
    for splitter in (splits.random, splits.speaker):
        a, b, c = (splitter(clips, test_size=0.25, seed=seed).fold.test for seed in (1, 1, 2))
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
    [(1, False, "at least 2"), (25, True, "24 actors"), (97, False, "only 96 clips of 'neutral'")],
)
def test_cross_validation_folds_that_cannot_be(clips, n_splits, grouped, message):
    y, groups = clips["emotion"].to_numpy(), clips["actor"].to_numpy()
    with pytest.raises(SerError, match=message):
        splits.cross_validation_folds(y, groups, n_splits=n_splits, grouped=grouped, seed=0)
