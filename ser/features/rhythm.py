"""Rhythm of a clip, and the small irregularities of its voice: what no single frame tells."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ser.features.descriptors import Descriptors

PERTURBATIONS = ("jitter_mean", "jitter_median", "shimmer_mean", "shimmer_median")
MODULATIONS = (0.5, 1.5, 3, 5, 8, 12, 20)  # Hz: edges; syllables come 3 to 8 times a second
RHYTHM = (
    "duration",  # s
    "voiced_share",
    "sounding_share",
    "voiced_segments_per_second",
    "voiced_segment_mean",  # s
    "voiced_segment_std",
    "voiced_segment_max",
    "pauses_per_second",
    "pause_mean",  # s
    "pause_max",
    "level_peaks_per_second",  # syllables, nearly
    *(f"modulation_{a:g}_{b:g}" for a, b in pairwise(MODULATIONS)),
)

PEAK = 25.0  # dB below the loudest frame: what counts as a syllable
SMOOTHING = 9  # frames that the level is smoothed over before its peaks are counted
ENVELOPE_FFT = 512  # points: 5 s at 100 frames a second, longer clips are folded


def perturbations(clip: Descriptors) -> np.ndarray:
    """How F0 and level jump from one voiced frame to the next: what makes a voice tremble.

    Returns
    -------
    (len(PERTURBATIONS),) float
        Of periods over their mean, and of levels in dB; 0 where no two neighbours are voiced.
    """
    both = clip.voiced[1:] & clip.voiced[:-1]
    if both.sum() < 2:
        return np.zeros(len(PERTURBATIONS), dtype=np.float32)
    period = 2 ** (-clip.f0 / 12)
    jitter = np.abs(np.diff(period))[both] / period[clip.voiced].mean()
    shimmer = np.abs(np.diff(clip.spectral["level"]))[both]
    return np.array([f(values) for values in (jitter, shimmer) for f in (np.mean, np.median)])


def rhythm(clip: Descriptors, *, frames_per_second: float, duration: float) -> np.ndarray:
    """How long, how much of it voiced, in how many pieces, with which pauses, how fast.

    Parameters
    ----------
    clip : Descriptors
    frames_per_second : float
    duration : float
        In seconds.

    Returns
    -------
    (len(RHYTHM),) float64
    """
    segments = _lengths(clip.voiced) / frames_per_second
    pauses = _lengths(~clip.sounding) / frames_per_second
    energy = clip.spectral["level"]
    rate = [len(segments) / duration, *_summary(segments)]
    rate += [len(pauses) / duration, *np.take(_summary(pauses), (0, 2))]
    shares = [clip.voiced.mean(), clip.sounding.mean()]
    modulation = _modulation(energy, frames_per_second)
    return np.array([duration, *shares, *rate, _peaks(energy) / duration, *modulation])


def _lengths(mask: np.ndarray) -> np.ndarray:
    """Lengths of the runs of True, in frames.

    >>> _lengths(np.array([True, True, False, True])).tolist()
    [2, 1]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return edges[1::2] - edges[::2]


def _summary(lengths: np.ndarray) -> tuple[float, float, float]:
    return (lengths.mean(), lengths.std(), lengths.max()) if len(lengths) else (0.0, 0.0, 0.0)


def _peaks(energy: np.ndarray) -> int:
    """Peaks of the smoothed level."""
    window = np.hanning(SMOOTHING + 2)[1:-1]
    padded = np.pad(energy, SMOOTHING // 2, mode="edge")
    smooth = np.convolve(padded, window / window.sum(), mode="valid")
    here = smooth[1:-1]
    peak = (here > smooth[:-2]) & (here >= smooth[2:]) & (here > energy.max() - PEAK)
    return int(peak.sum())


def _modulation(energy: np.ndarray, frames_per_second: float) -> np.ndarray:
    """Power of the envelope's own spectrum, in the bands of `MODULATIONS`, in powers of ten."""
    envelope = 10 ** (energy / 20)
    envelope = envelope / envelope.mean() - 1
    folded = np.zeros(-(-len(envelope) // ENVELOPE_FFT) * ENVELOPE_FFT)
    folded[: len(envelope)] = envelope
    power = np.square(np.abs(np.fft.rfft(folded.reshape(-1, ENVELOPE_FFT), axis=1))).sum(axis=0)
    frequencies = np.fft.rfftfreq(ENVELOPE_FFT, 1 / frames_per_second)
    edges = np.searchsorted(frequencies, MODULATIONS)
    bands = [power[a : max(b, a + 1)].mean() for a, b in pairwise(edges)]
    return np.log10(np.array(bands) / len(envelope) + 1e-6)
