"""Augmented copies: that they sound as they should, and that no test clip ever learns from one."""

import numpy as np
import pandas as pd
import pytest
from made import dataset
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from ser.core.errors import SerError
from ser.data.folds import Fold
from ser.evaluation.folds import evaluate_fold
from ser.features import restore, settings, spectrum
from ser.features.augmentation import Augmentation, add_noise, shift_pitch, warp_formants
from ser.features.f0 import contour
from ser.features.functionals import FunctionalFeatures
from ser.features.prosody import ProsodyFeatures
from ser.features.store import extract
from ser.features.union import UnionFeatures
from ser.models.scaling import SpeakerScaler

SR = 16_000


def vowel(seconds=1.0, *, f0=150.0, formant=700.0):
    """Harmonics under one resonance."""
    t = np.arange(int(seconds * SR)) / SR
    partials = np.arange(1, int(7000 / f0)) * f0
    gains = np.exp(-0.5 * ((partials - formant) / 200) ** 2) + 0.003
    return (0.05 * (gains[:, None] * np.sin(2 * np.pi * partials[:, None] * t)).sum(0)).astype("f4")


def formant(y):
    power = np.square(spectrum.magnitude_spectrum(spectrum.frame(y, n_fft=4096, hop_length=512)))
    band = power[5:-5].mean(axis=0)[20:600]
    frequencies = (20 + np.arange(580)) * SR / 4096
    return (band * frequencies).sum() / band.sum()


def f0(y):
    return float(np.nanmedian(contour(y.astype(np.float32), SR)))


def copy_of(y, **ranges):
    return Augmentation(copies=1, **ranges).of(ProsodyFeatures())[0].sound(y, SR)


def test_speed_moves_tempo_and_pitch_together():
    copy = copy_of(vowel(), speed=(1.25, 1.25))
    assert len(copy) == pytest.approx(SR / 1.25, abs=2)
    assert f0(copy) == pytest.approx(150 * 1.25, rel=0.01)


def test_pitch_moves_at_the_same_tempo():
    y = vowel()
    copy = shift_pitch(y, SR, 3.0)
    assert len(copy) == len(y)
    assert f0(copy[2000:-2000]) == pytest.approx(150 * 2 ** (3 / 12), rel=0.01)


def test_vtlp_moves_formants_and_not_the_pitch():
    y = vowel()
    for factor, low, high in ((1.2, 1.1, 1.25), (0.85, 0.8, 0.92)):
        copy = warp_formants(y, SR, factor)
        assert low < formant(copy) / formant(y) < high
        assert f0(copy) == pytest.approx(150, rel=0.005)
    np.testing.assert_allclose(warp_formants(y, SR, 1.0), y, atol=1e-4)


def test_noise_has_the_ratio_asked_for():
    y = np.concatenate([np.zeros(SR), vowel(2.0), np.zeros(SR)]).astype(np.float32)
    noise = add_noise(y, SR, 20.0, np.random.default_rng(0)) - y
    speech = np.mean(y[SR : 3 * SR] ** 2)
    assert 10 * np.log10(speech / np.mean(noise**2)) == pytest.approx(20, abs=0.4)


def test_gain_and_masks():
    y = vowel()
    np.testing.assert_allclose(copy_of(y, gain=(6.0206, 6.0206)), 2 * y, rtol=1e-4)
    silenced = copy_of(y, time_mask=(0.1, 0.1))
    assert (silenced == 0).sum() == pytest.approx(0.1 * SR, abs=5)
    t = np.arange(SR) / SR
    comb = sum(np.sin(2 * np.pi * partial * t) for partial in range(100, 8000, 100))
    comb = (0.01 * comb).astype(np.float32)
    masked = np.abs(np.fft.rfft(copy_of(comb, frequency_mask=(1000, 1000))))[100:8000:100]
    gone = masked < 0.05 * np.median(masked)
    assert 9 <= gone.sum() <= 11  # partials in 1000 Hz, wherever they were drawn
    assert np.ptp(np.flatnonzero(gone)) == gone.sum() - 1  # one band


def test_copies_differ_and_come_again():
    y, features = vowel(), FunctionalFeatures()
    first, second = (one(y, SR) for one in Augmentation(speed=(0.9, 1.1)).of(features))
    assert np.abs(first - second).max() > 0.1
    again = Augmentation(copies=5, speed=(0.9, 1.1)).of(features)[1]
    np.testing.assert_array_equal(again(y, SR), second)
    other_seed = Augmentation(speed=(0.9, 1.1), seed=1).of(features)[0]
    assert np.abs(other_seed(y, SR) - first).max() > 0.1


def test_copies_are_stored_each_for_itself(write_tone, tmp_path):
    paths = [write_tone(f"{i}.wav", frequency=200 + 20 * i) for i in range(3)]
    union = UnionFeatures(sets={"a": ProsodyFeatures(), "b": FunctionalFeatures()})
    (copy,) = Augmentation(copies=1, gain=(-6, 6)).of(union)
    found = extract(paths, copy, store=tmp_path / "s.sqlite")
    assert found.n_extracted == 6
    assert found.names == union.names
    more = Augmentation(copies=2, gain=(-6, 6)).of(union)
    assert extract(paths, more[0], store=tmp_path / "s.sqlite").n_extracted == 0
    plain = extract(paths, union, store=tmp_path / "s.sqlite")
    both = extract(paths, [union, copy], store=tmp_path / "s.sqlite")
    assert both.n_extracted == 0
    assert both.X.shape == (3, 2, len(union.names))
    np.testing.assert_array_equal(both.X[:, 0], plain.X)
    assert restore(settings(more[1])) == more[1]


class Memory(KNeighborsClassifier):
    """Keeps what it was given."""

    def fit(self, X, y, groups=None):
        self.given_ = X, y, groups
        return super().fit(X, y)


def test_only_training_clips_learn_from_copies():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3, 5))
    X[..., 0] = np.arange(40)[:, None]  # says whose row it is
    y, actors = np.tile(["happy", "sad"], 20), np.repeat(np.arange(4), 10)
    fold = Fold(np.arange(30), np.arange(30, 40))
    result = evaluate_fold(Pipeline([("c", Memory(1))]), dataset(X, y, actors), fold, True)
    given_X, given_y, groups = result.pipeline[-1].given_
    assert len(given_X) == 90
    assert given_X[:, 0].max() == 29
    owner = given_X[:, 0].astype(int)
    np.testing.assert_array_equal(given_y, y[owner])
    np.testing.assert_array_equal(groups, actors[owner])
    plain = result.pipeline.predict(X[30:, 0])
    np.testing.assert_array_equal(result.predicted, plain)

    by_clip = evaluate_fold(Pipeline([("c", Memory(1))]), dataset(X, y), fold, False)
    np.testing.assert_array_equal(by_clip.pipeline[-1].given_[2], owner)


def test_speaker_scaling_takes_a_copy_for_another_voice():
    X = np.random.default_rng(0).normal(size=(20, 2, 3))
    X[:, 1] += 50
    scaled = SpeakerScaler().transform(X, np.repeat(["a", "b"], 10))
    np.testing.assert_allclose(scaled[:10].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(
        scaled[:, 0], SpeakerScaler().transform(X[:, 0], np.repeat(["a", "b"], 10))
    )


@pytest.mark.parametrize(
    "wrong", [{"speed": (1.1, 0.9)}, {"vtlp": (0.1, 1.0)}, {}, {"gain": (0, 1), "copies": 0}]
)
def test_augmentation_refuses(wrong):
    with pytest.raises(SerError):
        Augmentation(**wrong)


@pytest.mark.slow
def test_train_with_augmentation_logs_it(run_here, demo_root, client):
    options = ("data=demo", f"data.root={demo_root}", "data.speakers=4", "curves=none")
    run_here(*options, "cv.n_splits=2", "model=knn", "augmentation=gain")
    (run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert run.data.params["augmentation.copies"] == "2"
    assert run.data.metrics["test_uar"] > 0.4


def test_clip_that_fails_is_left_out_of_every_copy(write_tone, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    paths = [write_tone("a.wav"), str(broken)]
    features = ProsodyFeatures()
    copies = Augmentation(copies=1, gain=(0, 3)).of(features)
    found = extract(paths, [features, *copies], store=tmp_path / "s.sqlite", on_error="skip")
    assert list(found.errors) == [str(broken)]
    assert pd.isna(found.X[1]).all()
    assert np.isfinite(found.X[0]).all()
