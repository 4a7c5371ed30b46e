"""A model that is scaled by speaker, adapted to one speaker by their unlabelled clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ser.core.errors import SerError
from ser.data.recordings import Recording, Windows
from ser.features.extraction import Excerpt, extract_batches
from ser.models.scaling import MIN_CLIPS, voice_of
from ser.models.trained import TrainedModel


def adapted(
    model: TrainedModel,
    recordings: Sequence[Recording],
    *,
    windows: Windows | None = None,
    n_jobs: int = -1,
) -> tuple[TrainedModel, list[Excerpt]]:
    """The model for one speaker, scaled by that speaker's clips.

    What it says of these recordings, or of others of the speaker, is transductive.

    Parameters
    ----------
    model : TrainedModel
        Trained on features that are scaled by speaker.
    recordings : sequence of Recording
        All of the speaker.
    windows : Windows, optional
        As those that will be asked about.
    n_jobs : int
        Workers on this machine; -1 for one per core.

    Returns
    -------
    model : TrainedModel
        It need not be told who speaks.
    unusable : list of Excerpt
        With their errors; they are left out.

    Raises
    ------
    SerError
        If the model is not scaled by speaker, or fewer than `MIN_CLIPS` clips can be used.
    """
    if not model.scale_by_speaker:
        raise SerError(
            "The model is not scaled by speaker, and cannot be adapted to one: train it with "
            "scaler=speaker."
        )
    batches = extract_batches(recordings, model.extractor(windows), n_jobs=n_jobs)
    excerpts = [excerpt for batch in batches for excerpt in batch]
    vectors = [excerpt.vector for excerpt in excerpts if excerpt.vector is not None]
    if len(vectors) < MIN_CLIPS:
        raise SerError(
            f"{len(vectors)} clips of the speaker can be used, and adapting to one needs "
            f"{MIN_CLIPS} or more."
        )
    unusable = [excerpt for excerpt in excerpts if excerpt.vector is None]
    return replace(model, voice=voice_of(np.stack(vectors))), unusable
