"""Fundamental frequency of a voice, frame by frame: YIN.

A periodic sound differs little from itself one period later. YIN (de Cheveigné & Kawahara 2002)
looks for a lag at which the difference, relative to its mean over shorter lags, dips below a
threshold; where none does, the frame is unvoiced. Of several dips YIN takes the first, which for a
threshold high enough to find breathy and shouted voices is too often a harmonic's: here it is the
first that is nearly as deep as the deepest.

The difference at all lags comes from one FFT of many frames at once, silent frames are left out,
and above 32 kHz a clip is first thinned out: speech's F0 lies far below, and interpolation finds
periods between samples.

References
----------
de Cheveigné & Kawahara (2002), YIN, a fundamental frequency estimator for speech and music, JASA
111(4): 1917-1930, doi 10.1121/1.1458024.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from ser.core.errors import SerError
from ser.features.level import SILENCE

FMIN = 60.0  # Hz: below a low voice of a man
FMAX = 800.0  # Hz: above a woman's shout
THRESHOLD = 0.35  # of d', the normalised difference: what still counts as periodic
NEARLY = 0.05  # of d': a dip is as good as one that is deeper by this
WINDOW = 0.03  # seconds compared with themselves a lag later
RATE = 16_000  # Hz: the lowest that a clip is thinned out to

FRAMES_AT_ONCE = 64  # few enough for the cache


def contour(
    y: np.ndarray,
    sr: int,
    *,
    hop_length: int | None = None,
    fmin: float = FMIN,
    fmax: float = FMAX,
    threshold: float = THRESHOLD,
) -> np.ndarray:
    """F0 contour of a clip: the first of what `estimate` returns.

    Examples
    --------
    >>> t = np.arange(16_000, dtype=np.float32) / 16_000
    >>> hertz = contour(np.sin(2 * np.pi * 150 * t), 16_000)
    >>> float(np.nanmedian(hertz).round(1))
    150.0
    """
    return estimate(y, sr, hop_length=hop_length, fmin=fmin, fmax=fmax, threshold=threshold)[0]


def estimate(
    y: np.ndarray,
    sr: int,
    *,
    hop_length: int | None = None,
    fmin: float = FMIN,
    fmax: float = FMAX,
    threshold: float = THRESHOLD,
) -> tuple[np.ndarray, np.ndarray]:
    """F0 of a clip, and how far from periodic it is, frame by frame.

    Parameters
    ----------
    y : (n_samples,) float32
    sr : int
        Hz.
    hop_length : int, optional
        Samples from one frame to the next; 10 ms unless given. Frame i is centred on sample
        ``i * hop_length``, as those of `spectrum.frame` are.
    fmin, fmax : float
        Bounds of F0 in Hz, above 0 and below a quarter of `sr`.
    threshold : float
        In (0, 1): the largest d' of a voiced frame. Higher finds more voice, and more errors.

    Returns
    -------
    f0 : (1 + n_samples // hop_length,) float32
        Hz; NaN where a frame is unvoiced, or `SILENCE` below the loudest.
    aperiodicity : (1 + n_samples // hop_length,) float32
        d' at the deepest dip, in [0, 1]: 0 for a sound that repeats exactly, 1 where there is none.

    Raises
    ------
    SerError
        If `fmin` and `fmax` are not in their bounds.
    """
    _check_bounds(fmin, fmax, sr)
    hop_length = hop_length or max(1, sr // 100)
    step = max(1, int(sr // RATE))
    thin, rate = _thin_out(y, step), sr / step
    shortest, longest = max(2, int(rate / fmax)), int(np.ceil(rate / fmin)) + 1
    length = (window := round(WINDOW * rate)) + longest
    centres = np.round(np.arange(1 + len(y) // hop_length) * (hop_length / step)).astype(int)
    padded = np.zeros(len(thin) + 2 * length, dtype=np.float32)
    padded[length // 2 : length // 2 + len(thin)] = thin
    # In double precision, as its differences are the energies of all windows.
    squares = np.append(0.0, np.cumsum(np.square(padded), dtype=np.float64))
    energy = (squares[window:] - squares[:-window]).astype(np.float32)
    loud = _loud(squares[centres + length] - squares[centres])
    frames = sliding_window_view(padded, length)
    energies = sliding_window_view(energy, longest + 1)
    lag = np.full(len(centres), np.nan, dtype=np.float32)
    aperiodicity = np.ones(len(centres), dtype=np.float32)
    for i in range(0, len(loud), FRAMES_AT_ONCE):
        batch = loud[i : i + FRAMES_AT_ONCE]
        difference = _difference(frames[centres[batch]], energies[centres[batch]])
        lag[batch], aperiodicity[batch] = _period(difference, shortest, threshold)
    contour = rate / lag
    contour[(contour < fmin) | (contour > fmax)] = np.nan
    return contour, aperiodicity


def _check_bounds(fmin: float, fmax: float, sr: int) -> None:
    if not 0 < fmin < fmax < sr / 4:
        raise SerError(
            f"F0 between fmin={fmin} and fmax={fmax} Hz cannot be looked for at {sr} Hz: give "
            f"0 < fmin < fmax < {sr / 4:g}."
        )


def _thin_out(y: np.ndarray, step: int) -> np.ndarray:
    """Every `step`-th sample, after all above the new half rate is taken away."""
    if step == 1:
        return y.astype(np.float32, copy=False)
    n_samples = -(-len(y) // step)
    n_fft = scipy.fft.next_fast_len(n_samples, real=True)
    spectrum = scipy.fft.rfft(y.astype(np.float32, copy=False), step * n_fft)
    return scipy.fft.irfft(spectrum[: 1 + n_fft // 2], n_fft)[:n_samples] / np.float32(step)


def _loud(power: np.ndarray) -> np.ndarray:
    """Frames that have sound in them, and are worth a look."""
    return np.flatnonzero(power > power.max() * 10 ** (-SILENCE / 10))


def _difference(frames: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Squared difference of each frame's start and what follows it by every lag (eq. 6).

    Parameters
    ----------
    frames : (n_frames, window + longest) float32
    energy : (n_frames, longest + 1) float32
        Sum of squares of the window at every lag.

    Returns
    -------
    (n_frames, longest + 1) float32
        Its first column, lag 0, is 0.
    """
    n_lags = energy.shape[1]
    window = frames.shape[1] - n_lags + 1
    n_fft = scipy.fft.next_fast_len(frames.shape[1], real=True)
    spectrum = scipy.fft.rfft(frames, n_fft, axis=1)
    start = scipy.fft.rfft(frames[:, :window], n_fft, axis=1)
    product = scipy.fft.irfft(np.conj(start) * spectrum, n_fft, axis=1)[:, :n_lags]
    difference = energy[:, :1] + energy - 2 * product
    return np.maximum(difference, 0, out=difference)


def _period(
    difference: np.ndarray, shortest: int, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Lag, between samples, of each frame's period, and d' at its deepest dip.

    The lag is NaN where no dip of d' is below the threshold.

    d' is the difference over its mean up to each lag (eq. 8). A parabola through d at the dip and
    beside it tells where between two samples it is lowest (step 5).
    """
    lags = np.arange(1, difference.shape[1], dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = difference[:, 1:] * lags / np.cumsum(difference[:, 1:], axis=1)
    before, here, after = relative[:, :-2], relative[:, 1:-1], relative[:, 2:]
    dips = np.where((here <= before) & (here < after), here, np.inf)  # of lags 2, 3, ...
    dips[:, : shortest - 2] = np.inf
    deepest = dips.min(axis=1, keepdims=True)
    rows = np.flatnonzero(deepest[:, 0] < threshold)
    lag = 2 + (dips <= deepest + NEARLY).argmax(axis=1)[rows]
    before, here, after = (difference[rows, lag + side] for side in (-1, 0, 1))
    curvature = before - 2 * here + after
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(curvature > 0, 0.5 * (before - after) / curvature, 0)
    period = np.full(len(difference), np.nan, dtype=np.float32)
    period[rows] = lag + np.clip(shift, -0.5, 0.5)
    return period, np.clip(deepest[:, 0], 0, 1)
