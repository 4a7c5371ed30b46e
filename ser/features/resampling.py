"""Clips at one sampling rate, before anything is measured in samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from ser.core.errors import SerError
from ser.features import FeatureSet

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

    ratio = _ratio(sr, target_sr)
    return resample_poly(y, ratio.numerator, ratio.denominator).astype(np.float32, copy=False)


def resample_blocks(blocks: Iterable[np.ndarray], sr: int, target_sr: int) -> Iterator[np.ndarray]:
    """A clip that comes in blocks at another sampling rate: the samples of `resample`.

    Parameters
    ----------
    blocks : iterable of (n_samples,) float32
    sr, target_sr : int
        Its rate, and the rate it is to have, in Hz.

    Yields
    ------
    (n_samples,) float32
    """
    if sr == target_sr:
        yield from blocks
        return
    ratio = _ratio(sr, target_sr)
    up, down = ratio.numerator, ratio.denominator
    # Samples on each side that one is made of: the filter has 10 max(up, down) taps there. Blocks
    # are cut where a sample of the new rate lies on one of the old.
    side = (10 * max(up, down) // up // down + 2) * down
    y, n_before = np.empty(0, np.float32), 0  # of y: samples that are done and still reached
    for block in blocks:
        y = np.concatenate([y, block])
        n_ready = (len(y) - n_before - side) // down * down
        if n_ready > 0:
            yield resample(y, sr, target_sr)[n_before * up // down :][: n_ready * up // down]
            keep = n_before + n_ready - side
            n_before = side if keep >= 0 else n_before + n_ready
            y = y[max(keep, 0) :]
    yield resample(y, sr, target_sr)[n_before * up // down :]


def _ratio(sr: int, target_sr: int) -> Fraction:
    return Fraction(target_sr, sr).limit_denominator(MAX_DENOMINATOR)


def at_one_rate(feature_set: FeatureSet, rates: Sequence[int]) -> FeatureSet:
    """The feature set for clips of these sampling rates: of several, it resamples to the lowest.

    The same column would otherwise measure something else in clips of another rate, and a model
    could learn which clips these are.

    Parameters
    ----------
    feature_set : FeatureSet
        Left as it is where it resamples already (its `sr` is set), or where there is one rate. Of
        a union, each set for itself.
    rates : sequence of int
        In Hz, each once.

    Raises
    ------
    SerError
        If it has no `sr`, so that it cannot resample.
    """
    if len(rates) < 2:
        return feature_set
    if (sets := getattr(feature_set, "sets", None)) is not None:
        each = {name: at_one_rate(member, rates) for name, member in sets.items()}
        return replace(feature_set, sets=each)  # type: ignore[type-var]  # a union
    if not hasattr(feature_set, "sr"):
        listed = ", ".join(map(str, sorted(rates)))
        raise SerError(
            f"The clips have several sampling rates ({listed} Hz), and {type(feature_set).__name__}"
            f" cannot resample them, as it has no setting sr. Bring all clips to {min(rates)} Hz, "
            "or choose other features."
        )
    return replace(feature_set, sr=min(rates)) if feature_set.sr is None else feature_set  # type: ignore[type-var]


def rates_of(feature_set: FeatureSet) -> set[int | None]:
    """Rates in Hz that a feature set resamples clips to, of a union those of each of its sets.

    None is among them where some set takes clips as they are.
    """
    if (sets := getattr(feature_set, "sets", None)) is not None:
        return {rate for member in sets.values() for rate in rates_of(member)}
    return {getattr(feature_set, "sr", None)}


def own_rate(feature_set: FeatureSet) -> int | None:
    """Rate in Hz that a feature set brings every recording to; None where it takes some as it is.

    Of a union the highest of its sets.
    """
    rates = rates_of(feature_set)
    return None if None in rates else max(rate for rate in rates if rate is not None)


def check_rate(sr: int | None) -> None:
    """Refuse a setting `sr` that is neither None nor a rate.

    Raises
    ------
    SerError
        If it is no whole number of Hz in `MIN_SR` to `MAX_SR`.
    """
    if sr is None:
        return
    if not isinstance(sr, int) or isinstance(sr, bool):
        raise SerError(f"features.sr={sr!r}: give whole Hz, or null for each clip's own.")
    if not MIN_SR <= sr <= MAX_SR:
        raise SerError(f"features.sr={sr} is not in {MIN_SR} .. {MAX_SR}.")
