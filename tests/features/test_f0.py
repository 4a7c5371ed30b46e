"""F0 of tones, of voices whose F0 is known, and of people beside librosa's estimate."""

import librosa
import numpy as np
import pytest

from ser.core.errors import SerError
from ser.data.corpora.synthesis import SR, Manner, Syllable, speak
from ser.features.f0 import contour


def harmonics(f0, sr, *, seconds=0.5, partials=range(1, 9)):
    t = np.arange(int(seconds * sr)) / sr
    y = sum(np.sin(2 * np.pi * k * f0 * t + k) / k for k in partials if k * f0 < sr / 2)
    return (0.1 * y).astype(np.float32)


def cents(found, expected):
    return 1200 * np.log2(found / expected)


@pytest.mark.parametrize("sr", [8000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("f0", [70.0, 123.4, 250.0, 600.0])
def test_f0_of_a_steady_sound_is_within_ten_cents(sr, f0):
    found = contour(harmonics(f0, sr), sr)[5:-5]  # the ends are half zeros
    assert np.abs(cents(found, f0)).max() < 10


def test_f0_is_the_period_though_the_fundamental_is_missing():
    found = contour(harmonics(110.0, 16_000, partials=range(3, 9)), 16_000)[5:-5]
    assert np.abs(cents(found, 110.0)).max() < 10


def test_f0_follows_a_glide_with_frame_i_at_its_hop():
    sr, hop_length = 48_000, 512
    t = np.arange(2 * sr) / sr
    y = np.sin(2 * np.pi * (100 * t + 50 * t**2)).astype(np.float32)  # 100 Hz + 100 Hz a second
    found = contour(y, sr, hop_length=hop_length)
    assert len(found) == 1 + len(y) // hop_length
    times = np.arange(len(found)) * hop_length / sr
    inner = slice(5, -5)
    assert np.abs(cents(found, 100 + 100 * times)[inner]).max() < 25


def test_f0_of_noise_and_silence_is_none():
    noise = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)
    assert np.isnan(contour(noise, 48_000)).mean() > 0.98
    tone = np.r_[harmonics(200.0, 16_000), np.zeros(16_000)].astype(np.float32)
    tone += 1e-6 * np.sin(2 * np.pi * 100 * np.arange(len(tone)) / 16_000, dtype=np.float32)  # hum
    found = contour(tone, 16_000)
    assert not np.isnan(found[5:45]).any()
    assert np.isnan(found[60:]).all()
    assert np.isnan(contour(np.zeros(4000, np.float32), 16_000)).all()


@pytest.mark.parametrize("f0", [90.0, 150.0, 240.0, 380.0])
def test_f0_of_a_synthesised_voice(f0):
    manner = Manner(
        f0=f0, f0_range=0.0, f0_end=0.0, rate=2.0, level=0.0, brightness=0.5, attack=0.05,
        jitter=0.0, shimmer=0.02, breath=0.1, tract=1.0 if f0 < 180 else 1.17,
    )  # fmt: skip
    y = speak([Syllable("", ("a", "i"), 2.0, 1.0)], manner, np.random.default_rng(0))
    found = contour(y.astype(np.float32), SR)
    voiced = found[~np.isnan(found)]
    assert len(voiced) > 50
    assert abs(cents(np.median(voiced), f0)) < 10
    assert (np.abs(cents(voiced, f0)) < 50).mean() > 0.9


def test_f0_does_not_depend_on_the_level_or_on_an_offset():
    y = harmonics(180.0, 16_000)
    found = contour(y, 16_000)
    np.testing.assert_allclose(contour(np.float32(0.001) * y, 16_000), found, rtol=1e-4)
    np.testing.assert_allclose(contour(y + np.float32(0.05), 16_000)[9:-9], found[9:-9], rtol=1e-3)


def test_f0_outside_its_bounds_is_not_given():
    y = harmonics(200.0, 16_000)
    found = contour(y, 16_000, fmin=60, fmax=150)
    assert np.nanmax(found) <= 150
    with pytest.raises(SerError, match="fmax=800"):
        contour(y, 2000)


@pytest.mark.ravdess
def test_f0_of_people_is_near_librosas(ravdess_root):
    from ser.data.audio import read_audio
    from ser.data.corpora import ravdess

    paths = ravdess.load(ravdess_root, download=False)["path"]
    both = octave_errors = 0
    for path in paths[::60]:
        y, sr = read_audio(path)
        found = contour(y, sr)
        thin = librosa.resample(y, orig_sr=sr, target_sr=sr // 3)
        expected, voiced, _ = librosa.pyin(
            thin, sr=sr // 3, fmin=60, fmax=800, frame_length=1024, hop_length=160
        )
        n = min(len(found), len(expected))
        agree = voiced[:n] & ~np.isnan(found[:n])
        difference = np.abs(cents(found[:n][agree], expected[:n][agree]))
        both += agree.sum()
        octave_errors += (difference > 1200 * np.log2(1.2)).sum()
        assert np.median(difference) < 30, path
    assert both > 2000
    assert octave_errors / both < 0.03
