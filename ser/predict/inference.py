"""A trained model on recordings, in parallel and in flat memory: one row for each clip, or window.

Workers turn audio into feature vectors; the main process asks the model. A clip that cannot be used
is a row with its error, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ser.core import compute
from ser.core.errors import SerError
from ser.core.threads import one_thread
from ser.data.audio import AudioError, read_audio
from ser.features import FeatureSet
from ser.models.trained import TrainedModel
from ser.predict.recordings import Recording

BATCH_CLIPS = 16
ALONE = 8  # recordings that are done before a second process has started


@dataclass(frozen=True)
class Windows:
    """How a long recording is cut: equal windows, the last one aligned to the end.

    Attributes
    ----------
    seconds : float
        Length of each.
    hop : float
        From the start of one to that of the next, in seconds.
    """

    seconds: float
    hop: float

    def __post_init__(self) -> None:
        if not 0.1 <= self.seconds <= 3600 or not 0.01 <= self.hop <= 3600:
            raise SerError(
                f"window={self.seconds} hop={self.hop}: give seconds, from 0.1 and from 0.01 on."
            )

    def starts(self, n_samples: int, sr: int) -> np.ndarray:
        """First sample of each window; 0 alone for a recording that is shorter than one.

        >>> Windows(2.0, 1.0).starts(45, 10).tolist()
        [0, 10, 20, 25]
        """
        last = max(n_samples - round(self.seconds * sr), 0)
        starts = np.arange(0, last + 1, max(round(self.hop * sr), 1))
        return starts if starts[-1] == last else np.append(starts, last)


@dataclass(frozen=True)
class Heard:
    """A recording, or a window of one, as features; then with what the model makes of it.

    Attributes
    ----------
    name : str
    speaker : str or None
    vector : (n_features,) float32 or None
        None where the recording cannot be used.
    start, end : float
        Seconds; NaN for a whole recording.
    error : str
        Why it cannot be used; empty where it can.
    proba : (n_emotions,) float64 or None
    """

    name: str
    speaker: str | None = None
    vector: np.ndarray | None = None
    start: float = np.nan
    end: float = np.nan
    error: str = ""
    proba: np.ndarray | None = None


def predict_recordings(
    model: TrainedModel,
    wanted: Sequence[Recording],
    *,
    windows: Windows | None = None,
    n_jobs: int = -1,
) -> Iterator[list[Heard]]:
    """What the model makes of each recording, in order.

    Parameters
    ----------
    model : TrainedModel
    wanted : sequence of Recording
    windows : Windows, optional
        Cut each recording; whole unless given.
    n_jobs : int
        Workers on this machine; -1 for one per core.

    Yields
    ------
    list of Heard
        Of some recordings. A transductive model is asked last, when all of each speaker is heard,
        and everything comes at once.

    Raises
    ------
    SerError
        If a transductive model is not told who speaks, or has too few clips of somebody.
    """
    if not model.scale_by_speaker:
        for batch in hear(wanted, model.feature_set, windows=windows, n_jobs=n_jobs):
            yield ask(model, batch)
        return
    if nameless := [one.name for one in wanted if one.speaker is None]:
        raise SerError(
            "The model is transductive: it scales each speaker by the statistics of their own "
            f"clips and must know who speaks. {nameless[0]} has no speaker. Give clips=TABLE.csv "
            "with a column 'speaker', or speaker=folder where each folder has the clips of one."
        )
    batches = hear(wanted, model.feature_set, windows=windows, n_jobs=n_jobs)
    yield ask(model, [heard for batch in batches for heard in batch])


def hear(
    wanted: Sequence[Recording],
    feature_set: FeatureSet,
    *,
    windows: Windows | None = None,
    n_jobs: int = -1,
) -> Iterator[list[Heard]]:
    """Features of each recording, or of its windows, in order, some recordings at a time."""
    from joblib import delayed

    n_jobs = 1 if len(wanted) <= ALONE else n_jobs
    size = 1 if n_jobs == 1 else BATCH_CLIPS
    batches = (wanted[i : i + size] for i in range(0, len(wanted), size))
    calls = (delayed(_hear_batch)(some, feature_set, windows) for some in batches)
    yield from compute.results(calls, n_jobs=n_jobs)


@one_thread()  # as the vectors that it was trained on
def hear_samples(
    y: np.ndarray, sr: int, feature_set: FeatureSet, windows: Windows | None, *, about: Recording
) -> list[Heard]:
    """Features of a recording's samples, or of each window of them.

    Parameters
    ----------
    y : (n_samples,) float32
    sr : int
        Hz.
    """
    if windows is None:
        return [Heard(about.name, about.speaker, feature_set(y, sr))]
    length, parts = round(windows.seconds * sr), []
    for start in windows.starts(len(y), sr):
        part = y[start : start + length]
        heard = Heard(about.name, about.speaker, start=start / sr, end=(start + len(part)) / sr)
        if len(part) < feature_set.min_samples:
            heard = replace(heard, error=f"{len(part)} samples are too few for a window")
        elif not part.any():
            heard = replace(heard, error="silent: all samples are zero")
        else:
            heard = replace(heard, vector=feature_set(part, sr))
        parts.append(heard)
    return parts


def ask(model: TrainedModel, batch: list[Heard]) -> list[Heard]:
    """The same, with the model's probabilities in the place of the features.

    Raises
    ------
    SerError
        If a transductive model has too few clips of somebody.
    """
    good = [heard for heard in batch if heard.vector is not None]
    if not good:
        return batch
    speakers = [heard.speaker for heard in good] if model.scale_by_speaker else None
    X = np.stack([heard.vector for heard in good if heard.vector is not None])
    proba = model.probabilities(X, speakers)
    rows = iter(proba)
    return [
        heard if heard.vector is None else replace(heard, vector=None, proba=next(rows))
        for heard in batch
    ]


def _hear_batch(
    some: Iterable[Recording], feature_set: FeatureSet, windows: Windows | None
) -> list[Heard]:
    """In a worker."""
    found: list[Heard] = []
    for one in some:
        try:
            y, sr = read_audio(one.source, name=one.name, min_samples=feature_set.min_samples)
            found += hear_samples(y, sr, feature_set, windows, about=one)
        except AudioError as error:
            found.append(Heard(one.name, one.speaker, error=error.cause))
    return found
