"""The sound itself, for models that learn how to hear it: `ser.models.networks.fine_tuning`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from ser.features import check_bounds, level
from ser.features.resampling import resample

FRAME = 320  # samples: 20 ms, what encoders of speech take one step for


@dataclass(frozen=True, kw_only=True)
class WaveformFeatures:
    """Samples of the trimmed clip at 16 kHz, and before them how many frames of 20 ms are its own.

    A longer clip loses its ends, a shorter one is followed by zeros, which are no part of it: who
    hears it cuts them off.

    Parameters
    ----------
    seconds : float
        That are kept of the middle of a clip, in whole frames.

    Raises
    ------
    SerError
        If a setting is out of its bounds.

    Examples
    --------
    >>> vector = WaveformFeatures()(np.ones(16_000, np.float32), 16_000)
    >>> int(vector[0]), vector.shape
    (50, (64001,))
    """

    seconds: float = 4.0

    version: ClassVar[int] = 1
    min_samples: ClassVar[int] = 2
    sr: ClassVar[int] = 16_000
    stored: ClassVar[str] = "<f2"  # 11 bits of every sample, however quiet

    def __post_init__(self) -> None:
        check_bounds(self, {"seconds": (0.2, 29)})

    @property
    def n_frames(self) -> int:
        """Frames at most."""
        return round(self.seconds * self.sr / FRAME)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """`sound_frames`, and `sound_at_NNNNNN`: the sample's number."""
        return ("sound_frames", *(f"sound_at_{i:06d}" for i in range(self.n_frames * FRAME)))

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        """Samples of one clip.

        Parameters
        ----------
        y : (n_samples,) float32
        sr : int
            Sampling rate, in Hz: brought to 16 kHz.

        Returns
        -------
        (1 + n_frames * FRAME,) float32
            That float16 holds.
        """
        y = resample(level.trim(y, sr), sr, self.sr)
        n_kept = self.n_frames * FRAME
        y = y[max(0, (len(y) - n_kept) // 2) :][:n_kept]
        vector = np.zeros(1 + n_kept, dtype=np.float32)
        vector[0] = max(1, np.ceil(len(y) / FRAME))
        vector[1 : 1 + len(y)] = y
        return vector.astype(self.stored).astype(np.float32)
