"""The same sound twice: where it is refused, dropped, kept, and where it cannot do harm."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import make_pipeline

import ser
from ser.core.errors import SerError
from ser.data import splits
from ser.data.corpora.ravdess import SAME_SOUND
from ser.data.dataset import Dataset
from ser.data.duplicates import check_copies, copies, without_copies


def data(sounds, emotions=None, actors=None, **settings):
    """Clips 0, 1, ... of these sounds: by default of two emotions and four actors, by turns."""
    n = len(sounds)
    table = pd.DataFrame(
        {
            "path": [f"/c/{i}.wav" for i in range(n)],
            "emotion": emotions or [("happy", "sad")[i % 2] for i in range(n)],
            "actor": actors or [f"s{i // 2 % 4}" for i in range(n)],
        }
    )
    X = np.arange(n, dtype=np.float32)[:, None]
    return Dataset(table, X, digests=np.array([f"{sound:032x}" for sound in sounds]), **settings)


# Clip 8 is clip 0 again: happy, by s0.
TWICE = [*range(8), 0, *range(9, 16)]


def at_random(clips):
    return splits.random(clips, test_size=0.25, validation_size=None, seed=1)


def test_copies_are_found_by_what_the_clips_hold():
    assert [rows.tolist() for rows in copies(data([5, 1, 5, 2, 1, 5]))] == [[0, 2, 5], [1, 4]]
    assert copies(data([3, 2, 1])) == []
    assert copies(replace(data([1, 1]), digests=None)) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_split_that_may_part_copies_is_refused_whatever_its_seed(seed):
    clips = data(TWICE)
    split = splits.random(clips.clips, test_size=0.25, validation_size=None, seed=seed)
    with pytest.raises(SerError, match=r"1 of 16 clips .*0\.wav = /c/8\.wav.*data.duplicates=drop"):
        check_copies(clips, split)


def test_copies_of_one_speaker_and_emotion_stay_where_actors_are_kept_apart():
    clips = data(TWICE)
    assert check_copies(clips, splits.loso(clips.clips)).startswith("1 of 16 clips holds the same")


@pytest.mark.parametrize("what", ["emotion", "actor"])
def test_a_sound_under_two_names_is_refused_by_every_split(what):
    clips = data(TWICE)
    names = clips.clips[what].to_numpy(dtype=object)
    names[8] = {"emotion": "sad", "actor": "s3"}[what]
    clips = replace(clips, clips=clips.clips.assign(**{what: names}))
    for split in (splits.loso(clips.clips), at_random(clips.clips)):
        with pytest.raises(SerError, match=r"\(happy, speaker s0\) = .*cannot all be right"):
            check_copies(clips, split)


def test_evaluate_refuses_before_it_fits():
    clips = data(TWICE)
    with pytest.raises(SerError, match="hold the same sound"):
        ser.evaluate(make_pipeline(DummyClassifier()), clips, at_random(clips.clips))


def test_drop_keeps_the_first_of_each():
    said = []
    kept = without_copies(
        data([0, 1, 0, 1, 2], ["a", "b"] * 2 + ["a"], ["s"] * 5, duplicates="drop"), say=said.append
    )
    assert kept.clips["path"].tolist() == ["/c/0.wav", "/c/1.wav", "/c/4.wav"]
    assert kept.features.ravel().tolist() == [0, 1, 4] and copies(kept) == []
    assert "2 of 5 clips." in said[0]


def test_drop_leaves_nothing_of_a_sound_under_two_names():
    said = []
    kept = without_copies(
        data([0, 1, 0, 2], ["a", "b", "b", "a"], ["s"] * 4, duplicates="drop"), say=said.append
    )
    assert kept.clips["path"].tolist() == ["/c/1.wav", "/c/3.wav"]
    assert "2 of 4 clips, among them all 2 clips of 1 sounds under two" in said[0]


def test_drop_that_leaves_no_clip_is_an_error():
    with pytest.raises(SerError, match="leaves none"):
        without_copies(data([0, 0], ["a", "b"], duplicates="drop"), say=print)


def test_keep_says_what_it_keeps():
    clips = data(TWICE, duplicates="keep")
    assert "and stay (data.duplicates=keep)" in check_copies(clips, at_random(clips.clips))
    assert without_copies(clips, say=print) is clips


def test_an_unknown_way_is_refused():
    with pytest.raises(SerError, match=r"data\.duplicates='ignore' is not known"):
        data([1], duplicates="ignore")


def test_ravdess_is_published_with_one_sound_twice():
    clips = data(
        [0, 0, 1, 2, 3, 4, 5, 6], actors=["s0"] * 8, emotions=["happy", "happy"] + ["sad"] * 6
    )
    paths = [*(f"/c/{stem}.wav" for stem in sorted(SAME_SOUND)), *clips.clips["path"][2:]]
    clips = replace(clips, clips=clips.clips.assign(path=paths))
    said = check_copies(clips, at_random(clips.clips))
    assert "(as the corpus was published), perhaps one in training and one in test" in said
    assert len(without_copies(replace(clips, duplicates="drop"), say=print)) == 7
