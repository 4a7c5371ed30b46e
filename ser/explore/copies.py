"""The same recording twice: re-encoded, resampled, trimmed or louder, found by a fingerprint.

A fingerprint is the clip's level in a few bands of the telephone range every 10 ms, so that rate,
codec and gain leave it as it is. Copies have the same at some offset; another take of the same line
by the same person has not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np
import pandas as pd
from scipy.fft import rfft
from scipy.signal import fftconvolve
from scipy.spatial import cKDTree

from ser.core import compute
from ser.core.progress import bar
from ser.data.audio import AudioError, read_audio

BANDS = np.geomspace(150, 3400, 13)  # Hz: edges; every codec keeps what lies between
HOP, WINDOW = 0.01, 0.064  # s: a copy may start between two frames of the other
RANGE = 40.0  # dB below the loudest: what lies deeper is noise, and differs between codecs
# Mean distance (dB) of two long-term spectra, below which the nearest clips are compared in time.
NEAR, NEIGHBOURS = 1.5, 8
# Correlation of two fingerprints in time: copies have 0.991 or more, two takes of one line by one
# person 0.96 at most (RAVDESS).
SAME = 0.988
MIN_OVERLAP = 0.7  # of the shorter clip: the rest of it may have been cut from the other
BATCH_CLIPS = 32


def near_copies(paths: Sequence[str], *, n_jobs: int = -1) -> pd.Series:
    """Which clips are copies of an earlier one, though not to the sample.

    Parameters
    ----------
    paths : sequence of str
        Without copies to the sample. What cannot be read has no copy.
    n_jobs : int
        Workers on this machine; -1 for one per core.

    Returns
    -------
    Series of str
        Path -> path of the first clip that it is a copy of.
    """
    known = dict(_fingerprints(list(paths), n_jobs))
    named = [path for path in paths if path in known]
    if len(named) < 2:
        return pd.Series(dtype=object)
    prints = [known[path] for path in named]
    spectra = np.array([_long_term(each) for each in prints])
    radius = NEAR * np.sqrt(spectra.shape[1])
    k = min(1 + NEIGHBOURS, len(named))
    near = cKDTree(spectra).query(spectra, k=k, distance_upper_bound=radius)[1]
    pairs = {(min(i, j), max(i, j)) for i, row in enumerate(near.tolist()) for j in row}
    copies: dict[str, str] = {}
    for first, second in sorted(pairs):
        if first == second or second == len(named) or named[second] in copies:
            continue  # a clip is its own nearest; where there are fewer, the rest have no number
        if similarity(prints[first], prints[second]) >= SAME:
            copies[named[second]] = copies.get(named[first], named[first])
    return pd.Series(copies, dtype=object)


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two fingerprints, at the offset where it is highest.

    Parameters
    ----------
    one, other : (n_frames, n_bands)
        Of two clips: see `fingerprint`.

    Examples
    --------
    >>> levels = np.random.default_rng(0).normal(size=(100, 12))
    >>> round(similarity(levels, levels[20:95]), 6)
    1.0
    """
    a, b = (each - each.mean(dtype=np.float64) for each in (one, other))
    n, m = len(a), len(b)
    offset = np.arange(1 - m, n)  # of b's first frame in a
    start, end = np.maximum(offset, 0), np.minimum(offset + m, n)
    overlap = end - start
    count = overlap * a.shape[1]

    def sums(values: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Of the frames that overlap at each offset."""
        total = np.concatenate([[0.0], np.cumsum(values.sum(axis=1))])
        return total[first + overlap] - total[first]

    product = fftconvolve(a, b[::-1], axes=0).sum(axis=1)
    mean_a, mean_b = sums(a, start) / count, sums(b, start - offset) / count
    spread_a = sums(a**2, start) - count * mean_a**2
    spread_b = sums(b**2, start - offset) - count * mean_b**2
    scale = np.sqrt(np.maximum(spread_a * spread_b, 1e-9))
    long_enough = overlap >= MIN_OVERLAP * min(n, m)
    return float(((product - count * mean_a * mean_b) / scale)[long_enough].max())


def fingerprint(y: np.ndarray, sr: int) -> np.ndarray:
    """Level of each band in each frame.

    Parameters
    ----------
    y : (n_samples,) float32
    sr : int
        Hz.

    Returns
    -------
    (n_frames, n_bands) float32
        dB below the loudest, from 0 to ``-RANGE``.
    """
    n_fft, hop = round(WINDOW * sr), max(1, round(HOP * sr))
    y = np.pad(y, (n_fft // 2, n_fft // 2))
    frames = np.lib.stride_tricks.sliding_window_view(y, n_fft)[::hop]
    edges = np.round(BANDS * n_fft / sr).astype(int)
    spectrum = rfft(frames * np.hanning(n_fft).astype(np.float32), axis=1)[:, : edges[-1]]
    summed = np.cumsum(spectrum.real**2 + spectrum.imag**2, axis=1, dtype=np.float64)
    power = np.diff(summed[:, np.minimum(edges, summed.shape[1]) - 1], axis=1)
    level = 10 * np.log10(np.maximum(power, 1e-12))
    return np.maximum(level - level.max(), -RANGE).astype(np.float32)


def _long_term(levels: np.ndarray) -> np.ndarray:
    """Mean, but for gain, and deviation of each band over the frames that sound."""
    sounding = levels[levels.max(axis=1) > -RANGE].astype(np.float32)
    means = sounding.mean(axis=0)
    return np.concatenate([means - means.mean(), sounding.std(axis=0)])


def _fingerprints(paths: list[str], n_jobs: int) -> Iterator[tuple[str, np.ndarray]]:
    """Path and fingerprint of each clip, in parallel, with a bar."""
    from joblib import delayed

    batches = [paths[i : i + BATCH_CLIPS] for i in range(0, len(paths), BATCH_CLIPS)]
    calls = (delayed(_batch)(batch) for batch in batches)
    with bar(total=len(paths), desc="Comparing", unit="clip") as drawn:
        for batch in compute.results(calls, n_jobs=n_jobs):
            yield from batch
            drawn.update(min(BATCH_CLIPS, drawn.total - drawn.n))


def _batch(paths: list[str]) -> list[tuple[str, np.ndarray]]:
    """In a worker."""
    found = []
    for path in paths:
        with suppress(AudioError):
            levels = fingerprint(*read_audio(path))
            found.append((path, np.round(levels).astype(np.int8)))  # a quarter of the memory
    return found
