"""Audio -> vectors: the one way there, for the store, `ser.predict`, the served model and the app.

A recording that cannot be used is an excerpt with its error, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from ser.core import compute
from ser.core.errors import SerError
from ser.core.threads import one_thread
from ser.data.audio import MAX_SAMPLES, AudioError, read_audio, read_blocks
from ser.data.facts import RecordingFacts, facts_of, recording_facts
from ser.data.recordings import Recording, Windows
from ser.features import RESAMPLING, FeatureSet, check_ready
from ser.features.resampling import own_rate, rates_of, resample, resample_blocks

BATCH_RECORDINGS = 16
FEW = 8  # recordings that are done before a second process has started


@dataclass(frozen=True)
class Excerpt:
    """A recording, or a window of one, as a vector.

    Attributes
    ----------
    name : str
        Of the recording.
    speaker : str or None
    vector : (n_features,) float32 or None
        None where it cannot be used.
    start, end : float
        Seconds; NaN for a whole recording.
    error : str
        Why it cannot be used; empty where it can.
    facts : RecordingFacts or None
        What it is like; the duration of a window, which nobody spoke, is NaN. None where it cannot
        be used.
    resampled_from : int or None
        Its rate in Hz, where it was brought to the one of the training clips.
    """

    name: str
    speaker: str | None = None
    vector: np.ndarray | None = None
    start: float = np.nan
    end: float = np.nan
    error: str = ""
    facts: RecordingFacts | None = None
    resampled_from: int | None = None


@dataclass(frozen=True)
class Extractor:
    """How recordings are turned into what a model was trained on.

    Attributes
    ----------
    feature_set : FeatureSet
    trained_sr : int or None
        Lowest sampling rate of the training clips, in Hz. A recording of a lower one is refused;
        one of a higher is brought to it, unless the feature set resamples itself. None where it is
        not known: every recording is taken as it is.
    windows : Windows or None
        Whole recordings unless given.
    max_samples : int
        Most samples that are decoded of one without windows, over all channels.
    resampling : int
        `RESAMPLING` of the training clips. Under another the feature set hears only its own rate.
    """

    feature_set: FeatureSet
    trained_sr: int | None = None
    windows: Windows | None = None
    max_samples: int = MAX_SAMPLES
    resampling: int = RESAMPLING

    @property
    def sr(self) -> int | None:
        """Rate of what the model hears, in Hz; None where it is not known."""
        rates = (own_rate(self.feature_set), self.trained_sr)
        return min((rate for rate in rates if rate is not None), default=None)


@one_thread()  # wherever it is computed, so that it is the same vector to the bit
def extract_samples(y: np.ndarray, sr: int, feature_set: FeatureSet) -> np.ndarray:
    """Vector of samples.

    Parameters
    ----------
    y : (n_samples,) float32
        At least `feature_set.min_samples`.
    sr : int
        Hz.
    feature_set : FeatureSet

    Returns
    -------
    (n_features,) float32

    Raises
    ------
    SerError
        If the settings do not fit the sampling rate.
    """
    return feature_set(y, sr)


def extract_with_facts(
    recording: Recording, feature_sets: Sequence[FeatureSet]
) -> tuple[list[np.ndarray], RecordingFacts]:
    """Vectors of a whole recording, and what the recording is like: for the store.

    Raises
    ------
    AudioError
        If the recording cannot be used, with these settings or with any.
    """
    y, sr = _read(recording, max(of.min_samples for of in feature_sets), MAX_SAMPLES)
    try:
        vectors = [extract_samples(y, sr, of) for of in feature_sets]
    except SerError as error:  # of this recording and these settings: F0 too high for its rate
        raise AudioError(recording.name, str(error).rstrip(".")) from None
    return vectors, recording_facts(y, sr, recording.source)


def extract_excerpts(recording: Recording, extractor: Extractor) -> list[Excerpt]:
    """The recording, or each window of it, as vectors; what cannot be used says why."""
    whole = Excerpt(recording.name, recording.speaker)
    feature_set = extractor.feature_set
    try:
        if extractor.windows is not None:
            return list(_extract_windows(whole, recording, extractor, extractor.windows))
        y, sr = _read(recording, feature_set.min_samples, extractor.max_samples)
        whole, target_sr = _at_rate(whole, sr, extractor)
    except AudioError as error:
        return [replace(whole, error=error.cause)]
    return [_extract_part(whole, resample(y, sr, target_sr), target_sr, feature_set)]


def _extract_windows(
    whole: Excerpt, recording: Recording, extractor: Extractor, windows: Windows
) -> Iterator[Excerpt]:
    """Each window, while the recording is read: of any length, it is never whole in memory."""
    feature_set = extractor.feature_set
    read = read_blocks(recording.source, name=whole.name, min_samples=feature_set.min_samples)
    first, sr = next(read)
    whole, target_sr = _at_rate(whole, sr, extractor)
    blocks = resample_blocks(chain([first], (y for y, _ in read)), sr, target_sr)
    for start, y in windows.cut(blocks, target_sr):
        window = replace(whole, start=start / target_sr, end=(start + len(y)) / target_sr)
        yield _extract_part(window, y, target_sr, feature_set)


def extract_batches(
    recordings: Sequence[Recording], extractor: Extractor, *, n_jobs: int = -1
) -> Iterator[list[Excerpt]]:
    """Excerpts of each recording, in order, some recordings at a time, in parallel.

    Memory does not grow with the number of recordings, and a recording's windows come together.
    """
    from joblib import delayed

    check_ready(extractor.feature_set)
    n_jobs = 1 if len(recordings) <= FEW else n_jobs
    size = 1 if n_jobs == 1 else BATCH_RECORDINGS
    batches = (recordings[i : i + size] for i in range(0, len(recordings), size))
    calls = (delayed(_extract_batch)(batch, extractor) for batch in batches)
    yield from compute.results(calls, n_jobs=n_jobs)


def _extract_batch(batch: Iterable[Recording], extractor: Extractor) -> list[Excerpt]:
    """In a worker."""
    return [excerpt for recording in batch for excerpt in extract_excerpts(recording, extractor)]


def _extract_part(part: Excerpt, y: np.ndarray, sr: int, feature_set: FeatureSet) -> Excerpt:
    """The excerpt with its vector, or why it has none."""
    if len(y) < feature_set.min_samples:
        return replace(part, error=f"{len(y)} samples are too few for a window")
    if not y.any():
        return replace(part, error="silent: all samples are zero")
    try:
        vector = extract_samples(y, sr, feature_set)
    except SerError as error:  # of this recording and these settings: F0 too high for its rate
        return replace(part, error=str(error).rstrip("."))
    facts = facts_of(y, sr)
    if not np.isnan(part.start):
        facts = replace(facts, duration=np.nan)
    return replace(part, vector=vector, facts=facts)


def _at_rate(whole: Excerpt, sr: int, extractor: Extractor) -> tuple[Excerpt, int]:
    """The excerpt of a recording of this rate, and the rate that its samples are to have.

    That is the one of the training clips, or its own where the feature set resamples.

    Raises
    ------
    AudioError
        If the recording has a lower rate, or one that an older ser resampled otherwise.
    """
    heard = extractor.sr
    if extractor.resampling != RESAMPLING and rates_of(extractor.feature_set) - {None, sr}:
        cause = (
            f"its sampling rate is {sr} Hz, and the model is of an older ser, which resampled "
            f"otherwise: it takes {own_rate(extractor.feature_set)} Hz alone. Train it again"
        )
        raise AudioError(whole.name, cause)
    if heard is not None and sr > heard:
        whole = replace(whole, resampled_from=sr)
    if heard is None or extractor.trained_sr is None:
        return whole, sr
    if sr < heard:
        cause = (
            f"its sampling rate is {sr} Hz and the model was trained at {heard} Hz: above "
            f"{sr // 2} Hz it holds nothing that the model was trained on. Train a model with "
            f"features.sr={sr}"
        )
        raise AudioError(whole.name, cause)
    return whole, extractor.trained_sr if own_rate(extractor.feature_set) is None else sr


def _read(recording: Recording, min_samples: int, max_samples: int) -> tuple[np.ndarray, int]:
    return read_audio(
        recording.source,
        name=recording.name,
        min_samples=min_samples,
        max_samples=max_samples,
    )
