"""`data=folder`: emotion and speaker by folders or a pattern."""

import pytest
import soundfile as sf

import ser
from ser.core.errors import SerError
from ser.data.audio import AudioError, read_file
from ser.data.corpora import UNKNOWN
from ser.data.corpora.folder import fields, load


@pytest.fixture
def corpus(tmp_path):
    """Makes files of these names in a folder."""

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            sf.write(tmp_path / name, [0.1] * 4000, 8000)
        return tmp_path

    return make


def four(pattern):
    return [
        pattern.format(speaker=speaker, emotion=emotion, n=n)
        for speaker in ("ann", "bob")
        for emotion in ("happy", "sad")
        for n in (1, 2)
    ]


@pytest.mark.parametrize(
    "pattern",
    [
        "{emotion}/{speaker}/{n}.wav",
        "{speaker}_{emotion}_{n}.wav",
        "{speaker}/{emotion}/{n}.wav",
        "{speaker}/{emotion}-{n}.wav",
        "x/{n}.{speaker}@{emotion}.wav",
    ],
)
def test_names_say_emotion_and_speaker(pattern, corpus):
    clips = load(corpus(*four(pattern)), pattern=pattern)
    assert sorted(zip(clips["actor"], clips["emotion"], clips["n"], strict=True)) == sorted(
        (speaker, emotion, n)
        for speaker in ("ann", "bob")
        for emotion in ("happy", "sad")
        for n in ("1", "2")
    )
    assert set(clips["sr"]) == {8000} and list(clips["path"]) == sorted(clips["path"])


def test_folders_say_it_without_a_pattern(corpus):
    root = corpus(*four("{emotion}/{speaker}/{n}.wav"))
    clips = load(root, labels={"happy": "glad"})
    assert set(clips["actor"]) == {"ann", "bob"} and set(clips["emotion"]) == {"glad", "sad"}


def test_speakers_may_be_unknown(corpus):
    root = corpus("happy/1.wav", "happy/2.wav", "sad/1.wav", "sad/2.wav")
    with pytest.raises(SerError, match=r"4 of 4 files .*happy/1\.wav.*set data\.speaker=null"):
        load(root)
    assert set(load(root, speaker=None)["actor"]) == {UNKNOWN}


def test_a_name_out_of_the_pattern_is_named(corpus):
    root = corpus(*four("{speaker}_{emotion}_{n}.wav"), "ann_b_happy_3.wav")
    with pytest.raises(SerError, match=r"1 of 9 files .*ann_b_happy_3\.wav"):
        load(root, pattern="{speaker}_{emotion}_{n}.wav")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{speaker}_{n}.wav", "has no {emotion}"),
        ("{emotion}_{n}.wav", "has no {speaker}.*data.speaker=null"),
        ("{emotion}_{emotion}_{speaker}", "each field once"),
        ("{speaker}_{Emotion}", "each field once"),
        ("{path}_{emotion}_{speaker}", "no fields"),
    ],
)
def test_a_pattern_that_says_too_little_is_refused(pattern, said, corpus):
    with pytest.raises(SerError, match=said):
        load(corpus("a.wav"), pattern=pattern)


def test_a_folder_without_sound_is_refused(tmp_path):
    for root, said in (
        (None, "data.root=FOLDER"),
        (tmp_path / "x", "no folder"),
        (tmp_path, "no audio"),
    ):
        with pytest.raises(SerError, match=said):
            load(root)


def test_a_field_ends_at_the_sign_that_follows():
    assert fields("a_b/c_1.wav", "{speaker}/{emotion}_*") == {"speaker": "a_b", "emotion": "c"}
    assert fields("a/b/c", "{emotion}/*") is None


def test_a_name_that_is_not_there_brings_its_neighbour(tmp_path):
    (tmp_path / "my_clips").mkdir()
    (tmp_path / "clips.csv").touch()
    (tmp_path / "monday.wav").touch()
    with pytest.raises(SerError, match=r"There is no folder .*my_clip\. Did you mean my_clips\?"):
        ser.load("folder", tmp_path / "my_clip")
    with pytest.raises(SerError, match=r"There is no table .*clip\.csv\. Did you mean clips\.csv"):
        ser.load("table", tmp_path / "clip.csv")
    with pytest.raises(AudioError, match=r"no such file \(Did you mean monday\.wav\?\)"):
        read_file(tmp_path / "munday.wav")
