"""How far a clip's pitches lie from the semitones of A440: librosa's estimate, at less cost.

The estimate is the fullest of 100 histogram bins, and two of them are often level: a pitch that
moves by a millionth of a semitone can move the estimate by half of one, and the chromagram with it.
So the rounding of a single-precision FFT will not do, and a double-precision one takes twice the
time. Here every decision that such rounding could turn is found, and only the frames that hold one
(a few of a clip) are transformed again in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from ser.features.filters import fft_frequencies, hann, octaves

# Defaults of piptrack and estimate_tuning in librosa 0.11.
PITCH_RANGE = (150.0, 4000.0)  # Hz
PEAK_THRESHOLD = 0.1  # of a frame's largest magnitude
N_BINS = 100  # of the histogram, over one semitone

# What rounding can do, with room to spare: on RAVDESS the two precisions of the FFT differ by 5e-7
# at most, and float32, in which librosa takes a pitch's logarithm, is off by less than 1.5e-3.
MAGNITUDE_ROUNDING = 2e-6  # of a frame's largest magnitude
PITCH_ROUNDING = 4e-3  # of a histogram bin


@dataclass(frozen=True)
class _Peaks:
    """Interpolated spectral peaks; the arrays have one entry for each.

    Attributes
    ----------
    frame : int
    pitch : float32
        In Hz.
    height : float32
        Magnitude.
    pitch_error, height_error : float32
        How far rounding can move them; -inf where they are exact.
    unsure : bool
        Whether rounding decides on its being a peak.
    """

    frame: np.ndarray
    pitch: np.ndarray
    height: np.ndarray
    pitch_error: np.ndarray
    height_error: np.ndarray
    unsure: np.ndarray

    def where(self, mask: np.ndarray) -> _Peaks:
        kept = np.flatnonzero(mask)  # once for all: half of the time
        return _Peaks(*(values.take(kept) for values in vars(self).values()))

    def __add__(self, others: _Peaks) -> _Peaks:
        pairs = zip(vars(self).values(), vars(others).values(), strict=True)
        return _Peaks(*(np.append(*pair) for pair in pairs))


def estimate_tuning(magnitude: np.ndarray, frames: np.ndarray, *, sr: int) -> float:
    """Deviation of the clip's spectral peaks from A440 tuning.

    The mode of the residuals of the stronger half of all peaks between 150 and 4000 Hz:
    ``librosa.estimate_tuning`` with 12 bins an octave.

    Parameters
    ----------
    magnitude : (n_frames, n_bins) float32
        In single precision: see `ser.features.spectrum.magnitude_spectrum`.
    frames : (n_frames, n_fft) float32
        What it is the spectrum of.
    sr : int
        Hz.

    Returns
    -------
    float
        In [-0.5, 0.5), in semitones.
    """
    frequencies = fft_frequencies(sr, frames.shape[1])
    in_range = (frequencies >= PITCH_RANGE[0]) & (frequencies < min(PITCH_RANGE[1], sr / 2))
    # The first and the last bin of the spectrum have one neighbour and cannot be interpolated.
    bins = np.flatnonzero(in_range[1:-1]) + 1
    if bins.size == 0:
        return 0.0
    peaks = _find_peaks(magnitude, bins, sr)
    while peaks.pitch.size:
        median = np.median(peaks.height)
        is_sure = np.ones(len(frames), dtype=bool)
        is_sure[peaks.frame[_in_doubt(peaks, median)]] = False
        doubtful = np.flatnonzero(~is_sure)
        if doubtful.size == 0:
            return _mode(_residual(peaks.pitch[peaks.height >= median]))
        exact = _find_exact_peaks(frames[doubtful], bins, sr)
        exact.frame[:] = doubtful[exact.frame]
        peaks = peaks.where(is_sure.take(peaks.frame)) + exact
    return 0.0


def _find_peaks(magnitude: np.ndarray, bins: np.ndarray, sr: int) -> _Peaks:
    """Peaks of each frame, and all that may be one for what rounding lets tell."""
    largest = magnitude.max(axis=1, keepdims=True)
    floor, before, here, after = _neighbours(magnitude, bins, largest)
    # How far a bin rises above the threshold and its neighbours: it is a peak if it does.
    rise = here - floor
    np.minimum(rise, here - before, out=rise)
    np.minimum(rise, here - after, out=rise)
    error = np.float32(MAGNITUDE_ROUNDING) * largest
    error[largest == 0] = -1  # nothing rises from silence
    peaks = np.flatnonzero(rise >= -error)
    frame, pitch, height, curvature = _interpolate(magnitude, bins, peaks, sr)
    error = error[:, 0].take(frame)
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 where hardly anything sounds
        pitch_error = error * np.float32(4 * sr / _n_fft(magnitude)) / np.abs(curvature)
    return _Peaks(frame, pitch, height, pitch_error, 4 * error, rise.take(peaks) <= error)


def _find_exact_peaks(frames: np.ndarray, bins: np.ndarray, sr: int) -> _Peaks:
    """Peaks of each frame as librosa finds them, from a spectrum in double precision."""
    spectrum = scipy.fft.rfft(frames * hann(frames.shape[1]), axis=1, overwrite_x=True)
    magnitude = np.abs(spectrum.astype(np.complex64))
    floor, before, here, after = _neighbours(magnitude, bins, magnitude.max(axis=1, keepdims=True))
    peaks = np.flatnonzero((here > floor) & (here > before) & (here >= after))
    frame, pitch, height, _ = _interpolate(magnitude, bins, peaks, sr)
    no_error = np.full_like(pitch, -np.inf)
    return _Peaks(frame, pitch, height, no_error, no_error, np.zeros(len(peaks), dtype=bool))


def _neighbours(
    magnitude: np.ndarray, bins: np.ndarray, largest: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Each frame's threshold, and the bins with the ones before and after them."""
    first, end = bins[0], bins[-1] + 1
    before, here, after = (magnitude[:, first + side : end + side] for side in (-1, 0, 1))
    return PEAK_THRESHOLD * largest, before, here, after


def _interpolate(
    magnitude: np.ndarray, bins: np.ndarray, peaks: np.ndarray, sr: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frame, pitch, height and curvature of parabolas through the peaks and their neighbours."""
    frame = peaks // len(bins)
    column = peaks - frame * len(bins) + bins[0]
    position = frame * magnitude.shape[1] + column
    before, top, after = (magnitude.take(position + side) for side in (-1, 0, 1))
    slope = (after - before) / 2
    curvature = after + before - 2 * top
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.abs(slope) < np.abs(curvature)
        shift = np.where(inside, -slope / curvature, np.float32(0))
    pitch = ((column + shift) * float(sr) / _n_fft(magnitude)).astype(magnitude.dtype)
    return frame, pitch, top + 0.5 * slope * shift, curvature


def _in_doubt(peaks: _Peaks, median: float) -> np.ndarray:
    """Whether rounding decides on a peak, on its half, or between bins that may be the fullest."""
    doubt = peaks.unsure | (np.abs(peaks.height - median) <= peaks.height_error)
    strong = np.flatnonzero(peaks.height >= median)
    pitch, pitch_error = peaks.pitch.take(strong), peaks.pitch_error.take(strong)
    position = N_BINS * _residual(pitch)  # in bins, whose edges are the whole numbers
    edge = np.rint(position)
    error = np.float32(12 * N_BINS / np.log(2)) * np.maximum(pitch_error, 0) / pitch
    at_edge = np.abs(position - edge) <= error + np.float32(PITCH_ROUNDING)
    inside = np.floor(position[~at_edge]).astype(int) + N_BINS // 2
    after = (edge[at_edge].astype(int) + N_BINS // 2) % N_BINS
    before = (after - 1) % N_BINS
    fewest = np.bincount(inside, minlength=N_BINS)
    most = fewest + sum(np.bincount(side, minlength=N_BINS) for side in (before, after))
    may_win = most >= fewest.max()
    open_question = (may_win[before] | may_win[after]) & (pitch_error[at_edge] >= 0)
    doubt[strong[at_edge][open_question]] = True
    return doubt


def _residual(pitch: np.ndarray) -> np.ndarray:
    """Deviation of pitches from the nearest semitone, in [-0.5, 0.5): as librosa.pitch_tuning."""
    semitones = 12 * octaves(pitch)
    residual = semitones - np.floor(semitones)
    return np.where(residual >= 0.5, residual - 1, residual)


def _mode(residual: np.ndarray) -> float:
    """Lower edge of the fullest bin, which holds it; of the first where several are."""
    edges = np.linspace(-0.5, 0.5, N_BINS + 1)
    position = N_BINS * residual
    member = np.floor(position).astype(int) + N_BINS // 2
    at_edge = np.abs(position - np.rint(position)) <= PITCH_ROUNDING
    member[at_edge] = np.searchsorted(edges, residual[at_edge], side="right") - 1
    return float(edges[np.argmax(np.bincount(member))])


def _n_fft(magnitude: np.ndarray) -> int:
    return 2 * (magnitude.shape[1] - 1)
