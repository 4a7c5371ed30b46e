"""The short-time spectrum of a clip, and what is read off it: mel bands, MFCCs, chroma, tuning.

Definitions and defaults are librosa's (McFee et al. 2015, doi 10.25080/Majora-7b98e3ed-003). What
differs is the work: one STFT serves all, frames are rows so that every FFT reads contiguous memory,
sparse filters are applied as sparse ones, and means over frames are taken before a linear step
instead of after it.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from ser.features.filters import chroma_bank, fft_frequencies, hann, mel_bank, pitch_tuning

# piptrack's and power_to_db's defaults in librosa 0.11.
TUNING_RANGE = (150.0, 4000.0)  # Hz
PEAK_THRESHOLD = 0.1  # of a frame's largest magnitude
TUNING_RESOLUTION = 0.01  # of a semitone
MIN_POWER = 1e-10
DYNAMIC_RANGE = 80.0  # dB

BLOCK_FRAMES = 64  # frames transformed at once: what is under way stays in the cache


def magnitude_spectrum(y: np.ndarray, *, n_fft: int, hop_length: int) -> np.ndarray:
    """Magnitude of the Hann-windowed STFT of zero-padded, centred frames.

    Parameters
    ----------
    y : (n_samples,) float32
    n_fft : int
        Samples in a frame.
    hop_length : int
        Samples from one frame to the next.

    Returns
    -------
    (1 + n_samples // hop_length, 1 + n_fft // 2) float32
        ``numpy.abs(librosa.stft(y)).T``, bit for bit.
    """
    padded = np.pad(y, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    # The window is float64, so the FFT is in double precision, as librosa's is. Single precision
    # halves its time but moves the tuning estimate, and so the chroma, of 20 RAVDESS clips: the
    # mode of a histogram jumps where two of its bins are level.
    magnitude = np.empty((len(frames), 1 + n_fft // 2), dtype=np.float32)
    for i in range(0, len(frames), BLOCK_FRAMES):
        windowed = frames[i : i + BLOCK_FRAMES] * hann(n_fft)
        spectrum = scipy.fft.rfft(windowed, axis=1, overwrite_x=True).astype(np.complex64)
        np.abs(spectrum, out=magnitude[i : i + BLOCK_FRAMES])
    return magnitude


def mel_power(power: np.ndarray, *, sr: int, n_mels: int, fmax: float) -> np.ndarray:
    """Power in Slaney's mel bands from 0 Hz to `fmax`.

    Parameters
    ----------
    power : (..., n_bins)
        Power spectrum, or its mean over frames (the bands are linear in it).

    Returns
    -------
    (..., n_mels)
    """
    bank = mel_bank(sr, 2 * (power.shape[-1] - 1), n_mels, fmax)
    return (bank @ power.T).T


def mfcc_mean(power: np.ndarray, *, sr: int, n_mfcc: int, n_mels: int = 128) -> np.ndarray:
    """Mean over frames of the MFCCs: DCT-II of the mel bands (0 Hz to sr/2) in dB.

    The DCT is linear, so it is taken once, of the mean.

    Parameters
    ----------
    power : (n_frames, n_bins)

    Returns
    -------
    (n_mfcc,)
    """
    bands = mel_power(power, sr=sr, n_mels=n_mels, fmax=sr / 2)
    decibels = 10.0 * np.log10(np.maximum(bands, MIN_POWER))
    np.maximum(decibels, decibels.max() - DYNAMIC_RANGE, out=decibels)
    return scipy.fft.dct(decibels.mean(axis=0), type=2, norm="ortho")[:n_mfcc]


def chroma_mean(magnitude: np.ndarray, *, sr: int) -> np.ndarray:
    """Mean over frames of the 12-bin chromagram, each frame scaled to a maximum of 1.

    Parameters
    ----------
    magnitude : (n_frames, n_bins)
        Magnitude, not power: the way the tutorial calls ``chroma_stft(S=numpy.abs(stft))``.

    Returns
    -------
    (12,)
    """
    n_fft = 2 * (magnitude.shape[1] - 1)
    chroma = magnitude @ chroma_bank(sr, n_fft, estimate_tuning(magnitude, sr=sr)).T
    peak = chroma.max(axis=1, keepdims=True)
    # A silent frame has no largest bin: librosa leaves it as it is.
    peak[peak < np.finfo(chroma.dtype).tiny] = 1.0
    return (chroma / peak).mean(axis=0)


def estimate_tuning(magnitude: np.ndarray, *, sr: int) -> float:
    """Deviation of the clip's spectral peaks from A440 tuning.

    librosa's ``estimate_tuning`` with 12 bins an octave: the mode of the residuals of the stronger
    half of all peaks between 150 and 4000 Hz. Only those bins are interpolated here (they are a
    sixth of the spectrum at 48 kHz), and only at the peaks.

    Parameters
    ----------
    magnitude : (n_frames, n_bins)

    Returns
    -------
    float
        In [-0.5, 0.5), in semitones.
    """
    frequencies = fft_frequencies(sr, 2 * (magnitude.shape[1] - 1))
    in_range = (frequencies >= TUNING_RANGE[0]) & (frequencies < min(TUNING_RANGE[1], sr / 2))
    bins = np.flatnonzero(in_range)
    if bins.size == 0:
        return 0.0
    # The first and the last bin of the spectrum have one neighbour and cannot be interpolated.
    first, last = max(bins[0], 1), min(bins[-1], magnitude.shape[1] - 2)
    left = magnitude[:, first - 1 : last]
    here = magnitude[:, first : last + 1]
    right = magnitude[:, first + 1 : last + 2]
    floor = PEAK_THRESHOLD * magnitude.max(axis=1, keepdims=True)
    peaks = np.nonzero((here > floor) & (here > left) & (here >= right))
    if peaks[0].size == 0:
        return 0.0
    below, top, above = left[peaks], here[peaks], right[peaks]
    slope = (above - below) / 2
    curvature = above + below - 2 * top
    inside = np.abs(slope) < np.abs(curvature)
    shift = np.where(inside, -slope / np.where(inside, curvature, 1), np.float32(0))
    pitch = ((peaks[1] + first + shift) * float(sr) / (2 * (magnitude.shape[1] - 1))).astype(
        magnitude.dtype
    )
    height = top + 0.5 * slope * shift
    return pitch_tuning(pitch[height >= np.median(height)], resolution=TUNING_RESOLUTION)
