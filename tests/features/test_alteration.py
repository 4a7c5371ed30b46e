"""Alterations: each does what it says, is the same again, and is stored by its own key."""

import numpy as np
import pytest
import soundfile

from ser.core.errors import SerError
from ser.features import settings
from ser.features.alteration import KINDS, altered, check_kind, lacking
from ser.features.notebook import NotebookFeatures
from ser.features.store import extract
from ser.features.union import UnionFeatures

SR = 16_000
VALUES = {"gain": -20, "noise": 10, "babble": 10, "telephone": 3400, "mp3": 32, "opus": 12}
VALUES |= {"room": 0.4, "tilt": -6, "resampled": 8000, "clipping": 12, "leading_silence": 0.5}
VALUES |= {"trimmed": 30}


@pytest.fixture
def voice():
    """Half a second of harmonics between silences."""
    t = np.arange(SR // 2) / SR
    sound = sum(np.sin(2 * np.pi * 200 * k * t) / k for k in range(1, 30))
    silence = np.zeros(SR // 4)
    return np.concatenate([silence, 0.2 * sound, silence]).astype(np.float32)


@pytest.fixture
def crowd(write_tone):
    return [write_tone(f"{f}.wav", frequency=f, seconds=0.2) for f in (300, 500)]


def sound(y, kind, value=None, voices=()):
    feature_set = altered(
        NotebookFeatures(), kind, VALUES[kind] if value is None else value, voices=voices
    )
    return feature_set.sound(y, SR)


def power(y):
    return np.mean(np.square(y, dtype=np.float64))


def test_every_kind_is_here():
    assert set(VALUES) == set(KINDS)


@pytest.mark.parametrize("kind", VALUES)
def test_an_altered_clip_is_another_and_the_same_again(voice, crowd, kind):
    if why := lacking(kind, VALUES[kind], SR):
        pytest.skip(why)
    one, other = (sound(voice, kind, voices=crowd) for _ in range(2))
    assert one.dtype == np.float32
    assert np.array_equal(one, other)
    assert np.isfinite(one).all()
    assert len(one) != len(voice) or np.abs(one - voice).max() > 1e-3


def test_gain_and_leading_silence_are_exact(voice):
    assert power(sound(voice, "gain", -20)) == pytest.approx(power(voice) / 100)
    later = sound(voice, "leading_silence", 0.5)
    assert not later[: SR // 2].any()
    assert np.array_equal(later[SR // 2 :], voice)


@pytest.mark.parametrize("kind", ["noise", "babble"])
def test_noise_and_babble_lie_as_far_below_the_voice_as_they_say(voice, crowd, kind):
    added = sound(voice, kind, 20, voices=crowd) - voice
    sounding = voice[SR // 4 : -SR // 4]
    assert 10 * np.log10(power(sounding) / power(added)) == pytest.approx(20, abs=1)


def test_bands_are_left_out(voice):
    def above(y, frequency):
        spectrum = np.abs(np.fft.rfft(y)) ** 2
        return spectrum[np.fft.rfftfreq(len(y), 1 / SR) > frequency].sum()

    for kind in ("telephone", "resampled"):
        assert above(sound(voice, kind), 5000) < 3e-3 * above(voice, 5000)
    tilted = sound(voice, "tilt")
    assert above(tilted, 2000) < 0.2 * above(voice, 2000)
    assert power(tilted) == pytest.approx(power(voice), rel=1e-3)


def test_clipping_and_trimming(voice):
    assert np.abs(sound(voice, "clipping", 6.0206)).max() == pytest.approx(
        np.abs(voice).max() / 2, rel=1e-4
    )
    assert len(sound(voice, "trimmed")) == pytest.approx(0.6 * SR, abs=0.03 * SR)


def test_a_room_rings_on(voice):
    y = voice.copy()
    y[SR // 2 :] = 0
    ringing = sound(y, "room", 0.5)
    assert power(ringing[SR // 2 : SR // 2 + 800]) > 10 * power(ringing[-800:]) > 0


@pytest.mark.parametrize("kind", ["mp3", "opus"])
def test_codecs_lose_more_at_a_lower_rate(voice, kind):
    if why := lacking(kind, VALUES[kind], SR):
        pytest.skip(why)

    def similar(kbits):
        coded = np.abs(np.fft.rfft(sound(voice, kind, kbits), 2 * SR))
        plain = np.abs(np.fft.rfft(voice, 2 * SR))
        return coded @ plain / np.linalg.norm(coded) / np.linalg.norm(plain)

    assert similar(8) < similar(64)


def test_what_cannot_be_made_says_why(monkeypatch):
    assert "8000 Hz" in lacking("resampled", 16_000, 8000)
    assert "8000 Hz" in lacking("telephone", 4000, 8000)
    monkeypatch.setattr(soundfile, "available_subtypes", lambda format: {})
    assert "writes no opus" in lacking("opus", 12, SR)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("echo", 1, "is not known: give gain"),
        ("noise", 200, "from -20 to 80"),
        ("gain", True, "True"),
    ],
)
def test_a_wrong_alteration_is_refused(kind, value, message):
    with pytest.raises(SerError, match=message):
        check_kind(kind, value)


def test_the_store_keeps_each_alteration_and_not_the_place_of_voices(crowd, tmp_path):
    store = tmp_path / "store.sqlite"
    features = NotebookFeatures()
    noisy = altered(features, "noise", 20)
    first = extract(crowd, noisy, store=store, n_jobs=1, progress=False)
    assert first.n_extracted == 2
    assert extract(crowd, noisy, store=store, n_jobs=1, progress=False).n_extracted == 0
    other = extract(crowd, altered(features, "noise", 10), store=store, n_jobs=1, progress=False)
    assert other.n_extracted == 2
    here, there = (altered(features, "babble", 10, voices=[v], babble="x") for v in crowd)
    assert settings(here) == settings(there)
    union = altered(UnionFeatures(sets={"a": features}), "gain", 3)
    assert isinstance(union, UnionFeatures)
