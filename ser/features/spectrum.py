"""The short-time spectrum of a clip, and what is read off it: mel bands, MFCCs, chroma.

Each comes frame by frame (`mel_frames`, `mfcc_frames`, `chroma_frames`), to be looked at or learned
from as a sequence, and as the mean over frames that the tutorial's features are made of.

Definitions and defaults are librosa's (McFee et al. 2015, doi 10.25080/Majora-7b98e3ed-003). What
differs is the work: one STFT serves all and is in single precision, frames are rows so that every
FFT reads contiguous memory, filters are applied to the bins that they cover, means over frames are
taken before a linear step instead of after it, and for a mean no array of a whole clip is made but
the magnitude: what is under way stays in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.fft

from ser.features.chroma_tuning import estimate_tuning
from ser.features.filters import chroma_bank, hann, mel_blocks

# power_to_db's defaults in librosa 0.11, as melspectrogram and mfcc use them.
MIN_POWER = 1e-10
DYNAMIC_RANGE = 80.0  # dB

# Frames worked on at once, few enough for the cache: 256 KiB of samples, 512 KiB of power.
FFT_FRAMES = 32
POWER_FRAMES = 128


def frame(y: np.ndarray, *, n_fft: int, hop_length: int) -> np.ndarray:
    """Centred frames of a clip that is padded with zeros.

    Parameters
    ----------
    y : (n_samples,) float32
    n_fft : int
        Samples in a frame.
    hop_length : int
        Samples from one frame to the next.

    Returns
    -------
    (1 + n_samples // hop_length, n_fft) float32
        A view: frames overlap.
    """
    padded = np.zeros(len(y) + 2 * (n_fft // 2), dtype=np.float32)
    padded[n_fft // 2 : n_fft // 2 + len(y)] = y
    return np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]


def magnitude_spectrum(frames: np.ndarray) -> np.ndarray:
    """Magnitude of the Hann-windowed frames' FFT, in single precision.

    Parameters
    ----------
    frames : (n_frames, n_fft) float32

    Returns
    -------
    (n_frames, 1 + n_fft // 2) float32
        ``numpy.abs(librosa.stft(y)).T``, but for 1e-6 of each frame's largest.
    """
    n_frames, n_fft = frames.shape
    window = hann(n_fft).astype(np.float32)
    windowed = np.empty((min(FFT_FRAMES, n_frames), n_fft), dtype=np.float32)
    magnitude = np.empty((n_frames, 1 + n_fft // 2), dtype=np.float32)
    for i in range(0, n_frames, FFT_FRAMES):
        out = magnitude[i : i + FFT_FRAMES]
        block = np.multiply(frames[i : i + FFT_FRAMES], window, out=windowed[: len(out)])
        np.abs(scipy.fft.rfft(block, axis=1, overwrite_x=True), out=out)
    return magnitude


def decibels(power: np.ndarray, *, reference: float = 1.0) -> np.ndarray:
    """Power in dB, nothing more than `DYNAMIC_RANGE` below the largest.

    Parameters
    ----------
    power : ndarray of float32
        Power spectrum or mel bands of a whole clip.
    reference : float
        Power of 0 dB; the largest of several clips puts them on one scale.

    Returns
    -------
    ndarray of float32
        ``librosa.power_to_db``.
    """
    level = 10.0 * np.log10(np.maximum(power, MIN_POWER))
    level -= np.float32(10.0 * np.log10(max(reference, MIN_POWER)))
    return np.maximum(level, level.max() - DYNAMIC_RANGE, out=level)


def mean_power(magnitude: np.ndarray) -> np.ndarray:
    """Power spectrum, averaged over frames.

    Parameters
    ----------
    magnitude : (n_frames, n_bins) float32

    Returns
    -------
    (n_bins,) float32
    """
    total = np.zeros(magnitude.shape[1], dtype=np.float32)
    for power in _power_blocks(magnitude):
        total += power.sum(axis=0)
    return total / len(magnitude)


def mel_power(power: np.ndarray, *, sr: int, n_mels: int, fmax: float) -> np.ndarray:
    """Power in Slaney's mel bands from 0 Hz to `fmax`.

    Parameters
    ----------
    power : (..., n_bins) float32
        Power spectrum, or its mean over frames (the bands are linear in it).

    Returns
    -------
    (..., n_mels) float32
    """
    mel = np.empty((*power.shape[:-1], n_mels), dtype=np.float32)
    for bands, bins, weights in mel_blocks(sr, 2 * (power.shape[-1] - 1), n_mels, fmax):
        np.matmul(power[..., bins], weights, out=mel[..., bands])
    return mel


def mel_frames(
    magnitude: np.ndarray, *, sr: int, n_mels: int = 128, fmax: float | None = None
) -> np.ndarray:
    """Power of every frame in Slaney's mel bands from 0 Hz to `fmax`.

    Parameters
    ----------
    magnitude : (n_frames, n_bins) float32
    sr : int
        Hz.
    n_mels : int
    fmax : float, optional
        Upper edge, in Hz; sr/2 unless given.

    Returns
    -------
    (n_frames, n_mels) float32
        ``librosa.feature.melspectrogram(y).T``; `decibels` of it is the log-mel spectrogram.
    """
    top = sr / 2 if fmax is None else fmax
    blocks = _power_blocks(magnitude)
    return np.concatenate([mel_power(power, sr=sr, n_mels=n_mels, fmax=top) for power in blocks])


def mfcc_frames(
    magnitude: np.ndarray, *, sr: int, n_mfcc: int = 20, n_mels: int = 128
) -> np.ndarray:
    """MFCCs of every frame: DCT-II of the mel bands (0 Hz to sr/2) in dB.

    Parameters
    ----------
    magnitude : (n_frames, n_bins) float32

    Returns
    -------
    (n_frames, n_mfcc) float32
        ``librosa.feature.mfcc(y).T``.
    """
    bands = decibels(mel_frames(magnitude, sr=sr, n_mels=n_mels))
    return scipy.fft.dct(bands, type=2, norm="ortho", axis=1)[:, :n_mfcc]


def mfcc_mean(magnitude: np.ndarray, *, sr: int, n_mfcc: int, n_mels: int = 128) -> np.ndarray:
    """Mean over frames of `mfcc_frames`: the DCT is linear, so it is taken once, of the mean.

    Parameters
    ----------
    magnitude : (n_frames, n_bins) float32

    Returns
    -------
    (n_mfcc,)
    """
    bands = decibels(mel_frames(magnitude, sr=sr, n_mels=n_mels))
    return scipy.fft.dct(bands.mean(axis=0), type=2, norm="ortho")[:n_mfcc]


def chroma_frames(magnitude: np.ndarray, frames: np.ndarray, *, sr: int) -> np.ndarray:
    """Chromagram: the 12 pitch classes of every frame, C first, scaled to a maximum of 1.

    Parameters
    ----------
    magnitude : (n_frames, n_bins) float32
        Magnitude, not power: the way the tutorial calls ``chroma_stft(S=numpy.abs(stft))``.
    frames : (n_frames, n_fft) float32
        What it is the spectrum of; the tuning estimate looks at some of them again.

    Returns
    -------
    (n_frames, 12) float32
        ``librosa.feature.chroma_stft(S=numpy.abs(stft)).T``. A silent frame is all zero.
    """
    tuning = estimate_tuning(magnitude, frames, sr=sr)
    chroma = magnitude @ chroma_bank(sr, frames.shape[1], tuning).T
    peak = chroma.max(axis=1, keepdims=True)
    # A silent frame has no largest bin: librosa leaves it as it is.
    peak[peak < np.finfo(chroma.dtype).tiny] = 1.0
    return chroma / peak


def chroma_mean(magnitude: np.ndarray, frames: np.ndarray, *, sr: int) -> np.ndarray:
    """Mean over frames of `chroma_frames`.

    Returns
    -------
    (12,)
    """
    return chroma_frames(magnitude, frames, sr=sr).mean(axis=0)


def _power_blocks(magnitude: np.ndarray) -> Iterator[np.ndarray]:
    """Power of some frames after the other, each time in the same memory."""
    memory = np.empty((min(POWER_FRAMES, len(magnitude)), magnitude.shape[1]), dtype=np.float32)
    for i in range(0, len(magnitude), POWER_FRAMES):
        block = magnitude[i : i + POWER_FRAMES]
        yield np.square(block, out=memory[: len(block)])
