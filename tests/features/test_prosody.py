"""Level, silence, clipping and the prosodic vector, against librosa and worked by hand."""

import librosa
import numpy as np
import pytest

from ser.core.errors import SerError
from ser.features import level, spectrum
from ser.features.prosody import NAMES, ProsodyFeatures

SR = 16_000


def tone(seconds, *, f0=200.0, amplitude=0.5):
    t = np.arange(int(seconds * SR)) / SR
    return (amplitude * np.sin(2 * np.pi * f0 * t)).astype(np.float32)


def values(y, sr=SR, **settings):
    prosody = ProsodyFeatures(**settings)
    return dict(zip(prosody.names, prosody(y, sr), strict=True))


def test_levels_equal_librosa():
    y = np.random.default_rng(0).normal(0, 0.1, 20_001).astype(np.float32)
    y[5000:9000] = 0
    frames = spectrum.frame(y, n_fft=2048, hop_length=512)
    rms = librosa.feature.rms(y=y)[0]
    expected = 20 * np.log10(np.maximum(rms, 1e-5))
    np.testing.assert_allclose(level.levels(frames), expected, atol=1e-3)


def test_clipped_counts_runs_of_one_sign_at_full_scale():
    y = np.zeros(40, np.float32)
    y[3] = y[5] = 1.0  # single peaks
    y[10:12] = 1.0  # two in a row
    y[20:23] = 1.0
    y[23:27] = -1.0
    y[38:] = 1.0
    assert np.flatnonzero(level.clipped(y)).tolist() == [20, 21, 22, 23, 24, 25, 26]
    assert not level.clipped(0.9 * y).any()


def test_prosody_of_a_tone_between_silences():
    y = np.r_[np.zeros(int(0.5 * SR)), tone(1.0), np.zeros(int(0.25 * SR))].astype(np.float32)
    found = values(y)
    assert found["duration"] == pytest.approx(1.75)
    assert found["f0_median"] == pytest.approx(200, rel=1e-3)
    assert found["f0_range"] < 0.5
    assert found["energy_mean"] == pytest.approx(-9.03, abs=0.2)  # a sine: 3 dB below its peak
    assert found["energy_peak"] == pytest.approx(-6.02, abs=0.01)
    assert found["silence_start"] == pytest.approx(0.5, abs=0.03)
    assert found["silence_end"] == pytest.approx(0.25, abs=0.03)
    assert found["silence_share"] == pytest.approx(0.75 / 1.75, abs=0.03)
    assert found["voiced_share"] > 0.9
    assert found["clipping_share"] == 0


def test_prosody_of_a_louder_clip_differs_in_its_levels_alone():
    y = np.random.default_rng(0).normal(0, 0.002, 2 * SR).astype(np.float32)
    y[SR // 2 : SR] += tone(0.5, amplitude=0.2)
    softer, louder = values(y), values(2 * y)
    for name in NAMES:
        change = 6.02 if name in ("energy_mean", "energy_peak") else 0
        assert louder[name] - softer[name] == pytest.approx(change, abs=0.01), name


def test_prosody_without_a_voice_is_finite():
    noise = np.random.default_rng(0).normal(0, 0.1, 500).astype(np.float32)
    for y in (noise, np.eye(1, 3000, 1500, dtype=np.float32)[0]):
        found = values(y)
        assert np.isfinite(list(found.values())).all()
        assert found["f0_median"] == found["f0_range"] == found["voiced_share"] == 0


def test_prosody_clipping_share():
    y = np.clip(tone(1.0, amplitude=2.0), -1, 1)
    # |sin| > 1/2 in two thirds of a period.
    assert values(y)["clipping_share"] == pytest.approx(2 / 3, abs=0.02)


@pytest.mark.parametrize(
    "settings", [{"fmin": 5}, {"fmin": 400, "fmax": 300}, {"threshold": 1.0}, {"hop": 0}]
)
def test_prosody_settings_out_of_bounds_are_named(settings):
    with pytest.raises(SerError, match=next(iter(settings))):
        ProsodyFeatures(**settings)


def test_prosody_contours_share_their_frames():
    y = tone(0.7)
    prosody = ProsodyFeatures(hop=0.02)
    energy, f0 = prosody.contours(y, SR)
    times = prosody.times(len(energy), SR)
    assert len(energy) == len(f0) == len(times)
    assert times[-1] == pytest.approx(0.7, abs=0.02)
