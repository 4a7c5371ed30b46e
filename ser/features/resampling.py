"""Clips at one sampling rate, before anything is measured in samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from ser.core.errors import SerError
from ser.features import FeatureSet

MIN_SR, MAX_SR = 1000, 768_000  # Hz


def resample(y: np.ndarray, sr: float, target_sr: float) -> np.ndarray:
    """A clip at another sampling rate, by soxr ("HQ").

    What lies above half of the lower rate is filtered out, to less than -100 dB, and what lies
    below 0.9 times that half is left as it is. A clip that is raised to a higher rate holds nothing
    above half of its own.

    Parameters
    ----------
    y : (n_samples,) float32
    sr : float
        Its rate, in Hz.
    target_sr : float
        The rate it is to have, in Hz.

    Returns
    -------
    (n_samples * target_sr / sr,) float32
        Rounded; none of a clip that is shorter than half a sample of the new rate.

    Examples
    --------
    >>> resample(np.zeros(48_000, np.float32), 48_000, 16_000).shape
    (16000,)
    """
    if sr == target_sr:
        return y
    import soxr  # for those who need it

    return soxr.resample(y, sr, target_sr)


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
    import soxr

    stream = soxr.ResampleStream(sr, target_sr, num_channels=1, dtype="float32")
    yield from map(stream.resample_chunk, blocks)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)


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
