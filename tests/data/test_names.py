"""Names of emotions and speakers that differ by a hair, from a table to a fold."""

import numpy as np
import pandas as pd
import pytest
import soundfile
from made import dataset

from ser.core.errors import SerError
from ser.data import cross_corpus, splits
from ser.data.corpora.table import load
from ser.data.dataset import Dataset
from ser.data.names import relabelled, tidied


def clips(emotions, actors=None):
    actors = ["a", "b"] * len(emotions) if actors is None else actors
    return pd.DataFrame({"emotion": emotions, "actor": actors[: len(emotions)]})


@pytest.fixture
def table(tmp_path):
    """Write a table of a row for each emotion and speaker given; return its path."""

    def write(emotions, speakers):
        paths = [f"{i:02d}.wav" for i in range(len(emotions))]
        for path in paths:
            soundfile.write(tmp_path / path, [0.1] * 800, 8000)
        rows = pd.DataFrame({"path": paths, "emotion": emotions, "speaker": speakers})
        rows.to_csv(tmp_path / "clips.csv", index=False)
        return tmp_path / "clips.csv"

    return write


@pytest.mark.parametrize(
    "other",
    [" happy", "happy ", "happy\u00a0", "\ufeffhappy", "happy\u200b", "\u200ehappy\n"],
)
def test_what_stands_around_a_name_is_no_part_of_it(other):
    assert tidied(clips(["happy", other, "sad"]))["emotion"].tolist() == ["happy", "happy", "sad"]


def test_an_umlaut_is_one_however_it_is_written():
    assert set(tidied(clips(["fröhlich", "fro\u0308hlich"]))["emotion"]) == {"fröhlich"}


@pytest.mark.parametrize("other", ["Happy", "HAPPY ", "hap\u200bpy", "ｈａｐｐｙ", "happ\u00ady"])
@pytest.mark.parametrize("what", ["emotion", "actor"])
def test_names_that_differ_by_a_hair_are_refused(other, what):
    table = clips(["sad", "angry", "sad"]).assign(**{what: ["happy", other, "x"]})
    with pytest.raises(SerError, match=r"no more than case or characters that are not seen: .*and"):
        Dataset(table)


def test_the_list_of_twins_ends():
    words = [f"w{i}" for i in range(9)]
    with pytest.raises(SerError, match=r"'W0' and 'w0'; .*'W4' and 'w4' and 4 more"):
        tidied(clips([*words, *map(str.upper, words)]))


@pytest.mark.parametrize("actors", [["01", "1", "001"], ["1.0", "1", "1.00"], ["a", "b", "ab"]])
def test_numbers_as_text_are_names(table, actors):
    file = table(["happy", "sad"] * 6, actors * 4)
    loaded = load(file, min_clips=1)
    assert loaded["actor"].tolist() == actors * 4
    assert len(splits.loso(loaded).folds) == 3


def test_whole_numbers_stay_numbers(table):
    loaded = load(table(["happy", "sad"] * 12, list(range(12)) * 2), min_clips=1)
    assert loaded["actor"].dtype == "int64"


def test_numbers_in_other_columns_keep_their_zeros(table):
    file = table(["happy", "sad"], [1, 2])
    rows = pd.read_csv(file).assign(statement=["01", "1"], age=[30, 40])
    rows.to_csv(file, index=False)
    loaded = load(file, min_clips=1)
    assert loaded["statement"].tolist() == ["01", "1"] and loaded["age"].tolist() == [30, 40]


def test_labels_make_twins_one(table):
    file = table(["Happy", "happy ", "sad", "bored"] * 2, [1, 2] * 4)
    with pytest.raises(SerError, match=r"'Happy' and 'happy'.*data.labels=\{Happy: happy\}"):
        load(file, min_clips=1)
    loaded = load(file, labels={"Happy": "happy", "bored": None}, min_clips=2)
    assert loaded["emotion"].value_counts().to_dict() == {"happy": 4, "sad": 2}


def test_labels_name_emotions_that_there_are():
    with pytest.raises(SerError, match="labels names joy; there are happy, sad"):
        relabelled(clips(["happy", "sad"]), {"joy": "happy"})
    with pytest.raises(SerError, match="leaves out every emotion"):
        relabelled(clips(["happy"]), {"happy": None})


@pytest.mark.parametrize("missing", [None, np.nan, "", " ", "\u200b"])
@pytest.mark.parametrize("what", ["emotion", "actor"])
def test_a_clip_without_a_name_is_refused(missing, what):
    table = clips(["sad", "angry", "sad"]).assign(**{what: ["x", missing, "y"]})
    with pytest.raises(SerError, match=rf"1 clips have no {what} \(rows 1 of"):
        Dataset(table)


def test_a_number_and_the_same_as_text_are_one_speaker():
    table = tidied(
        pd.DataFrame({"emotion": ["a", "b"], "actor": pd.Series([1, "1"], dtype=object)})
    )
    assert table["actor"].tolist() == ["1", "1"]


def test_tidy_names_stay_as_they_are():
    table = clips(["happy", "sad"])
    assert tidied(table) is table
    assert dataset(np.zeros((2, 1)), ["happy", "sad"]).groups.dtype.kind == "i"


def test_twins_between_two_corpora_are_refused():
    one, two = (
        cross_corpus.Part(name, clips(words), name)
        for name, words in (("a", ["happy", "sad", "calm"]), ("b", ["Happy", "sad", "calm"]))
    )
    with pytest.raises(SerError, match="'Happy' and 'happy'"):
        cross_corpus.join(one, two)
