"""Audio -> vectors: the one way there, for the store, `ser.predict`, the served model and the app.

A recording that cannot be used is an excerpt with its error, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ser.core import compute
from ser.core.errors import SerError
from ser.core.threads import one_thread
from ser.data.audio import MAX_SAMPLES, AudioError, read_audio
from ser.data.facts import RecordingFacts, recording_facts
from ser.data.recordings import Recording, Windows
from ser.features import FeatureSet

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
    """

    name: str
    speaker: str | None = None
    vector: np.ndarray | None = None
    start: float = np.nan
    end: float = np.nan
    error: str = ""


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


def extract_recording(
    recording: Recording, feature_set: FeatureSet, *, max_samples: int = MAX_SAMPLES
) -> np.ndarray:
    """Vector of a whole recording.

    Parameters
    ----------
    recording : Recording
    feature_set : FeatureSet
    max_samples : int
        Most samples that are decoded, over all channels.

    Returns
    -------
    (n_features,) float32

    Raises
    ------
    AudioError
        If the recording cannot be used, with these settings or with any.
    """
    y, sr = _read(recording, feature_set, max_samples)
    return _extract_whole(recording, y, sr, feature_set)


def extract_with_facts(
    recording: Recording, feature_set: FeatureSet
) -> tuple[np.ndarray, RecordingFacts]:
    """Vector of a whole recording, as `extract_recording` has it, and what the recording is like.

    Raises
    ------
    AudioError
        If the recording cannot be used, with these settings or with any.
    """
    y, sr = _read(recording, feature_set, MAX_SAMPLES)
    vector = _extract_whole(recording, y, sr, feature_set)
    return vector, recording_facts(y, sr, recording.source)


def extract_excerpts(
    recording: Recording, feature_set: FeatureSet, windows: Windows | None = None
) -> list[Excerpt]:
    """The recording, or each window of it, as vectors; what cannot be used says why."""
    try:
        if windows is None:
            whole = extract_recording(recording, feature_set)
            return [Excerpt(recording.name, recording.speaker, whole)]
        y, sr = _read(recording, feature_set, MAX_SAMPLES)
    except AudioError as error:
        return [Excerpt(recording.name, recording.speaker, error=error.cause)]
    length, excerpts = round(windows.seconds * sr), []
    for start in windows.starts(len(y), sr).tolist():
        window = y[start : start + length]
        vector, cause = _extract_window(window, sr, feature_set)
        times = (start / sr, (start + len(window)) / sr)
        excerpts.append(Excerpt(recording.name, recording.speaker, vector, *times, cause))
    return excerpts


def extract_batches(
    recordings: Sequence[Recording],
    feature_set: FeatureSet,
    *,
    windows: Windows | None = None,
    n_jobs: int = -1,
) -> Iterator[list[Excerpt]]:
    """Excerpts of each recording, in order, some recordings at a time, in parallel.

    Memory does not grow with the number of recordings, and a recording's windows come together.
    """
    from joblib import delayed

    n_jobs = 1 if len(recordings) <= FEW else n_jobs
    size = 1 if n_jobs == 1 else BATCH_RECORDINGS
    batches = (recordings[i : i + size] for i in range(0, len(recordings), size))
    calls = (delayed(_extract_batch)(batch, feature_set, windows) for batch in batches)
    yield from compute.results(calls, n_jobs=n_jobs)


def _extract_batch(
    batch: Iterable[Recording], feature_set: FeatureSet, windows: Windows | None
) -> list[Excerpt]:
    """In a worker."""
    return [
        excerpt
        for recording in batch
        for excerpt in extract_excerpts(recording, feature_set, windows)
    ]


def _extract_whole(
    recording: Recording, y: np.ndarray, sr: int, feature_set: FeatureSet
) -> np.ndarray:
    try:
        return extract_samples(y, sr, feature_set)
    except SerError as error:  # of this recording and these settings: F0 too high for its rate
        raise AudioError(recording.name, str(error).rstrip(".")) from None


def _extract_window(
    y: np.ndarray, sr: int, feature_set: FeatureSet
) -> tuple[np.ndarray | None, str]:
    """Its vector, or why it has none."""
    if len(y) < feature_set.min_samples:
        return None, f"{len(y)} samples are too few for a window"
    if not y.any():
        return None, "silent: all samples are zero"
    try:
        return extract_samples(y, sr, feature_set), ""
    except SerError as error:
        return None, str(error).rstrip(".")


def _read(
    recording: Recording, feature_set: FeatureSet, max_samples: int
) -> tuple[np.ndarray, int]:
    return read_audio(
        recording.source,
        name=recording.name,
        min_samples=feature_set.min_samples,
        max_samples=max_samples,
    )
