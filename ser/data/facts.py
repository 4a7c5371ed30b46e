"""What a recording is like, apart from what is said in it: rate, channels, level, silence, noise.

Measured of the samples where audio is decoded anyway, and kept by the feature store. What a corpus,
a trained model and a recording to be answered are compared by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import nan
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ser.data.audio import probe

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 0.01  # s: the level is taken of blocks that follow each other
SILENCE = 40.0  # dB below the loudest moment: pauses and what surrounds the speech
NOISE_PERCENTILE = 5  # of the levels of all blocks
FRAME = 1024  # samples of a spectrum
N_FRAMES = 64  # of the loud ones, evenly: more say nothing else
LOUD = 20.0  # dB below the loudest frame
BAND = 60.0  # dB below the spectrum's peak
FLOOR = -100.0  # dBFS: below the rounding of 16-bit samples


@dataclass(frozen=True)
class RecordingFacts:
    """A recording, as its header tells and its samples measure; by default one that is not known.

    Attributes
    ----------
    sr : int
        Sampling rate in Hz; 0 where it is not known.
    channels : int
        0 where it is not known.
    subtype : str
        Encoding of the samples, in libsndfile's words: ``PCM_16``, ``VORBIS``, ...
    duration : float
        Seconds.
    level : float
        Root mean square of all samples, in dB of full scale (dBFS), at least `FLOOR`.
    leading_silence : float
        Seconds before the first `BLOCK` that is less than `SILENCE` below the loudest.
    noise : float
        dBFS of the quietest blocks (5th percentile), at least `FLOOR`.
    bandwidth : float
        Hz: up to where the spectrum of the loud frames stays within `BAND` of its peak. What was
        recorded at a lower rate, or sent by telephone, ends below half of its rate.
    """

    sr: int = 0
    channels: int = 0
    subtype: str = ""
    duration: float = nan
    level: float = nan
    leading_silence: float = nan
    noise: float = nan
    bandwidth: float = nan


NAMES = tuple(field.name for field in fields(RecordingFacts))


def recording_facts(y: np.ndarray, sr: int, source: str | Path | bytes) -> RecordingFacts:
    """Facts of a recording.

    Parameters
    ----------
    y : (n_samples,) float32
        Its samples, mixed to mono, as `audio.read_audio` returns them; at least one.
    sr : int
        Hz.
    source : str, Path or bytes
        The file, or what it holds: its header tells channels and encoding.
    """
    header = probe(source)
    return replace(facts_of(y, sr), channels=header.channels, subtype=header.subtype)


def facts_of(y: np.ndarray, sr: int) -> RecordingFacts:
    """Facts of samples, whatever file they are of: all but `channels` and `subtype`.

    Parameters
    ----------
    y : (n_samples,) float32
        At least one.
    sr : int
        Hz.
    """
    levels = block_levels(y, sr)
    first = int(np.argmax(levels > levels.max() - SILENCE))
    return RecordingFacts(
        sr=sr,
        duration=len(y) / sr,
        level=float(_decibels(np.dot(y, y) / len(y))),
        leading_silence=first * BLOCK,
        noise=float(np.percentile(levels, NOISE_PERCENTILE)),
        bandwidth=bandwidth(y, sr),
    )


def bandwidth(y: np.ndarray, sr: int) -> float:
    """Up to where the spectrum of the loud frames stays within `BAND` of its peak, in Hz.

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal(48_000).astype(np.float32)
    >>> bandwidth(noise, 16_000)
    8000.0
    """
    import scipy.fft  # half of numpy's time; for those who measure

    frames = y if len(y) >= FRAME else np.pad(y, (0, FRAME - len(y)))
    frames = frames[: len(frames) // FRAME * FRAME].reshape(-1, FRAME)
    energy = np.einsum("ij,ij->i", frames, frames)
    loud = np.flatnonzero(energy >= energy.max() * 10 ** (-LOUD / 10))
    loud = loud[np.unique(np.linspace(0, len(loud) - 1, N_FRAMES).astype(int))]
    spectra = scipy.fft.rfft(frames[loud] * np.hanning(FRAME).astype(np.float32), axis=1)
    power = np.convolve((np.abs(spectra) ** 2).mean(axis=0), np.full(5, 0.2), mode="same")
    last = np.flatnonzero(power >= power.max() * 10 ** (-BAND / 10))[-1]
    return float(last * sr / FRAME)


def block_levels(y: np.ndarray, sr: int) -> np.ndarray:
    """Level of every `BLOCK`, in dBFS.

    Parameters
    ----------
    y : (n_samples,) float32
    sr : int
        Hz.

    Returns
    -------
    (n_blocks,) float32
        At least `FLOOR`. What is left over at the end is no block, unless it is all there is.

    Examples
    --------
    >>> block_levels(np.full(400, 0.1, np.float32), 16_000).round(1).tolist()
    [-20.0, -20.0]
    """
    length = min(max(1, round(BLOCK * sr)), len(y))
    blocks = y[: len(y) // length * length].reshape(-1, length)
    return _decibels(np.einsum("ij,ij->i", blocks, blocks) / np.float32(length))


def facts_table(facts: Sequence[RecordingFacts]) -> pd.DataFrame:
    """Facts of several recordings, one row for each, under the names of `RecordingFacts`."""
    import pandas as pd  # a third of a second, that workers need not spend

    # astuple copies each value deeply: half of the time of reading a stored matrix.
    columns = zip(*map(attrgetter(*NAMES), facts), strict=True) if facts else ([] for _ in NAMES)
    return pd.DataFrame(dict(zip(NAMES, columns, strict=True)))


def _decibels(power: np.ndarray) -> np.ndarray:
    return np.maximum(10 * np.log10(np.maximum(power, 1e-30)), FLOOR)
