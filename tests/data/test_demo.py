"""The demo corpus: RAVDESS's shape, the same every time, and voices that do what the table says."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.core.errors import SerError
from ser.data.corpora import EMOTIONS, demo
from ser.data.corpora.synthesis import SR


def clips_of(*, emotion="neutral", intensity=1, actors=(1,), statement=1):
    code = EMOTIONS.index(emotion) + 1
    for actor in actors:
        for repetition in (1, 2):
            name = f"03-01-{code:02d}-{intensity:02d}-{statement:02d}-{repetition:02d}-{actor:02d}"
            yield demo.synthesise(name)


def median_f0(y, sr=SR):
    """Median over the louder frames of the lag at which a frame is most like itself, in Hz."""
    frames = np.lib.stride_tricks.sliding_window_view(y, 2048)[::512]
    rms = np.sqrt((frames**2).mean(axis=1))
    loud = frames[rms > 0.3 * rms.max()]
    spectrum = np.fft.rfft(loud - loud.mean(axis=1, keepdims=True), 4096)
    similarity = np.fft.irfft(np.abs(spectrum) ** 2)
    shortest, longest = sr // 700, sr // 60
    lag = shortest + similarity[:, shortest:longest].argmax(axis=1)
    return np.median(sr / lag)


def level(y):
    return 20 * np.log10(np.sqrt(np.mean(y**2)))


def test_load_is_shaped_as_ravdess(demo_root):
    clips = demo.load(demo_root, speakers=4)
    assert len(clips) == 4 * 60
    assert clips["emotion"].value_counts().to_dict() == {
        emotion: 16 if emotion == "neutral" else 32 for emotion in EMOTIONS
    }
    assert clips.groupby("actor")["gender"].first().to_dict() == {
        1: "male",
        2: "female",
        3: "male",
        4: "female",
    }
    assert clips["path"].is_monotonic_increasing
    assert (clips["sr"] == SR).all()
    assert clips["duration"].between(0.8, 5).all()
    info = soundfile.info(clips["path"][0])
    assert (info.channels, info.subtype) == (1, "PCM_16")


def test_load_clips_do_not_depend_on_how_many_speakers(demo_root, tmp_path):
    clips = demo.load(tmp_path, speakers=1)
    for path in map(Path, clips["path"]):
        assert path.read_bytes() == (demo_root / path.relative_to(tmp_path)).read_bytes()


def test_load_writes_once_and_continues_after_a_kill(tmp_path):
    paths = [Path(path) for path in demo.load(tmp_path, speakers=1)["path"]]
    before = {path: path.stat().st_mtime_ns for path in paths}
    lost = paths[10].read_bytes()
    paths[10].unlink()
    paths[10].with_suffix(".99.part").write_bytes(lost[:1000])  # what a kill leaves
    assert len(demo.load(tmp_path, speakers=1)) == 60
    assert paths[10].read_bytes() == lost
    del before[paths[10]]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_load_refuses_other_versions_and_other_folders(tmp_path):
    (tmp_path / "DEMO_VERSION").write_text("0\n")
    with pytest.raises(SerError, match="version 0"):
        demo.load(tmp_path, speakers=1)
    (tmp_path / "DEMO_VERSION").rename(tmp_path / "thesis.txt")
    with pytest.raises(SerError, match="not empty"):
        demo.load(tmp_path, speakers=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(SerError, match="cannot be written"):
        demo.load(tmp_path / "file" / "demo", speakers=1)


@pytest.mark.parametrize("speakers", [0, 25])
def test_load_speakers_out_of_bounds(tmp_path, speakers):
    with pytest.raises(SerError, match=r"data\.speakers"):
        demo.load(tmp_path, speakers=speakers)


def test_synthesise_is_sound(demo_root):
    for path in demo.load(demo_root, speakers=4)["path"]:
        y, _ = soundfile.read(path)
        assert 0.001 < np.sqrt(np.mean(y**2)) < 0.4
        assert np.mean(np.abs(y) > 0.98) < 0.001


def test_synthesise_women_speak_higher_than_men():
    men = [median_f0(y) for y in clips_of(actors=(1, 3, 5, 7, 9))]
    women = [median_f0(y) for y in clips_of(actors=(2, 4, 6, 8, 10))]
    assert 80 < np.median(men) < 160 < np.median(women) < 280


@pytest.mark.slow
def test_synthesise_emotions_move_the_cues_as_the_table_says():
    # Speakers differ in how they use a cue, so the direction is one of many speakers.
    everyone = range(1, 13)
    f0, loudness, duration = {}, {}, {}
    for emotion in ("neutral", "happy", "sad", "angry", "fearful"):
        strong = 1 if emotion == "neutral" else 2
        ys = list(clips_of(emotion=emotion, intensity=strong, actors=everyone))
        f0[emotion] = np.mean([np.log2(median_f0(y)) for y in ys])
        loudness[emotion] = np.mean([level(y) for y in ys])
        duration[emotion] = np.mean([len(y) for y in ys])
    assert min(f0["fearful"], f0["happy"]) > f0["neutral"] + 2 / 12 > f0["sad"]
    assert min(loudness["angry"], loudness["happy"]) > loudness["neutral"] > loudness["sad"]
    assert duration["fearful"] < duration["neutral"] < duration["sad"]


def test_synthesise_statements_differ_and_takes_are_not_the_same():
    one, again = clips_of(statement=1)
    other, _ = clips_of(statement=2)
    assert not np.array_equal(one[:20_000], again[:20_000])
    assert len(one) != len(other)
