"""How loud a clip is: level frame by frame, what is silent, what is clipped."""

from __future__ import annotations

import numpy as np

from ser.data.facts import SILENCE
from ser.features.spectrum import MIN_POWER, frame

FULL_SCALE = 0.999  # of the largest sample that a file can hold
HOP = 0.01  # s between the frames that `trim` looks at
WINDOW = 0.04  # s that each of them lasts
MARGIN = 0.05  # s left around what sounds: the ends of words are quiet
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


def silent(level: np.ndarray, *, below: float = SILENCE) -> np.ndarray:
    """Which frames lie `below` dB or more below the loudest.

    >>> silent(np.array([-20.0, -59.0, -61.0]))
    array([False, False,  True])
    """
    return level <= level.max() - below


def trim(y: np.ndarray, sr: int, *, below: float = SILENCE) -> np.ndarray:
    """The clip without the silence before and after the speech, but for `MARGIN` seconds of it.

    Parameters
    ----------
    y : (n_samples,) float32
    sr : int
        Hz.
    below : float
        dB below the loudest moment, from which on it is silence.

    Returns
    -------
    (n_sounding,) float32
        A view of `y`.

    Examples
    --------
    >>> y = np.zeros(48_000, np.float32)
    >>> y[16_000:32_000] = 0.5
    >>> round(len(trim(y, 16_000)) / 16_000, 2)
    1.12
    """
    hop_length, window = round(HOP * sr), 2 * round(WINDOW * sr / 2)
    level = levels(frame(y, n_fft=window, hop_length=hop_length))
    sounding = np.flatnonzero(~silent(level, below=below)) * hop_length
    margin = round(MARGIN * sr)
    return y[max(0, sounding[0] - margin) : sounding[-1] + margin]


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
