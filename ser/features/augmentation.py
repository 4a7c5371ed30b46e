"""Augmentation: copies of a clip as another voice, room or take might have left it.

A copy's features are computed like any other's and kept in the store; only training clips of a
fold ever learn from their copies (`ser.models.pipeline.fit`). What is drawn depends on the clip's
own samples, the copy's number and the seed, so that a copy is the same wherever it is made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
import scipy.fft

from ser.core.errors import SerError
from ser.features import FeatureSet, level
from ser.features.filters import hann
from ser.features.other_sound import OtherSound
from ser.features.resampling import resample
from ser.features.union import UnionFeatures

Range = tuple[float, float]

FRAME = 0.032  # s: of the spectrum that a copy is changed in; four frames overlap
ENVELOPE = 0.0025  # s: quefrencies below are the vocal tract's, those above the voice's
HARMONIC = 250.0  # Hz: the widest gap between harmonics that the envelope is drawn over
VTLP_KNEE = 4800.0  # Hz: above, the warped axis is bent back to end where it did
BOUNDS: dict[str, Range] = {
    "speed": (0.5, 2.0),
    "pitch": (-12.0, 12.0),
    "vtlp": (0.7, 1.4),
    "noise": (-10.0, 80.0),
    "gain": (-40.0, 40.0),
    "time_mask": (0.0, 1.0),
    "frequency_mask": (0.0, 8000.0),
}


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What a copy of a clip may differ in. A range is drawn from evenly; None leaves it out.

    Parameters
    ----------
    copies : int
        Copies of every training clip, 1 or more.
    speed : (low, high) or None
        Factor of tempo and pitch together, as of a tape.
    pitch : (low, high) or None
        Semitones, at the same tempo; formants move along.
    vtlp : (low, high) or None
        Factor of the formants' frequencies, at the same pitch: the length of the vocal tract
        (Jaitly & Hinton 2013), applied to the spectral envelope alone.
    noise : (low, high) or None
        White noise, at a signal-to-noise ratio in dB of the sounding part.
    gain : (low, high) or None
        dB.
    time_mask : (low, high) or None
        Seconds that are silenced, somewhere in the clip, at most a quarter of it.
    frequency_mask : (low, high) or None
        Width in Hz of a band below 8 kHz that is taken out.
    seed : int

    Raises
    ------
    SerError
        If a range is not two numbers in order within `BOUNDS`, or nothing is switched on.
    """

    copies: int = 2
    speed: Range | None = None
    pitch: Range | None = None
    vtlp: Range | None = None
    noise: Range | None = None
    gain: Range | None = None
    time_mask: Range | None = None
    frequency_mask: Range | None = None
    seed: int = 0

    version: ClassVar[int] = 3  # in single precision; bands taken out at a fast FFT's length

    def __post_init__(self) -> None:
        if self.copies < 1:
            raise SerError(f"augmentation.copies={self.copies}: give 1 or more.")
        for name, (lowest, highest) in BOUNDS.items():
            value = getattr(self, name)
            if value is None:
                continue
            if len(value) != 2 or not lowest <= value[0] <= value[1] <= highest:
                raise SerError(
                    f"augmentation.{name}={list(value)}: give [low, high], both in {lowest:g} .. "
                    f"{highest:g}, or null."
                )
            object.__setattr__(self, name, tuple(value))  # as it is compared and stored
        if all(getattr(self, name) is None for name in BOUNDS):
            raise SerError(f"The augmentation changes nothing: set one of {', '.join(BOUNDS)}.")

    def of(self, features: FeatureSet) -> list[FeatureSet]:
        """The feature sets of the copies, one for each."""
        return [self._copy(features, number) for number in range(self.copies)]

    def _copy(self, features: FeatureSet, number: int) -> FeatureSet:
        if isinstance(features, UnionFeatures):  # of its sets, so that each is stored for itself
            return UnionFeatures(
                sets={name: self._copy(member, number) for name, member in features.sets.items()}
            )
        single = replace(self, copies=1)  # how many there are changes none of them
        return AugmentedFeatures(features=features, augmentation=single, copy=number)


@dataclass(frozen=True, kw_only=True)
class AugmentedFeatures(OtherSound):
    """Features of one copy of a clip.

    Parameters
    ----------
    features : FeatureSet
        What is computed of the copy.
    augmentation : Augmentation
        How the copy differs from the clip.
    copy : int
        Which copy.
    """

    augmentation: Augmentation
    copy: int

    version: ClassVar[int] = 1

    @property
    def min_samples(self) -> int:
        """Samples that a clip must have, so that the fastest copy has enough."""
        fastest = (self.augmentation.speed or (1.0, 1.0))[1]
        return int(np.ceil(fastest * self.features.min_samples)) + 1

    def sound(self, y: np.ndarray, sr: int) -> np.ndarray:
        """The copy itself: what a person would listen to.

        Returns
        -------
        (n_copied,) float32
            As long as `y`, but for a change of speed. Read only: the sets of a union share it.
        """
        samples = np.ascontiguousarray(y, dtype="<f4").tobytes()
        return _altered(self.augmentation, self.copy, samples, sr)


@lru_cache(maxsize=1)  # the next set of a union hears the same copy
def _altered(augmentation: Augmentation, copy: int, samples: bytes, sr: int) -> np.ndarray:
    """The copy with this number of a clip, whose samples are float32."""
    key = f"{augmentation.seed} {copy} ".encode() + samples
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(key).digest()[:8], "big"))
    changes: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
        "speed": lambda y, factor: change_speed(y, factor),
        "pitch": lambda y, semitones: shift_pitch(y, sr, semitones),
        "vtlp": lambda y, factor: warp_formants(y, sr, factor),
        "frequency_mask": lambda y, width: mask_frequencies(y, sr, width, rng),
        "time_mask": lambda y, seconds: mask_time(y, sr, seconds, rng),
        "noise": lambda y, snr: add_noise(y, sr, snr, rng),
        "gain": lambda y, decibels: y * np.float32(10 ** (decibels / 20)),
    }
    y = np.frombuffer(samples, dtype="<f4").astype(np.float32, copy=False)
    for name, change in changes.items():
        bounds = getattr(augmentation, name)
        if bounds is not None:
            y = change(y, rng.uniform(*bounds)).astype(np.float32, copy=False)
    y.flags.writeable = False
    return y


def change_speed(y: np.ndarray, factor: float) -> np.ndarray:
    """A clip played `factor` times as fast, and as high.

    >>> change_speed(np.zeros(1000, np.float32), 1.25).shape
    (800,)
    """
    return resample(y, round(1000 * factor), 1000)


def shift_pitch(y: np.ndarray, sr: int, semitones: float) -> np.ndarray:
    """A clip higher by some semitones, at its own tempo: sped up, then stretched back.

    The stretch is a phase vocoder's (Flanagan & Golden 1966): frames are read at another pace, and
    each bin's phase goes on as fast as it did.
    """
    faster = change_speed(y, 2 ** (semitones / 12))
    spectrum = _stft(faster, sr)
    n_frames = max(2, 1 + len(y) // _hop(sr))
    position = np.linspace(0, len(spectrum) - 1, n_frames)
    before = np.minimum(position.astype(int), max(len(spectrum) - 2, 0))
    after = np.minimum(before + 1, len(spectrum) - 1)
    share = (position - before).astype(np.float32)[:, None]
    # Frames are as far apart as they were, so a bin turns by what lies between its two. Turns add
    # up as a product of numbers of length 1: no angle, no sine. Silence does not turn, or by half.
    turn = spectrum[np.append(0, after[:-1])]
    turn[1:] *= np.conj(spectrum[before[:-1]])
    phase = np.where(turn == 0, np.copysign(1, turn.real), turn).astype(np.complex128)
    phase *= 1 / np.abs(phase)  # in double precision, as those of near silence hardly have any
    np.cumprod(phase, axis=0, out=phase)
    magnitude = np.abs(spectrum)
    magnitude = (1 - share) * magnitude[before] + share * magnitude[after]
    return _istft(magnitude * phase.astype(np.complex64), sr, len(y))


def warp_formants(y: np.ndarray, sr: int, factor: float) -> np.ndarray:
    """A clip from a vocal tract whose formants lie `factor` times as high, at its own pitch.

    The spectral envelope (a smoothed log spectrum: the low quefrencies of its cepstrum) is warped
    by a line through 0 Hz that is bent near the top to end at sr/2 (Jaitly & Hinton 2013).
    """
    spectrum = _stft(y, sr)
    n_bins = spectrum.shape[1]
    # Between its harmonics a voice has nothing; the envelope runs over their tops.
    tops = round(HARMONIC * 4 * _hop(sr) / sr) | 1
    logarithm = _sliding_maximum(np.log(np.abs(spectrum) + 1e-7), tops)
    cepstrum = scipy.fft.irfft(logarithm, axis=1)
    keep = max(2, round(ENVELOPE * sr))
    cepstrum[:, keep : cepstrum.shape[1] - keep + 1] = 0
    envelope = scipy.fft.rfft(cepstrum, axis=1).real
    top, knee = sr / 2, min(VTLP_KNEE, 0.4 * sr) * min(factor, 1.0)
    frequencies = np.linspace(0, top, n_bins)
    source = np.interp(frequencies, [0, knee, top], [0, knee / factor, top]) / top * (n_bins - 1)
    below = np.minimum(source.astype(int), n_bins - 2)
    share = (source - below).astype(np.float32)
    change = envelope.take(below, axis=1) * (1 - share)
    change += envelope.take(below + 1, axis=1) * share
    change -= envelope
    spectrum *= np.exp(change, out=change)
    return _istft(spectrum, sr, len(y))


def add_noise(y: np.ndarray, sr: int, snr: float, rng: np.random.Generator) -> np.ndarray:
    """A clip in white noise, `snr` dB below the mean power of what sounds in it."""
    power = np.mean(np.square(level.trim(y, sr), dtype=np.float64))
    return y + rng.normal(0, np.sqrt(power * 10 ** (-snr / 10)), len(y))


def mask_time(y: np.ndarray, sr: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A clip with some of it silenced, from a random moment on, at most a quarter."""
    width = min(round(seconds * sr), len(y) // 4)
    start = rng.integers(0, len(y) - width + 1)
    masked = y.copy()
    masked[start : start + width] = 0
    return masked


def mask_frequencies(y: np.ndarray, sr: int, width: float, rng: np.random.Generator) -> np.ndarray:
    """A clip without a band of `width` Hz, somewhere below 8 kHz."""
    n_fft = scipy.fft.next_fast_len(len(y), real=True)
    spectrum = scipy.fft.rfft(y, n_fft)
    frequencies = np.linspace(0, sr / 2, len(spectrum))
    low = rng.uniform(0, max(min(8000.0, sr / 2) - width, 0))
    spectrum[(frequencies >= low) & (frequencies < low + width)] = 0
    return scipy.fft.irfft(spectrum, n_fft)[: len(y)]


def _sliding_maximum(values: np.ndarray, width: int) -> np.ndarray:
    """Largest of each row within `width` bins (odd) around a bin, by doubling: no bin of a pad."""
    half = width // 2
    pad = np.full((len(values), half), -np.inf, dtype=values.dtype)
    largest, reach = np.concatenate([pad, values, pad], axis=1), 1
    while reach < width:
        step = min(reach, width - reach)
        largest = np.maximum(largest[:, :-step], largest[:, step:])
        reach += step
    return largest


def _hop(sr: int) -> int:
    return max(4, round(FRAME * sr / 4))


def _stft(y: np.ndarray, sr: int) -> np.ndarray:
    """Complex spectrum of centred Hann frames, four to a frame's length: (n_frames, n_bins)."""
    n_fft = 4 * _hop(sr)
    padded = np.pad(y, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[:: _hop(sr)]
    return scipy.fft.rfft(frames * hann(n_fft).astype(np.float32), axis=1)


def _istft(spectrum: np.ndarray, sr: int, n_samples: int) -> np.ndarray:
    """The clip whose windowed frames are nearest to the spectrum (Griffin & Lim 1984, eq. 6)."""
    hop_length = _hop(sr)
    n_fft = 4 * hop_length
    window = hann(n_fft).astype(np.float32)
    frames = scipy.fft.irfft(spectrum, n_fft, axis=1) * window
    total = np.zeros((len(frames) + 3, hop_length), dtype=np.float32)
    weight = np.zeros_like(total)
    for quarter in range(4):  # frames lie over each other by quarters
        part = slice(quarter * hop_length, (quarter + 1) * hop_length)
        total[quarter : quarter + len(frames)] += frames[:, part]
        weight[quarter : quarter + len(frames)] += np.square(window[part])
    sound = (total / np.maximum(weight, 1e-6)).ravel()[n_fft // 2 :]
    return np.pad(sound, (0, max(0, n_samples - len(sound))))[:n_samples]
