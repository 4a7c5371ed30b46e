"""Alterations: what becomes of a clip on its way to a model, by one known step at a time.

`ser.check` asks a model for altered clips; no model learns from one (`ser.features.augmentation`
is for that). A clip's altered features are computed and stored like any others. What is drawn
depends on the clip's own samples, so that an altered clip is the same wherever it is made again.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, ClassVar

import numpy as np
import scipy.fft

from ser.core.errors import SerError
from ser.data.audio import read_audio
from ser.features import FeatureSet, level
from ser.features.augmentation import add_noise
from ser.features.other_sound import OtherSound
from ser.features.resampling import resample
from ser.features.union import UnionFeatures

OPUS_SR = 16_000  # Hz: at low rates Opus codes no more of a voice
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz
TELEPHONE_LOW = 300.0  # Hz
DIRECT = 1.0  # energy of the direct sound over that of a room's reverberation


@dataclass(frozen=True, kw_only=True)
class AlteredFeatures(OtherSound):
    """Features of a clip after one alteration.

    Parameters
    ----------
    features : FeatureSet
        What is computed of the altered clip.
    kind : str
        One of `KINDS`.
    value : float
        How much, in the kind's unit.
    voices : tuple of str
        Audio files that a babble is made of.
    babble : str
        Digest of what these hold.
    """

    kind: str
    value: float
    voices: tuple[str, ...] = field(default=(), metadata={"place": True})
    babble: str = ""

    version: ClassVar[int] = 1

    def sound(self, y: np.ndarray, sr: int) -> np.ndarray:
        """The altered clip, (n_altered,) float32: see `OtherSound.sound`."""
        key = f"{self.kind} {self.value} ".encode() + np.ascontiguousarray(y, "<f4").tobytes()
        rng = np.random.default_rng(int.from_bytes(hashlib.sha256(key).digest()[:8], "big"))
        change = KINDS[self.kind].change or partial(add_babble, voices=self.voices)
        altered = change(y, sr, self.value, rng)
        short = max(0, self.features.min_samples - len(altered))
        return np.pad(altered, (0, short)).astype(np.float32, copy=False)


def altered(
    features: FeatureSet, kind: str, value: float, *, voices: Sequence[str] = (), babble: str = ""
) -> FeatureSet:
    """The feature set of altered clips; of a union, of each of its sets, as these are stored."""
    if isinstance(features, UnionFeatures):
        members = {
            name: altered(member, kind, value, voices=voices, babble=babble)
            for name, member in features.sets.items()
        }
        return UnionFeatures(sets=members)
    return AlteredFeatures(
        features=features, kind=kind, value=float(value), voices=tuple(voices), babble=babble
    )


@dataclass(frozen=True)
class Kind:
    """One way to alter a clip.

    Attributes
    ----------
    words : str
        What is done, with ``{}`` for the value.
    change : callable or None
        (y, sr, value, rng) -> the altered samples; None of a babble, which needs voices.
    bounds : (low, high)
        Of the value.
    """

    words: str
    change: Callable[[np.ndarray, int, float, np.random.Generator], np.ndarray] | None
    bounds: tuple[float, float]


def lacking(kind: str, value: float, sr: int) -> str:
    """Why an alteration cannot be made here, or changes nothing; empty where it can.

    Parameters
    ----------
    kind : str
    value : float
    sr : int
        Hz, of the clips.
    """
    import soundfile

    subtype = {"mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS")}.get(kind)
    if subtype and subtype[1] not in soundfile.available_subtypes(subtype[0]):
        return f"this libsndfile ({soundfile.__libsndfile_version__}) writes no {kind}"
    top = {"telephone": 2 * value, "resampled": value}.get(kind, 0)
    return f"the clips have {sr} Hz, and hold no more than it leaves" if top >= sr else ""


def check_kind(kind: str, value: object) -> float:
    """The value of an alteration, which must be known and within its bounds.

    Raises
    ------
    SerError
    """
    if kind not in KINDS:
        raise SerError(f"robustness.alterations.{kind} is not known: give {', '.join(KINDS)}.")
    low, high = KINDS[kind].bounds
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise SerError(
            f"robustness.alterations.{kind} has {value!r}: give numbers from {low:g} to {high:g}."
        )
    return float(value)


def add_babble(
    y: np.ndarray, sr: int, snr: float, rng: np.random.Generator, voices: Sequence[str]
) -> np.ndarray:
    """A clip among other voices, which together lie `snr` dB below what sounds in it."""
    crowd = np.zeros(len(y))
    for path in voices:
        voice = _voice(path, sr)
        repeats = 1 + -(-len(y) // len(voice))
        start = rng.integers(len(voice))
        crowd += np.tile(voice, repeats)[start : start + len(y)]
    return y + crowd * np.sqrt(_power(y, sr) * 10 ** (-snr / 10) / np.mean(crowd**2))


def encode(y: np.ndarray, sr: int, *, kbits: float, mp3: bool) -> np.ndarray:
    """A clip after MP3 or Opus at a constant rate in kbit/s, by libsndfile."""
    import soundfile

    coded_sr = min((r for r in MP3_RATES if r >= sr), default=48_000) if mp3 else OPUS_SR
    # libsndfile maps its level, 0 to 1, to a rate: from the highest that the format has downwards.
    highest, span = ((320, 288) if coded_sr >= 32_000 else (160, 152)) if mp3 else (256, 250)
    settings: dict[str, Any] = {"format": "OGG", "subtype": "OPUS"}
    if mp3:
        settings = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT"}
    amount = float(np.clip((highest - kbits) / span, 0, 0.999))
    file = io.BytesIO()
    at_rate = np.clip(resample(y, sr, coded_sr), -1, 1)
    soundfile.write(file, at_rate, coded_sr, compression_level=amount, **settings)
    file.seek(0)
    decoded, decoded_sr = soundfile.read(file, dtype="float32")
    return resample(decoded, decoded_sr, sr)


def band(y: np.ndarray, sr: int, low: float, high: float) -> np.ndarray:
    """A clip without what lies below and above a band, by a Butterworth filter of order 8."""
    from scipy.signal import butter, sosfilt

    return sosfilt(butter(4, (low, high), "bandpass", fs=sr, output="sos"), y)


def reverberate(y: np.ndarray, sr: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A clip in a room whose sound falls by 60 dB in `seconds`, as loud as it was.

    The impulse response is made: the direct sound, and noise that decays exponentially (Moorer
    1979), with as much energy as the direct sound.
    """
    from scipy.signal import fftconvolve

    t = np.arange(1, round(seconds * sr)) / sr
    tail = rng.normal(size=len(t)) * np.exp(-3 * np.log(10) * t / seconds)
    tail *= np.sqrt(1 / (DIRECT * np.sum(tail**2)))
    return _as_loud(fftconvolve(y, np.concatenate([[1.0], tail]))[: len(y)], y)


def tilt(y: np.ndarray, sr: int, slope: float) -> np.ndarray:
    """A clip whose spectrum rises by `slope` dB each octave above 100 Hz, as loud as it was."""
    spectrum = scipy.fft.rfft(y)
    octaves = np.log2(np.maximum(np.linspace(0, sr / 2, len(spectrum)), 100) / 100)
    return _as_loud(scipy.fft.irfft(spectrum * 10 ** (slope * octaves / 20), len(y)), y)


def _resampled(y: np.ndarray, sr: int, rate: float) -> np.ndarray:
    return resample(resample(y, sr, rate), rate, sr)


def _clipped(y: np.ndarray, decibels: float) -> np.ndarray:
    top = np.abs(y).max() * 10 ** (-decibels / 20)
    return np.clip(y, -top, top)


def _trimmed(y: np.ndarray, sr: int, below: float) -> np.ndarray:
    return level.trim(y, sr, below=below)


def _power(y: np.ndarray, sr: int) -> float:
    """Mean power of what sounds in a clip."""
    return float(np.mean(np.square(level.trim(y, sr), dtype=np.float64)))


def _as_loud(changed: np.ndarray, y: np.ndarray) -> np.ndarray:
    power = np.mean(changed**2, dtype=np.float64)
    return changed * np.sqrt(np.mean(y**2, dtype=np.float64) / max(power, 1e-12))


@lru_cache(maxsize=64)
def _voice(path: str, sr: int) -> np.ndarray:
    """One voice of a babble: what sounds in a clip, at a mean power of 1."""
    y, own = read_audio(path)
    y = level.trim(resample(y, own, sr), sr)
    return y / np.sqrt(np.mean(np.square(y, dtype=np.float64)))


KINDS: Mapping[str, Kind] = {
    "gain": Kind("gain {:+g} dB", lambda y, sr, v, rng: y * 10 ** (v / 20), (-60, 40)),
    "noise": Kind("white noise, SNR {:g} dB", add_noise, (-20, 80)),
    "babble": Kind("other actors' voices, SNR {:g} dB", None, (-20, 80)),
    "telephone": Kind(
        "telephone, 300 to {:g} Hz",
        lambda y, sr, v, rng: band(y, sr, TELEPHONE_LOW, v),
        (1000, 8000),
    ),
    "mp3": Kind(
        "MP3, {:g} kbit/s", lambda y, sr, v, rng: encode(y, sr, kbits=v, mp3=True), (8, 320)
    ),
    "opus": Kind(
        "Opus, {:g} kbit/s", lambda y, sr, v, rng: encode(y, sr, kbits=v, mp3=False), (6, 256)
    ),
    "room": Kind("a room, RT60 {:g} s", reverberate, (0.05, 5)),
    "tilt": Kind("spectrum {:+g} dB/octave", lambda y, sr, v, rng: tilt(y, sr, v), (-12, 12)),
    "resampled": Kind(
        "resampled to {:g} Hz and back", lambda y, sr, v, rng: _resampled(y, sr, v), (1000, 96_000)
    ),
    "clipping": Kind(
        "clipped {:g} dB below its peak", lambda y, sr, v, rng: _clipped(y, v), (0, 40)
    ),
    "leading_silence": Kind(
        "{:g} s of silence before", lambda y, sr, v, rng: np.pad(y, (round(v * sr), 0)), (0, 60)
    ),
    "trimmed": Kind(
        "trimmed to what is within {:g} dB", lambda y, sr, v, rng: _trimmed(y, sr, v), (10, 80)
    ),
}
