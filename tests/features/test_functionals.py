"""Functionals and the descriptors under them: against librosa and SciPy, and worked by hand."""

import librosa
import numpy as np
import pytest
import scipy.stats

from ser.core.errors import SerError
from ser.data.audio import read_audio, read_file
from ser.features import descriptors, spectrum
from ser.features.functionals import FUNCTIONALS, FunctionalFeatures, functionals

SR = 16_000
RNG = np.random.default_rng(0)


def voice(seconds, *, f0=180.0, sr=SR):
    """A harmonic tone that falls by a fifth, with a syllable's swell four times a second."""
    t = np.arange(int(seconds * sr)) / sr
    phase = 2 * np.pi * f0 * (t - t**2 / (6 * seconds))
    tone = sum(np.sin(k * phase) / k for k in range(1, 12))
    return (0.1 * tone * (1.2 - np.cos(2 * np.pi * 4 * t))).astype(np.float32)


def named(y, sr=SR, **settings):
    features = FunctionalFeatures(**settings)
    return dict(zip(features.names, features(y, sr), strict=True))


def test_shape_of_the_spectrum_equals_librosa():
    y = np.concatenate([voice(0.5), RNG.normal(0, 0.05, 6000).astype(np.float32)])
    power = np.square(spectrum.magnitude_spectrum(spectrum.frame(y, n_fft=640, hop_length=160)))
    found = descriptors.shape(power, sr=SR)
    S = power.T.astype(float) + spectrum.MIN_POWER
    expected = {
        "centroid": librosa.feature.spectral_centroid(S=S, sr=SR),
        "bandwidth": librosa.feature.spectral_bandwidth(S=S, sr=SR),
        "rolloff_85": librosa.feature.spectral_rolloff(S=S, sr=SR, roll_percent=0.85),
        "flatness": 10 * np.log10(librosa.feature.spectral_flatness(S=S, power=1.0)),
    }
    for name, values in expected.items():
        # A float32 sum can fall on the other side of a rolloff's share: one bin is 25 Hz.
        atol = 25.1 if name == "rolloff_85" else 0.05
        np.testing.assert_allclose(found[name], values[0], rtol=1e-3, atol=atol, err_msg=name)
    assert (found["rolloff_85"] == expected["rolloff_85"][0]).mean() > 0.95


def test_delta_equals_librosa():
    values = RNG.normal(size=(50, 3)).astype(np.float32)
    expected = librosa.feature.delta(values.T, mode="nearest").T
    inner = slice(4, -4)  # at the ends librosa fits, or pads, in its own way
    np.testing.assert_allclose(descriptors.delta(values)[inner], expected[inner], atol=1e-5)


def test_zero_crossings_and_contrast_by_hand():
    t = np.arange(SR) / SR
    frames = np.sin(2 * np.pi * 1000 * t + 0.1).astype(np.float32).reshape(-1, 1600)
    np.testing.assert_allclose(descriptors.zero_crossings(frames), 200 / 1599, atol=2e-3)

    power = np.ones((1, 321), np.float32)  # 25 Hz a bin
    power[0, 20] = 1000  # 500 Hz: in the octave from 400 Hz
    np.testing.assert_allclose(
        descriptors.contrast(power, sr=SR), [[0, 0, 30, 0, 0, 0, 0]], atol=1e-4
    )


def test_tilt_by_hand():
    frequencies = np.arange(321) * 25
    power = np.float32(10 ** (-frequencies / 1000))[None]  # falls by 10 dB a kHz
    found = descriptors.tilt(power, sr=SR)
    assert found["slope_low"] == pytest.approx(-10, abs=0.01)
    assert found["slope_high"] == pytest.approx(-10, abs=0.01)
    assert found["hammarberg"] == pytest.approx(20, abs=0.01)


def test_functionals_equal_scipy():
    values = RNG.gamma(2, size=(201, 4)).astype(np.float32)
    first = RNG.normal(size=values.shape).astype(np.float32)
    found = dict(zip(FUNCTIONALS, functionals(values, first, 3 * first), strict=True))
    line = np.polyfit(np.linspace(-0.5, 0.5, 201), values, 1)[0]
    parabola = np.polyfit(np.linspace(-0.5, 0.5, 201), values, 2)[0]
    expected = {
        "mean": values.mean(0),
        "std": values.std(0),
        "p25": np.percentile(values, 25, axis=0),
        "range": np.percentile(values, 95, axis=0) - np.percentile(values, 5, axis=0),
        "slope": line,
        "curvature": parabola,
        "skewness": scipy.stats.skew(values),
        "kurtosis": scipy.stats.kurtosis(values, fisher=False),
        "second_third": values[67:134].mean(0),
        "delta_mean": np.abs(first).mean(0),
        "delta_p95": np.percentile(first, 95, axis=0),
        "delta_delta_std": 3 * first.std(0),
    }
    for name, numbers in expected.items():
        np.testing.assert_allclose(found[name], numbers, rtol=1e-3, atol=1e-4, err_msg=name)


def test_gain_moves_levels_alone():
    loud, quiet = named(voice(1.0)), named(0.5 * voice(1.0))
    assert quiet["sounding.level.mean"] - loud["sounding.level.mean"] == pytest.approx(
        -6.02, abs=0.01
    )
    for name in (
        "voiced.f0.p50",
        "voiced.f0.slope",
        "sounding.centroid.mean",
        "jitter_mean",
        "sounding.level.range",
        "level_peaks_per_second",
        "modulation_3_5",
    ):
        assert quiet[name] == pytest.approx(loud[name], rel=1e-3, abs=1e-3), name


def test_what_a_person_would_say_of_the_clip():
    found = named(voice(2.0))
    assert found["level_peaks_per_second"] == pytest.approx(4, abs=0.6)
    assert found["modulation_3_5"] > found["modulation_8_12"] + 1
    assert found["voiced.f0.slope"] == pytest.approx(12 * np.log2(2 / 3), abs=0.7)
    assert found["voiced.f0.first_third"] > found["voiced.f0.last_third"]
    assert found["voiced_share"] > 0.9


def test_pauses_are_counted_and_measured():
    syllable, pause = voice(0.4), np.zeros(int(0.3 * SR), np.float32)
    found = named(np.concatenate([pause, syllable, pause, syllable, pause, syllable, pause]))
    duration = found["duration"]
    assert duration == pytest.approx(1.8, abs=0.15)  # the silence around is gone
    assert found["voiced_segments_per_second"] * duration == pytest.approx(3)
    assert found["pauses_per_second"] * duration == pytest.approx(4)  # two, and the trim's margins
    assert found["pause_max"] == pytest.approx(0.3, abs=0.06)


def test_a_clip_is_the_same_at_another_rate_and_in_more_silence():
    reference = named(voice(1.0, sr=48_000), 48_000)
    other = named(voice(1.0, sr=32_000), 32_000)
    around = np.zeros(24_000, np.float32)
    padded = named(np.concatenate([around, voice(1.0, sr=48_000), around]), 48_000)
    for name in (
        "voiced.f0.p50",
        "sounding.level.p50",
        "sounding.mfcc_01.mean",
        "voiced.centroid.p50",
    ):
        assert other[name] == pytest.approx(reference[name], rel=0.02, abs=0.05), name
        assert padded[name] == pytest.approx(reference[name], rel=0.02, abs=0.05), name


@pytest.mark.parametrize(
    "y",
    [
        np.zeros(16_000, np.float32),
        np.zeros(2, np.float32),
        np.eye(1, 4000, 2000, dtype=np.float32)[0],
        RNG.normal(0, 0.1, 5000).astype(np.float32),
        np.full(8000, 0.5, np.float32),
        np.concatenate([voice(9.0), voice(9.0)]),
    ],
    ids=["silence", "two samples", "click", "noise", "DC", "18 s"],
)
@pytest.mark.parametrize("sr", [8000, 16_000, 48_000])
def test_every_sound_has_a_finite_vector(y, sr):
    features = FunctionalFeatures()
    vector = features(y, sr)
    assert vector.shape == (len(features.names),)
    assert len(set(features.names)) == len(features.names)
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()


@pytest.mark.parametrize("settings", [{"n_mfcc": 41}, {"fmax": 9000.0}, {"hop": 0.1}, {"sr": 100}])
def test_functionals_refuse_a_setting(settings):
    with pytest.raises(SerError, match=next(iter(settings))):
        FunctionalFeatures(**settings)


@pytest.mark.ravdess
def test_f0_of_real_voices_is_a_womans_or_a_mans(ravdess_root):
    for actor, low, high in ((1, 80, 220), (2, 150, 400)):
        clips = sorted((ravdess_root / f"Actor_{actor:02d}").glob("03-01-01-*.wav"))
        semitones = [
            named(*read_audio(read_file(clip), name=str(clip)))["voiced.f0.p50"] for clip in clips
        ]
        assert len(clips) == 4
        assert low < 55 * 2 ** (np.median(semitones) / 12) < high
