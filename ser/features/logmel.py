"""Log-mel spectrogram: a clip as the picture that a network looks at or listens along."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from ser.features import check_bounds, level, resampling, spectrum


@dataclass(frozen=True, kw_only=True)
class LogMelFeatures:
    """Mel bands in dB of every frame of the trimmed clip, frame after frame, at a fixed length.

    A longer clip loses its ends, a shorter one is followed by silence, at the floor of the scale.
    The vector is flat, as all of `ser` has it: ``vector.reshape(-1, n_mels)`` is the spectrogram.

    Parameters
    ----------
    sr : int
        Rate that clips are resampled to, in Hz.
    n_mels : int
        Bands from 0 Hz to sr/2.
    window, hop : float
        A frame's length, and from one frame to the next, in seconds.
    seconds : float
        That are kept of the middle of a clip.

    Raises
    ------
    SerError
        If a setting is out of its bounds.

    Examples
    --------
    >>> features = LogMelFeatures()
    >>> features(np.zeros(16_000, np.float32), 16_000).reshape(-1, features.n_mels).shape
    (150, 64)
    """

    sr: int = 16_000
    n_mels: int = 64
    window: float = 0.04
    hop: float = 0.02
    seconds: float = 3.0

    version: ClassVar[int] = 1
    min_samples: ClassVar[int] = 2

    def __post_init__(self) -> None:
        bounds = {
            "sr": (4000, resampling.MAX_SR),
            "n_mels": (8, 256),
            "window": (0.01, 0.2),
            "hop": (0.002, self.window),
            "seconds": (0.2, 60),
        }
        check_bounds(self, bounds)

    @property
    def n_frames(self) -> int:
        """Frames of every clip."""
        return round(self.seconds / self.hop)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """`mel_MM_at_TTTT`: the band, and the frame's time in ms."""
        return tuple(
            f"mel_{band:02d}_at_{1000 * frame * self.hop:04.0f}"
            for frame in range(self.n_frames)
            for band in range(self.n_mels)
        )

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        """Spectrogram of one clip, flat.

        Parameters
        ----------
        y : (n_samples,) float32
        sr : int
            Sampling rate, in Hz.

        Returns
        -------
        (n_frames * n_mels,) float32
            dB.
        """
        y = resampling.resample(level.trim(y, sr), sr, self.sr)
        n_fft = 2 * round(self.window * self.sr / 2)
        frames = spectrum.frame(y, n_fft=n_fft, hop_length=round(self.hop * self.sr))
        magnitude = spectrum.magnitude_spectrum(frames)
        bands = spectrum.decibels(spectrum.mel_frames(magnitude, sr=self.sr, n_mels=self.n_mels))
        start = max(0, (len(bands) - self.n_frames) // 2)
        kept = bands[start : start + self.n_frames]
        whole = np.full((self.n_frames, self.n_mels), bands.min(), dtype=np.float32)
        whole[: len(kept)] = kept
        return whole.ravel()
