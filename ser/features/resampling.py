"""Clips at one sampling rate, before anything is measured in samples."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

MIN_SR, MAX_SR = 1000, 768_000  # Hz
# Of the ratio of two rates. The filter has 20 taps for each: an odd rate that a header claims, such
# as 767 999 Hz, would ask for a gigabyte. Rates up to this one are met exactly.
MAX_DENOMINATOR = 192_000


def resample(y: np.ndarray, sr: int, target_sr: int) -> np.ndarray:
    """A clip at another sampling rate, by a polyphase filter (`scipy.signal.resample_poly`).

    What lies above half of the lower rate is filtered out. A clip that is raised to a higher rate
    holds nothing above half of its own.

    Parameters
    ----------
    y : (n_samples,) float32
    sr : int
        Its rate, in Hz.
    target_sr : int
        The rate it is to have, in Hz.

    Returns
    -------
    (ceil(n_samples * target_sr / sr),) float32
        To a sample, where the ratio is not met exactly.

    Examples
    --------
    >>> resample(np.zeros(48_000, np.float32), 48_000, 16_000).shape
    (16000,)
    """
    if sr == target_sr:
        return y
    from scipy.signal import resample_poly  # half a second, for those who need it

    ratio = Fraction(target_sr, sr).limit_denominator(MAX_DENOMINATOR)
    return resample_poly(y, ratio.numerator, ratio.denominator).astype(np.float32, copy=False)
