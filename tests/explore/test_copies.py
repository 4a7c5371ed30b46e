"""Near-copies are found whatever was done to them, and other takes are not taken for one."""

import numpy as np
import pytest
import soundfile

from ser.data.audio import read_audio
from ser.data.corpora import demo
from ser.explore.copies import near_copies
from ser.features.resampling import resample


def test_near_copies_are_found_and_repetitions_are_not(demo_root, tmp_path):
    clips = demo.load(demo_root, speakers=4)
    own = clips.loc[clips["actor"] == 2, "path"].tolist()[:24]  # with both takes of each line
    y, sr = read_audio(own[5])
    changed = {
        "quiet.wav": (0.5 * y, sr),
        "cut.wav": (y[int(0.2 * sr) + 137 :], sr),
        "low.wav": (resample(y, sr, 16_000), 16_000),
        "coded.mp3": (y, sr),
        "coded.ogg": (y, sr),
        "all.mp3": (0.5 * resample(y, sr, 16_000)[3217:], 16_000),
    }
    for name, (samples, rate) in changed.items():
        soundfile.write(tmp_path / name, samples, rate)
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    made = [str(tmp_path / name) for name in changed]
    found = near_copies([*own, *made, str(tmp_path / "bad.wav")], n_jobs=1)
    assert found.to_dict() == dict.fromkeys(made, own[5])
    assert near_copies(own[:1], n_jobs=1).empty


@pytest.mark.ravdess
def test_near_copies_of_ravdess_are_its_pair(ravdess_root):
    paths = sorted(str(path) for path in ravdess_root.rglob("*.wav"))
    (pair,) = near_copies(paths).items()
    assert {path[-8:-4] for path in pair} == {"1-07", "2-07"}
    assert np.all(["03-01-03-01-02" in path for path in pair])
