"""Functionals: a clip's descriptors, frame by frame, as one vector of statistics over time.

The way from a voice to a vector that has led affective computing since 2009 (Schuller et al.,
Interspeech 2009 Emotion Challenge), with every number named. It is taken of the trimmed clip, at
one sampling rate, over what sounds and again over what is voiced: pauses and hiss say how a clip
was recorded more than how it was said.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from ser.features import check_bounds, descriptors, f0, level, resampling, rhythm
from ser.features.descriptors import Analysis, Descriptors
from ser.features.filters import PITCH_CLASSES

PERCENTILES = (5, 25, 50, 75, 95)
THIRDS = ("first_third", "second_third", "last_third")
FUNCTIONALS = (
    "mean",
    "std",
    *(f"p{p:02d}" for p in PERCENTILES),
    "range",  # p95 - p05
    "iqr",  # p75 - p25
    "slope",  # from the first frame to the last, of the line that fits best
    "curvature",  # of the parabola that fits best: positive where the middle is low
    "skewness",
    "kurtosis",
    *THIRDS,  # means
    "delta_mean",  # of absolute differences: how lively
    "delta_std",
    "delta_p05",
    "delta_p95",
    "delta_delta_std",
)
FRAMES = ("sounding", "voiced")  # that the functionals are over

# In this order; `chroma` has means and deviations alone, its 12 classes are of music more than
# of speech.
DESCRIPTORS = (
    "level",
    "mel",
    "mfcc",
    "aperiodicity",
    "zero_crossings",
    "flux",
    "centroid",
    "bandwidth",
    *(f"rolloff_{100 * share:.0f}" for share in descriptors.ROLLOFFS),
    "flatness",
    "alpha_ratio",
    "hammarberg",
    *(f"slope_{name}" for name in descriptors.TILTS),
    "contrast",
)

MIN_VOICED = 5  # frames: of fewer, the voiced columns say what the sounding ones do, and F0 is 0


@dataclass(frozen=True, kw_only=True)
class FunctionalFeatures:
    """Statistics over time of a clip's low-level descriptors.

    Columns are named ``frames.descriptor.functional``, as `sounding.mfcc_03.p95` or
    `voiced.f0.slope`: see `FRAMES`, `DESCRIPTORS` and `FUNCTIONALS`. F0 is in semitones above
    55 Hz, levels are in dB, frequencies in Hz. After them come `chroma_c.mean` and its like, jitter
    and shimmer (differences of neighbouring frames, not of glottal periods) and
    `ser.features.rhythm.RHYTHM`.

    Parameters
    ----------
    sr : int
        Rate that every clip is resampled to, in Hz.
    window, hop : float
        A frame's length, and from one frame to the next, in seconds.
    n_mels, n_mfcc : int
        Mel bands from 0 Hz to sr/2, and MFCCs of them.
    fmin, fmax : float
        Bounds of F0, in Hz.

    Raises
    ------
    SerError
        If a setting is out of its bounds.

    Examples
    --------
    >>> features = FunctionalFeatures()
    >>> t = np.arange(32_000, dtype=np.float32) / 16_000
    >>> values = dict(zip(features.names, features(np.sin(2 * np.pi * 220 * t), 16_000)))
    >>> [round(float(values[name]), 1) for name in ("voiced.f0.p50", "duration")]
    [24.0, 2.0]
    """

    sr: int = 16_000
    window: float = 0.04
    hop: float = 0.01
    n_mels: int = 40
    n_mfcc: int = 20
    fmin: float = f0.FMIN
    fmax: float = f0.FMAX

    version: ClassVar[int] = 1
    min_samples: ClassVar[int] = 2

    def __post_init__(self) -> None:
        bounds = {
            "sr": (8000, resampling.MAX_SR),
            "window": (0.01, 0.2),
            "hop": (0.002, self.window),
            "n_mels": (4, 256),
            "n_mfcc": (1, self.n_mels),
            "fmin": (10, self.fmax),
            "fmax": (self.fmin, self.sr / 4.01),
        }
        check_bounds(self, bounds)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names, in the order of the vector."""
        numbered = {"mel": self.n_mels, "mfcc": self.n_mfcc}
        numbered["contrast"] = len(descriptors.CONTRAST_EDGES)
        columns = [
            f"{name}_{i:02d}" if name in numbered else name
            for name in DESCRIPTORS
            for i in range(numbered.get(name, 1))
        ]
        over_time = [
            f"{frames}.{column}.{functional}"
            for frames, over in (("sounding", columns), ("voiced", [*columns, "f0"]))
            for functional in FUNCTIONALS
            for column in over
        ]
        chroma = [
            f"chroma_{c}.{functional}" for functional in ("mean", "std") for c in PITCH_CLASSES
        ]
        return (*over_time, *chroma, *rhythm.PERTURBATIONS, *rhythm.RHYTHM)

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        """Feature vector of one clip.

        Parameters
        ----------
        y : (n_samples,) float32
        sr : int
            Sampling rate, in Hz.

        Returns
        -------
        (len(names),) float32
        """
        y = resampling.resample(level.trim(y, sr), sr, self.sr)
        hop_length = round(self.hop * self.sr)
        analysis = Analysis(
            n_fft=2 * round(self.window * self.sr / 2),
            hop_length=hop_length,
            n_mels=self.n_mels,
            n_mfcc=self.n_mfcc,
            fmin=self.fmin,
            fmax=self.fmax,
        )
        described = descriptors.describe(y, self.sr, analysis)
        vector = np.concatenate(
            [
                _over_time(described),
                *_chroma(described),
                rhythm.perturbations(described),
                rhythm.rhythm(
                    described, frames_per_second=self.sr / hop_length, duration=len(y) / self.sr
                ),
            ]
        )
        return vector.astype(np.float32, copy=False)


def functionals(values: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Statistics over frames of every column.

    Parameters
    ----------
    values : (n_frames, n_columns) float32
        At least one frame.
    first, second : (n_frames, n_columns) float32
        Its differences over time, and theirs.

    Returns
    -------
    (len(FUNCTIONALS), n_columns) float32
        A column that does not change has skewness and kurtosis 0.
    """
    n_frames = len(values)
    mean, std = values.mean(axis=0), values.std(axis=0)
    p05, p25, p50, p75, p95 = _percentiles(values, PERCENTILES)
    time = np.linspace(-0.5, 0.5, n_frames, dtype=np.float32) if n_frames > 1 else np.zeros(1, "f4")
    bow = np.square(time) - np.square(time).mean()
    standard = (values - mean) / np.where(std > 1e-6 * (1 + np.abs(mean)), std, np.inf)
    squared = np.square(standard)
    edges = np.linspace(0, n_frames, 4).astype(int)
    starts = np.minimum(edges[:3], n_frames - 1)
    thirds = [
        values[a : max(b, a + 1)].mean(axis=0) for a, b in zip(starts, edges[1:], strict=True)
    ]
    delta_p05, delta_p95 = _percentiles(first, (5, 95))
    rows = [mean, std, p05, p25, p50, p75, p95, p95 - p05, p75 - p25]
    rows += [weight @ values / max(np.square(weight).sum(), 1e-9) for weight in (time, bow)]
    rows += [np.einsum("ij,ij->j", squared, power) / n_frames for power in (standard, squared)]
    rows += [*thirds, np.abs(first).mean(axis=0), first.std(axis=0), delta_p05, delta_p95]
    return np.stack([*rows, second.std(axis=0)])


def _over_time(clip: Descriptors) -> np.ndarray:
    """Functionals of all descriptors over what sounds, and with F0 over what is voiced."""
    spectral = clip.spectral
    values = np.column_stack([spectral[name] for name in DESCRIPTORS])
    first = descriptors.delta(values)
    tables = (values, first, descriptors.delta(first))
    frames_of = {"sounding": clip.sounding, "voiced": clip.voiced}
    if clip.voiced.sum() < MIN_VOICED:
        frames_of["voiced"] = clip.sounding
    sounding, voiced = (
        functionals(*(table[frames_of[frames]] for table in tables)) for frames in FRAMES
    )
    return np.concatenate([sounding.ravel(), np.column_stack([voiced, _f0(clip)]).ravel()])


def _f0(clip: Descriptors) -> np.ndarray:
    """Functionals of F0, whose contour has no pauses here; zeros where nothing is voiced."""
    if clip.voiced.sum() < MIN_VOICED:
        return np.zeros((len(FUNCTIONALS), 1), dtype=np.float32)
    f0 = clip.f0[clip.voiced, None]
    first = descriptors.delta(f0)
    return functionals(f0, first, descriptors.delta(first))


def _chroma(clip: Descriptors) -> tuple[np.ndarray, np.ndarray]:
    chroma = clip.spectral["chroma"][clip.sounding]
    return chroma.mean(axis=0), chroma.std(axis=0)


def _percentiles(values: np.ndarray, percentiles: tuple[int, ...]) -> np.ndarray:
    """``numpy.percentile`` over frames, from one sort.

    Returns
    -------
    (len(percentiles), n_columns) float32
    """
    ordered = np.sort(np.ascontiguousarray(values.T), axis=1)
    position = np.array(percentiles) / 100 * (len(values) - 1)
    below = np.floor(position).astype(int)
    above = np.minimum(below + 1, len(values) - 1)
    share = (position - below).astype(np.float32)
    return (ordered[:, below] * (1 - share) + ordered[:, above] * share).T
