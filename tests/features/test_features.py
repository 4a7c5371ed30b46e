"""The 180 features are librosa's, clip by clip, and switch off by group."""

import os
import subprocess
import sys

import librosa
import numpy as np
import pytest

from ser.core.errors import SerError
from ser.features import filters, settings, spectrum
from ser.features.chroma_tuning import estimate_tuning
from ser.features.notebook import NotebookFeatures
from ser.features.resampling import resample, resample_blocks


def tutorial_features(y, sr):
    """The tutorial's way: three public librosa calls."""
    stft = np.abs(librosa.stft(y))
    chroma = librosa.feature.chroma_stft(S=stft, sr=sr)
    mel = librosa.feature.melspectrogram(y=y, sr=sr, n_mels=128, fmax=8000)
    mfcc = librosa.feature.mfcc(y=y, sr=sr, n_mfcc=40)
    return np.concatenate([part.mean(axis=1) for part in (chroma, mel, mfcc)])


def sounds():
    rng = np.random.default_rng(0)
    t = np.arange(24_000) / 48_000
    glide = np.sin(2 * np.pi * (200 * t + 150 * t**2)) * np.exp(-2 * t)
    return {
        "glide": glide,
        "noise": rng.normal(0, 0.1, 30_001),
        "half silent": np.r_[np.zeros(20_000), 0.3 * glide],
        "one frame": rng.normal(0, 0.1, 2048),
        "click": np.r_[np.zeros(5000), 1.0, np.zeros(5000)],
        "faint": 1e-5 * glide,
    }


@pytest.mark.parametrize("name", sounds())
@pytest.mark.parametrize("sr", [16_000, 48_000])
def test_notebook_features_equal_librosa(name, sr):
    y = sounds()[name].astype(np.float32)
    expected = tutorial_features(y, sr)
    np.testing.assert_allclose(NotebookFeatures()(y, sr), expected, rtol=1e-3, atol=1e-3)


def test_notebook_features_low_rate_equal_librosa():
    # At 4 kHz the upper mel bands and half of the tuning range lie past sr/2.
    y = sounds()["glide"].astype(np.float32)
    with pytest.warns(UserWarning, match="Empty filters"):
        expected = tutorial_features(y, 4000)
    np.testing.assert_allclose(NotebookFeatures()(y, 4000), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", sounds())
def test_tuning_equals_librosa_though_the_spectrum_is_single_precision(name):
    rng = np.random.default_rng(1)
    noisy = sounds()[name] + rng.integers(-1, 2, len(sounds()[name])) / 2**15  # level bins abound
    y = np.concatenate([noisy, np.zeros(3000), np.eye(1, 3000).ravel()]).astype(np.float32)
    frames = spectrum.frame(y, n_fft=2048, hop_length=512)
    magnitude = spectrum.magnitude_spectrum(frames)
    exact = np.abs(librosa.stft(y))
    assert np.abs(magnitude.T - exact).max() < 1e-6 * exact.max()
    assert not np.array_equal(magnitude.T, exact)
    tuning = estimate_tuning(magnitude, frames, sr=48_000)
    assert tuning == librosa.estimate_tuning(S=exact, sr=48_000)


@pytest.mark.parametrize("name", sounds())
@pytest.mark.parametrize("sr", [16_000, 48_000])
def test_every_frame_equals_librosa(name, sr):
    y = sounds()[name].astype(np.float32)
    frames = spectrum.frame(y, n_fft=2048, hop_length=512)
    magnitude = spectrum.magnitude_spectrum(frames)
    stft = np.abs(librosa.stft(y))
    mel = librosa.feature.melspectrogram(y=y, sr=sr)
    close = {"rtol": 1e-3, "atol": 1e-3}
    ours = spectrum.decibels(np.square(magnitude)).T
    np.testing.assert_allclose(ours, librosa.power_to_db(stft**2), **close)
    ours = spectrum.decibels(spectrum.mel_frames(magnitude, sr=sr)).T
    np.testing.assert_allclose(ours, librosa.power_to_db(mel), **close)
    ours = spectrum.mfcc_frames(magnitude, sr=sr).T
    np.testing.assert_allclose(ours, librosa.feature.mfcc(y=y, sr=sr), **close)
    ours = spectrum.chroma_frames(magnitude, frames, sr=sr).T
    np.testing.assert_allclose(ours, librosa.feature.chroma_stft(S=stft, sr=sr), **close)


def test_decibels_of_two_clips_on_one_scale():
    loud, soft = np.array([1.0, 1e-3], np.float32), np.array([1e-2, 1e-12], np.float32)
    np.testing.assert_allclose(spectrum.decibels(loud, reference=1.0), [0, -30], atol=1e-4)
    np.testing.assert_allclose(spectrum.decibels(soft, reference=1.0), [-20, -100], atol=1e-4)


@pytest.mark.parametrize(
    ("sr", "n_fft", "n_mels", "fmax"), [(48_000, 2048, 128, 8000), (22_050, 512, 40, 900)]
)
def test_filter_banks_equal_librosa(sr, n_fft, n_mels, fmax):
    np.testing.assert_allclose(
        filters.mel_bank(sr, n_fft, n_mels, fmax),
        librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels, fmax=fmax),
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        filters.mel_frequencies(n_mels, fmax),
        librosa.mel_frequencies(n_mels, fmin=0, fmax=fmax),
        rtol=1e-9,
    )
    for tuning in (-0.37, 0.0, 0.12):
        np.testing.assert_allclose(
            filters.chroma_bank(sr, n_fft, tuning),
            librosa.filters.chroma(sr=sr, n_fft=n_fft, tuning=tuning),
            rtol=1e-6,
        )


def test_extraction_loads_no_librosa():
    # Workers that load it at once in a fresh environment break its compiled cache (filters.py).
    code = """if True:
        import sys
        import numpy as np
        import ser.features.store
        from ser.features.notebook import NotebookFeatures

        NotebookFeatures()(np.ones(4096, np.float32), 16_000)
        print(*{"librosa", "numba", "scipy.signal", "sklearn", "mlflow"} & set(sys.modules))
    """
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout.strip()) == (0, ""), result.stderr


def test_names_groups_in_order():
    names = NotebookFeatures().names
    assert len(names) == len(set(names)) == 180
    assert (names[0], names[12], names[29], names[140]) == (
        "chroma_c",
        "mel_000",
        "mel_017",
        "mfcc_00",
    )


@pytest.mark.parametrize(
    ("off", "kept"),
    [
        ({"chroma": False}, slice(12, 180)),
        ({"n_mels": 0}, np.r_[0:12, 140:180]),
        ({"n_mfcc": 20}, slice(0, 160)),
    ],
)
def test_switched_groups_are_columns_of_the_whole(off, kept):
    y = sounds()["glide"].astype(np.float32)
    whole = NotebookFeatures()
    part = NotebookFeatures(**off)
    assert part.names == tuple(np.array(whole.names)[kept])
    np.testing.assert_array_equal(part(y, 48_000), whole(y, 48_000)[kept])


@pytest.mark.parametrize(
    "settings",
    [
        {"n_mfcc": 200},
        {"n_mels": -1},
        {"n_fft": 1023},
        {"hop_length": 0},
        {"chroma": False, "n_mels": 0, "n_mfcc": 0},
    ],
)
def test_settings_out_of_bounds_are_named(settings):
    with pytest.raises(SerError, match="|".join([*settings, "groups"])):
        NotebookFeatures(**settings)


@pytest.mark.ravdess
def test_notebook_features_equal_reference_on_every_clip(ravdess_root, tmp_path):
    from ser.data.corpora import ravdess
    from ser.features.store import extract

    reference = os.environ.get("SER_REFERENCE_FEATURES")
    if not reference:
        pytest.skip("SER_REFERENCE_FEATURES names no file with the tutorial's features")
    with np.load(reference) as data:
        names, expected = data["clip"], data["X"]
    clips = ravdess.load(ravdess_root, download=False)
    assert [p.rsplit("/", 1)[1][:-4] for p in map(str, names)] == [
        p.rsplit("/", 1)[1].rsplit(".", 1)[0] for p in clips["path"]
    ]
    X = extract(clips["path"].tolist(), NotebookFeatures(), store=tmp_path / "s.sqlite").X
    np.testing.assert_allclose(X, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("sr", "wanted"), [(48_000, 16_000), (24_414, 16_000), (16_000, 44_100)])
def test_resample_gives_the_tone_that_another_rate_would_have_caught(sr, wanted):
    def tone(rate):
        t = np.arange(rate // 2) / rate
        return (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)

    y = resample(tone(sr), sr, wanted)
    assert y.dtype == np.float32 and abs(len(y) - wanted // 2) <= 1
    inside = slice(wanted // 20, wanted // 2 - wanted // 20)  # edges ring
    np.testing.assert_allclose(y[inside], tone(wanted)[inside], atol=2e-3)


@pytest.mark.parametrize(
    ("sr", "target_sr"),
    [(48_000, 16_000), (44_100, 16_000), (24_414, 8000), (192_000, 44_100), (8000, 48_000)],
)
def test_resample_keeps_what_the_lower_rate_can_hold_and_nothing_else(sr, target_sr):
    t = np.arange(sr // 2) / sr
    half = min(sr, target_sr) / 2
    above = np.linspace(1.001, sr / 2 / half - 0.001, 12) if sr > target_sr else ()
    for share in (*np.linspace(0.02, 0.91, 12), *above):
        tone = np.sin(2 * np.pi * share * half * t + 1).astype(np.float32)
        y = resample(tone, sr, target_sr).astype(np.float64)
        inside = y[len(y) // 10 : -len(y) // 10]  # edges ring
        gain = 10 * np.log10(2 * np.mean(inside**2) + 1e-15)  # dB
        if share < 1:
            assert abs(gain) < 0.5, share
        else:
            assert gain < -100, share


def test_notebook_features_at_one_rate_do_not_depend_on_the_files():
    rng = np.random.default_rng(0)
    low = np.convolve(rng.normal(0, 0.1, 16_000), np.hanning(9) / 5, "same").astype(np.float32)
    high = resample(low, 16_000, 48_000)
    own, same = NotebookFeatures(chroma=False), NotebookFeatures(chroma=False, sr=16_000)
    np.testing.assert_array_equal(same(low, 16_000), own(low, 16_000))
    mfcc = [name.startswith("mfcc") for name in own.names]
    apart = np.abs(own(high, 48_000) - own(low, 16_000))[mfcc].max()
    close = np.abs(same(high, 48_000) - same(low, 16_000))[mfcc].max()
    assert apart > 100 and close < 2


def test_settings_know_the_rate_and_are_as_before_without_one():
    assert "sr" not in settings(NotebookFeatures())  # or every store would be void
    assert settings(NotebookFeatures(sr=16_000))["sr"] == 16_000


@pytest.mark.parametrize("sr", [10, 16_000.5, "16k"])
def test_notebook_features_refuse_a_rate(sr):
    with pytest.raises(SerError, match=r"features\.sr"):
        NotebookFeatures(sr=sr)


@pytest.mark.parametrize(("sr", "target_sr"), [(48_000, 16_000), (44_100, 16_000), (9001, 9000)])
def test_resampled_in_blocks_it_is_what_it_is_as_a_whole(sr, target_sr):
    rng = np.random.default_rng(0)
    y = rng.normal(size=100_003).astype(np.float32)
    blocks = np.split(y, [1, 40_000, 40_000, 99_999])
    parts = np.concatenate(list(resample_blocks(blocks, sr, target_sr)))
    np.testing.assert_array_equal(parts, resample(y, sr, target_sr))
