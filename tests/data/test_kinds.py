"""Clips of several kinds: what is said of rates, and which labels the recording tells."""

import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.core.errors import SerError
from ser.data import kinds
from ser.data.dataset import Dataset
from ser.data.told import OF_THE_SOUND, told_table
from ser.features.augmentation import Augmentation
from ser.features.functionals import FunctionalFeatures
from ser.features.logmel import LogMelFeatures
from ser.features.notebook import NotebookFeatures
from ser.features.opensmile import OpensmileFeatures
from ser.features.prosody import ProsodyFeatures
from ser.features.resampling import at_one_rate, rates_of, resample
from ser.features.union import UnionFeatures
from ser.train.build import extract_features

EMOTIONS = ("angry", "calm", "happy", "neutral", "sad")
RNG = np.random.default_rng(0)


def corpus(n_actors=6, n_clips=8, emotions=EMOTIONS, **facts):
    """Clips alike in all but chance; `facts` are functions of emotion and actor (arrays)."""
    clips = pd.DataFrame(
        [(a, e) for a in range(n_actors) for e in emotions for _ in range(n_clips)],
        columns=["actor", "emotion"],
    )
    n = len(clips)
    recordings = pd.DataFrame({"sr": 48_000, "channels": 1, "subtype": "PCM_16"}, index=range(n))
    for name in OF_THE_SOUND:
        recordings[name] = RNG.normal(size=n)
    emotion, actor = clips["emotion"].to_numpy(str), clips["actor"].to_numpy()
    for name, value in facts.items():
        recordings[name] = value(emotion, actor, recordings[name].to_numpy())
    return Dataset(clips, recordings=recordings)


def warned(data, parts=None, grouped=True):
    return "\n".join(kinds.warnings(data, parts, grouped=grouped))


def test_recordings_of_one_kind_and_of_kinds_at_random_are_not_warned_of():
    assert warned(corpus()) == ""
    assert warned(corpus(sr=lambda e, a, _: RNG.choice([16_000, 48_000], len(e)))) == ""
    few = corpus(24, channels=lambda e, a, _: 1 + (np.arange(len(e)) < 5))  # of 960, as in RAVDESS
    assert warned(few) == ""


@pytest.mark.parametrize(
    ("fact", "values", "said"),
    [
        ("sr", (48_000, 16_000), "emotion, 16000 Hz: sad 48"),
        ("channels", (1, 2), "emotion, 2 channels: sad 48"),
        ("subtype", ("PCM_16", "PCM_24"), "emotion, PCM_24: sad 48"),
    ],
)
def test_what_the_file_tells_of_an_emotion_is_warned_of_with_the_counts(fact, values, said):
    data = corpus(**{fact: lambda e, a, _: np.where(e == "sad", values[1], values[0])})
    assert said in warned(data)
    assert "angry 48, calm 48, happy 48, neutral 48" in warned(data)
    twin = Dataset(data.clips.assign(corpus=np.where(data.labels == "sad", "a", "b")))
    assert warned(Dataset(twin.clips, recordings=data.recordings)) == ""  # two corpora, one each


def test_what_the_file_tells_of_speakers_and_partitions_is_warned_of():
    data = corpus(sr=lambda e, a, _: np.where(a < 2, 16_000, 48_000))
    text = warned(data)
    assert "goes along with speaker:" in text and "speaker, 16000 Hz: 0 40, 1 40" in text
    parts = np.where(data.groups < 2, "test", "train")
    assert "along with speaker and partition" in warned(data, parts)


@pytest.mark.parametrize("fact", OF_THE_SOUND)
def test_what_the_sound_tells_of_one_or_several_emotions_is_warned_of(fact):
    name = fact.replace("_", " ")
    one = corpus(**{fact: lambda e, a, v: v + 9 * (e == "sad")})
    assert f"The {name} is" in warned(one) and "or more in sad, and less" in warned(one)
    some = corpus(**{fact: lambda e, a, v: v + 9 * np.isin(e, ["sad", "calm"])})
    assert "or more in calm, sad, and less" in warned(some)
    cut = corpus(**{fact: lambda e, a, v: np.where(e == "sad", 0.1, v)})
    assert "alone tell sad" in warned(cut)
    a_cue = corpus(**{fact: lambda e, a, v: v + 1.5 * (e == "sad")})
    assert warned(a_cue) == ""


def test_told_table_has_a_row_for_each_fact_that_differs():
    data = corpus(subtype=lambda e, a, _: np.where(e == "sad", "VORBIS", "PCM_16"))
    table = told_table(data.recordings, data.labels, data.groups).set_index("fact")
    assert table.index.tolist() == ["subtype", *OF_THE_SOUND, "all"]
    assert table.loc["subtype", "uar"] == pytest.approx(0.4)  # sad, and one of the other four
    assert table["chance"].eq(0.2).all() and table.loc["all", "p"] == pytest.approx(1 / 25)
    assert (
        told_table(data.recordings.assign(subtype="PCM_16"), data.labels, data.groups)
        .set_index("fact")
        .loc["all", "p"]
        > 0.05
    )


def test_every_feature_set_resamples_clips_of_several_rates_to_the_lowest():
    y = resample(RNG.normal(0, 0.1, 48_000).astype(np.float32), 16_000, 48_000)
    for plain in (NotebookFeatures(), ProsodyFeatures()):
        assert at_one_rate(plain, [48_000]) == plain and rates_of(plain) == {None}
        lowest = at_one_rate(plain, [16_000, 48_000])
        assert rates_of(lowest) == {16_000}
        expected = plain(resample(y, 48_000, 16_000), 16_000)
        np.testing.assert_array_equal(lowest(y, 48_000), expected)
    assert rates_of(at_one_rate(OpensmileFeatures(set="eGeMAPSv02"), [8000, 16_000])) == {8000}
    assert at_one_rate(NotebookFeatures(sr=22_050), [8000, 16_000]).sr == 22_050
    for own in (FunctionalFeatures(), LogMelFeatures()):
        assert at_one_rate(own, [8000, 48_000]) == own
    union = UnionFeatures(sets={"a": NotebookFeatures(), "b": FunctionalFeatures()})
    assert rates_of(at_one_rate(union, [8000, 48_000])) == {8000, 16_000}
    (copy,) = Augmentation(copies=1, speed=(0.9, 1.1), seed=1).of(NotebookFeatures())
    with pytest.raises(SerError, match=r"16000, 48000 Hz.*AugmentedFeatures.*no setting sr"):
        at_one_rate(copy, [48_000, 16_000])  # as any set without the setting


def test_rates_said_names_them_and_warns_of_a_rate_that_is_too_high():
    data = corpus(sr=lambda e, a, _: np.where(a < 2, 16_000, 48_000))
    said = kinds.rates_said(data, 16_000)
    assert said == (
        "Sampling rates: 48000 Hz (160 clips), 16000 Hz (80 clips); all are resampled to 16000 Hz."
    )
    assert "nothing above 8000 Hz" in kinds.rates_said(data, 44_100)
    assert kinds.rates_said(corpus(), 16_000) is None


@pytest.mark.parametrize("left_out", ["skipped", "dropped"])
def test_the_lowest_rate_is_that_of_the_clips_that_are_used(write_tone, tmp_path, left_out):
    paths = [write_tone(f"{i}.wav", frequency=200 + 50 * i) for i in range(3)]
    paths.append(write_tone("lower.wav", sr=8000))
    if left_out == "skipped":
        soundfile.write(paths[3], np.zeros(4000), 8000)  # silent
    else:
        paths.append(str(shutil.copy(paths[3], tmp_path / "under-another-emotion.wav")))
    emotions = ["happy", "sad", "happy", "sad", "happy"][: len(paths)]
    clips = pd.DataFrame({"path": paths, "emotion": emotions, "actor": 1})
    settings = {"store": tmp_path / "f.sqlite", "on_error": "skip", "n_jobs": 1}
    data, said = Dataset(clips, duplicates="drop"), []
    used, errors = extract_features(data, ProsodyFeatures(), None, say=said.append, **settings)
    assert used.clips["path"].tolist() == paths[:3]
    assert used.feature_set == ProsodyFeatures()  # each clip at its own rate, as all have one
    assert (list(errors), len(said)) == ((paths[3:], 0) if left_out == "skipped" else ([], 1))
