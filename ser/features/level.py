"""How loud a clip is: level frame by frame, what is silent, what is clipped."""

from __future__ import annotations

import numpy as np

from ser.features.spectrum import MIN_POWER

SILENCE = 40.0  # dB below the loudest frame: pauses and what surrounds the speech
FULL_SCALE = 0.999  # of the largest sample that a file can hold
CLIPPED_RUN = 3  # samples in a row at full scale: one or two are a peak that just fits


def levels(frames: np.ndarray) -> np.ndarray:
    """Level of every frame.

    Parameters
    ----------
    frames : (n_frames, n_fft) float32
        See `spectrum.frame`.

    Returns
    -------
    (n_frames,) float32
        Root mean square in dB of full scale (dBFS), at least -100: a sine that just fits has -3.
    """
    power = np.einsum("ij,ij->i", frames, frames) / np.float32(frames.shape[1])
    return 10 * np.log10(np.maximum(power, MIN_POWER))


def silent(level: np.ndarray) -> np.ndarray:
    """Which frames lie `SILENCE` or more below the loudest.

    >>> silent(np.array([-20.0, -59.0, -61.0]))
    array([False, False,  True])
    """
    return level <= level.max() - SILENCE


def clipped(y: np.ndarray) -> np.ndarray:
    """Which samples are clipped: at full scale, `CLIPPED_RUN` or more in a row of one sign.

    Parameters
    ----------
    y : (n_samples,) float32
        In [-1, 1], or beyond in a file of floats.

    Returns
    -------
    (n_samples,) bool
    """
    full = np.sign(y) * (np.abs(y) >= FULL_SCALE)
    if not full.any():
        return np.zeros(len(y), dtype=bool)
    edges = np.flatnonzero(np.diff(full)) + 1
    starts, ends = np.append(0, edges), np.append(edges, len(y))
    run = np.repeat(ends - starts, ends - starts)
    return (full != 0) & (run >= CLIPPED_RUN)
