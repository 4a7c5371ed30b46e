"""What a model keeps of the clips that it was trained on, in a file beside it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline

from ser.core.threads import one_thread
from ser.data.dataset import Dataset
from ser.features.extraction import Extractor
from ser.models.archives import check_archive
from ser.models.familiarity import FACTS, Distance, Familiarity, learn_familiarity
from ser.models.known_answers import KnownAnswers, keep_answers
from ser.models.pipeline import originals


@dataclass(frozen=True, eq=False)
class TrainingClips:
    """What is kept of a model's training clips.

    Attributes
    ----------
    sr : int or None
        Their lowest sampling rate, in Hz; None where it is not known.
    familiarity : Familiarity or None
        What they are like; None of too few.
    answers : KnownAnswers
        To some of them.
    """

    sr: int | None
    familiarity: Familiarity | None
    answers: KnownAnswers


@one_thread()
def describe(pipeline: Pipeline, data: Dataset) -> TrainingClips:
    """What is kept of training clips.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted on them.
    data : Dataset
        The training clips, with features and a feature set.
    """
    X, facts, sr = originals(data.features), None, None
    if data.recordings is not None and (data.recordings["sr"] > 0).any():
        sr = int(data.recordings["sr"].replace(0, np.nan).min())
        facts = data.recordings[list(FACTS)].to_numpy(dtype=float)
    heard = Extractor(data.feature_set, sr).sr
    highest = heard / 2 if heard else np.inf
    familiarity = learn_familiarity(X, data.groups, facts, highest=highest)
    return TrainingClips(sr, familiarity, keep_answers(pipeline, X, data.labels))


def save(training: TrainingClips, file: Path) -> None:
    """Write it as arrays (`numpy.savez`)."""
    familiarity, answers = training.familiarity, training.answers
    arrays = {
        "sr": np.array(training.sr or 0),
        "X": answers.X,
        "proba": answers.proba,
        "packages": np.array(answers.packages, dtype=str),
    }
    if familiarity is not None:
        arrays |= {"columns": familiarity.columns, "highest": np.array(familiarity.highest)}
        for view in ("vectors", "recordings"):
            if (distance := getattr(familiarity, view)) is not None:
                arrays[f"{view}_centre"] = distance.centre
                arrays[f"{view}_whitening"] = distance.whitening
    np.savez(file, allow_pickle=False, **arrays)


def load(file: Path) -> TrainingClips:
    """Read what `save` wrote; ValueError, LookupError and the like where it is something else."""
    data = file.read_bytes()
    check_archive(data)
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = dict(archive)
    views = [
        Distance(arrays[f"{view}_centre"], arrays[f"{view}_whitening"])
        if f"{view}_centre" in arrays
        else None
        for view in ("vectors", "recordings")
    ]
    familiarity = None
    if views[0] is not None:
        columns, highest = arrays["columns"], float(arrays["highest"])
        if not (columns.min() >= 0 and columns.max() < arrays["X"].shape[1]):
            raise ValueError("it looks at columns that the vectors have not")
        familiarity = Familiarity(columns, views[0], views[1], highest)
    answers = KnownAnswers(arrays["X"], arrays["proba"], tuple(arrays["packages"].tolist()))
    return TrainingClips(int(arrays["sr"]) or None, familiarity, answers)
