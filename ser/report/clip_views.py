"""Everything there is to see of a clip: its samples, spectra and contours, with their axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ser.features import spectrum
from ser.features.filters import fft_frequencies, mel_frequencies
from ser.features.prosody import ProsodyFeatures

N_FFT = 2048  # samples in a frame
HOP_LENGTH = 512  # samples from one frame to the next
N_MELS = 128
N_MFCC = 20
MEL_FMAX = 8000.0  # Hz
LONGEST = 300.0  # seconds that are looked at: what is longer cannot be seen in one picture


@dataclass(frozen=True)
class ClipViews:
    """A clip and what is drawn of it.

    Attributes
    ----------
    title : str
    y : (n_samples,) float32
    sr : int
        Hz.
    power : (n_frames, n_bins) float32
        STFT power spectrogram.
    mel : (n_frames, N_MELS) float32
        Power in mel bands up to `mel_fmax`.
    mfcc : (n_frames, N_MFCC) float32
        dB.
    chroma : (n_frames, 12) float32
        In [0, 1], C first.
    energy : (n_contour,) float32
        dBFS.
    f0 : (n_contour,) float32
        Hz; NaN where there is no voice.
    contour_times : (n_contour,) float64
        Seconds, of `energy` and `f0`.
    """

    title: str
    y: np.ndarray
    sr: int
    power: np.ndarray
    mel: np.ndarray
    mfcc: np.ndarray
    chroma: np.ndarray
    energy: np.ndarray
    f0: np.ndarray
    contour_times: np.ndarray

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.y) / self.sr

    @property
    def times(self) -> np.ndarray:
        """Centres of the spectra's frames, in seconds."""
        return np.arange(len(self.power)) * HOP_LENGTH / self.sr

    @property
    def frequencies(self) -> np.ndarray:
        """Of the columns of `power`, in Hz."""
        return fft_frequencies(self.sr, N_FFT)

    @property
    def mel_fmax(self) -> float:
        """Upper edge of the mel bands, in Hz."""
        return min(MEL_FMAX, self.sr / 2)

    @property
    def mel_centres(self) -> np.ndarray:
        """Of the columns of `mel`, in Hz."""
        return mel_frequencies(N_MELS + 2, self.mel_fmax)[1:-1]


def views(y: np.ndarray, sr: int, title: str, *, prosody: ProsodyFeatures) -> ClipViews:
    """Look at a clip, or at its first `LONGEST` seconds.

    Parameters
    ----------
    y : (n_samples,) float32
    sr : int
        Hz.
    title : str
    prosody : ProsodyFeatures
        Settings of the contours.
    """
    y = y[: int(LONGEST * sr)]
    frames = spectrum.frame(y, n_fft=N_FFT, hop_length=HOP_LENGTH)
    magnitude = spectrum.magnitude_spectrum(frames)
    energy, f0 = prosody.contours(y, sr)
    return ClipViews(
        title=title,
        y=y,
        sr=sr,
        power=np.square(magnitude),
        mel=spectrum.mel_frames(magnitude, sr=sr, n_mels=N_MELS, fmax=min(MEL_FMAX, sr / 2)),
        mfcc=spectrum.mfcc_frames(magnitude, sr=sr, n_mfcc=N_MFCC),
        chroma=spectrum.chroma_frames(magnitude, frames, sr=sr),
        energy=energy,
        f0=f0,
        contour_times=prosody.times(len(energy), sr),
    )
