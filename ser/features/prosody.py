"""Prosody: how high, how lively, how loud and how long a clip is, in numbers with units.

A dozen numbers that a person can check by ear. The exploration of a corpus draws their
distributions and finds its quality report in them; they can be trained on as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ser.features import check_bounds, f0, level, resampling, spectrum

NAMES = {
    "f0_median": "Hz; 0 where no frame is voiced",
    "f0_range": "semitones from the 5th to the 95th percentile; 0 where no frame is voiced",
    "voiced_share": "of the frames that are not silent, in [0, 1]",
    "energy_mean": "dBFS: level of the frames that are not silent",
    "energy_range": "dB from the 5th to the 95th percentile of those frames",
    "energy_peak": "dBFS: the largest sample",
    "duration": "s",
    "silence_share": "of all frames, in [0, 1]",
    "silence_start": "s before the first frame that is not silent",
    "silence_end": "s after the last",
    "clipping_share": "of all samples, in [0, 1]",
}


@dataclass(frozen=True, kw_only=True)
class ProsodyFeatures:
    """F0, energy, duration, silence and clipping of a clip: the columns are `NAMES`.

    F0 is of voiced frames (`ser.features.f0`); a frame is silent 40 dB below the clip's loudest
    (`ser.features.level`).

    Parameters
    ----------
    fmin, fmax : float
        Bounds of F0, in Hz.
    threshold : float
        How far from periodic a voiced frame may be, in (0, 1).
    hop : float
        From one frame to the next, in seconds.
    window : float
        Of a frame whose level is taken, in seconds.
    sr : int or None
        Rate that clips are resampled to first, in Hz; None for each clip's own.

    Raises
    ------
    SerError
        If a setting is out of its bounds.

    Examples
    --------
    >>> t = np.arange(32_000, dtype=np.float32) / 16_000
    >>> prosody = ProsodyFeatures()
    >>> values = dict(zip(prosody.names, prosody(0.5 * np.sin(2 * np.pi * 200 * t), 16_000)))
    >>> [round(float(values[name]), 1) for name in ("f0_median", "energy_mean", "duration")]
    [200.0, -9.1, 2.0]
    """

    fmin: float = f0.FMIN
    fmax: float = f0.FMAX
    threshold: float = f0.THRESHOLD
    hop: float = 0.01
    window: float = 0.04
    sr: int | None = None

    version: ClassVar[int] = 1
    min_samples: ClassVar[int] = 2

    def __post_init__(self) -> None:
        bounds = {"fmin": (10, self.fmax), "fmax": (self.fmin, 5000), "threshold": (0.01, 0.99)}
        bounds |= {"hop": (0.001, 0.1), "window": (0.005, 0.5)}
        check_bounds(self, bounds, group="prosody")
        resampling.check_rate(self.sr)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in the order of the vector."""
        return tuple(NAMES)

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        """Feature vector of one clip.

        Parameters
        ----------
        y : (n_samples,) float32
            Nominally in [-1, 1].
        sr : int
            Sampling rate, in Hz.

        Returns
        -------
        (len(names),) float32
        """
        if self.sr is not None:
            y, sr = resampling.resample(y, sr, self.sr), self.sr
        energy, hertz = self.contours(y, sr)
        sounding = np.flatnonzero(~level.silent(energy))
        voiced = hertz[~np.isnan(hertz)]
        low, high = np.percentile(voiced, (5, 95)) if voiced.size else (1, 1)
        quiet, loud = np.percentile(energy[sounding], (5, 95))
        peak = max(float(np.abs(y).max()), 1e-5)
        values = {
            "f0_median": np.median(voiced) if voiced.size else 0,
            "f0_range": 12 * np.log2(high / low),
            "voiced_share": len(voiced) / len(sounding),
            "energy_mean": 10 * np.log10(np.mean(10 ** (energy[sounding] / 10))),
            "energy_range": loud - quiet,
            "energy_peak": 20 * np.log10(peak),
            "duration": len(y) / sr,
            "silence_share": 1 - len(sounding) / len(energy),
            "silence_start": sounding[0] * self._hop_length(sr) / sr,
            "silence_end": (len(energy) - 1 - sounding[-1]) * self._hop_length(sr) / sr,
            "clipping_share": level.clipped(y).mean(),
        }
        return np.array([values[name] for name in NAMES], dtype=np.float32)

    def contours(self, y: np.ndarray, sr: int) -> tuple[np.ndarray, np.ndarray]:
        """Level in dBFS, and F0 in Hz (NaN where there is no voice), of every frame.

        Returns
        -------
        energy, f0 : (n_frames,) float32
            Frame i is centred on ``i * hop`` seconds. What is silent has no F0.
        """
        hop_length = self._hop_length(sr)
        window = 2 * max(1, round(self.window * sr / 2))
        energy = level.levels(spectrum.frame(y, n_fft=window, hop_length=hop_length))
        bounds = {"fmin": self.fmin, "fmax": self.fmax, "threshold": self.threshold}
        hertz = f0.contour(y, sr, hop_length=hop_length, **bounds)
        hertz[level.silent(energy)] = np.nan
        return energy, hertz

    def times(self, n_frames: int, sr: int) -> np.ndarray:
        """Centres of the frames of `contours`, in seconds."""
        return np.arange(n_frames) * self._hop_length(sr) / sr

    def _hop_length(self, sr: int) -> int:
        return max(1, round(self.hop * sr))
