"""The tutorial's 180 features: means over frames of 12 chroma, 128 mel bands and 40 MFCCs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ser.core.errors import SerError
from ser.features import check_bounds, resampling, spectrum
from ser.features.filters import PITCH_CLASSES


@dataclass(frozen=True, kw_only=True)
class NotebookFeatures:
    """Means over frames of chroma, mel power and MFCCs, in this order, with librosa's defaults.

    The numbers are those of ``chroma_stft(S=abs(stft(y)))``, ``melspectrogram(y, fmax=8000)`` and
    ``mfcc(y, n_mfcc=40)``, each averaged over time, from one STFT instead of three.

    Parameters
    ----------
    chroma : bool
        Whether the 12 pitch classes are in: `chroma_c`, `chroma_c#`, ... `chroma_b`.
    n_mels : int
        Mel bands from 0 Hz to `fmax`, `mel_000`, ...; 0 leaves them out.
    n_mfcc : int
        MFCCs from 128 mel bands up to sr/2, `mfcc_00`, ...; at most 128, 0 leaves them out.
    fmax : float
        Upper edge of the mel bands, in Hz.
    n_fft : int
        Samples in a frame, even.
    hop_length : int
        Samples from one frame to the next.
    sr : int or None
        Rate that clips are resampled to first, in Hz. Without it each clip is taken at its own:
        frames of `n_fft` samples and MFCCs up to sr/2 then mean other times and frequencies in
        clips of other rates (`resampling.at_one_rate` sees to it that there are none).

    Raises
    ------
    SerError
        If a setting is out of its bounds, or no group is switched on.

    Examples
    --------
    >>> len(NotebookFeatures().names)
    180
    >>> NotebookFeatures(n_mels=0, n_mfcc=0)(np.zeros(4096, np.float32), 48_000).shape
    (12,)
    """

    chroma: bool = True
    n_mels: int = 128
    n_mfcc: int = 40
    fmax: float = 8000.0
    n_fft: int = 2048
    hop_length: int = 512
    sr: int | None = None

    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        bounds = {"n_mels": (0, 1024), "n_mfcc": (0, 128), "n_fft": (16, 1 << 16)}
        bounds |= {"hop_length": (max(1, self.n_fft // 64), self.n_fft), "fmax": (1, 1_000_000)}
        check_bounds(self, bounds)
        resampling.check_rate(self.sr)
        if self.n_fft % 2:
            raise SerError(f"features.n_fft={self.n_fft} is odd; give an even number of samples.")
        if not self.names:
            raise SerError("All feature groups are off: switch on chroma, n_mels or n_mfcc.")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in the order of the vector."""
        chroma = tuple(f"chroma_{c}" for c in PITCH_CLASSES) if self.chroma else ()
        mel = tuple(f"mel_{i:03d}" for i in range(self.n_mels))
        mfcc = tuple(f"mfcc_{i:02d}" for i in range(self.n_mfcc))
        return chroma + mel + mfcc

    @property
    def min_samples(self) -> int:
        """Samples that one analysis frame needs."""
        return self.n_fft

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        """Feature vector of one clip.

        Parameters
        ----------
        y : (n_samples,) float32
            At least `min_samples` samples.
        sr : int
            Sampling rate, in Hz.

        Returns
        -------
        (len(names),) float32
        """
        if self.sr is not None:
            y, sr = resampling.resample(y, sr, self.sr), self.sr
        frames = spectrum.frame(y, n_fft=self.n_fft, hop_length=self.hop_length)
        magnitude = spectrum.magnitude_spectrum(frames)
        groups = []
        if self.chroma:
            groups.append(spectrum.chroma_mean(magnitude, frames, sr=sr))
        if self.n_mels:
            # The bands are linear in power: those of the mean are the mean of the bands.
            power = spectrum.mean_power(magnitude)
            groups.append(spectrum.mel_power(power, sr=sr, n_mels=self.n_mels, fmax=self.fmax))
        if self.n_mfcc:
            groups.append(spectrum.mfcc_mean(magnitude, sr=sr, n_mfcc=self.n_mfcc))
        return np.concatenate(groups).astype(np.float32, copy=False)
