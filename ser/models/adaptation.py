"""A model that is scaled by speaker, adapted to one speaker by their unlabelled clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ser.core.errors import SerError
from ser.core.printable import shown
from ser.data.folds import counted
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
    unusable = [excerpt for excerpt in excerpts if excerpt.vector is None]
    causes = (f" {shown(excerpt.name)}: {excerpt.error}." for excerpt in unusable)
    return _scaled_by(model, vectors, why=next(causes, "")), unusable


@dataclass(frozen=True, eq=False)
class Heard:
    """What is known of one speaker whose clips come a few at a time: their vectors.

    Attributes
    ----------
    whole : tuple of (n_features,) ndarray
        Of each clip.
    parts : tuple of (n_features,) ndarray
        Of all their windows.
    """

    whole: tuple[np.ndarray, ...] = ()
    parts: tuple[np.ndarray, ...] = ()

    @property
    def is_enough(self) -> bool:
        """Whether a model can be adapted to the speaker."""
        return len(self.whole) >= MIN_CLIPS

    def adapted(self, model: TrainedModel) -> tuple[TrainedModel, TrainedModel]:
        """The model for the speaker's recordings and for their windows; any other as it is.

        Raises
        ------
        SerError
            If the model is scaled by speaker and there are fewer than `MIN_CLIPS` clips.
        """
        if not model.needs_speakers:
            return model, model
        return _scaled_by(model, self.whole), _scaled_by(model, self.parts)


def hear(
    model: TrainedModel,
    recordings: Sequence[Recording],
    *,
    windows: Windows,
    so_far: Heard,
    max_samples: int,
) -> tuple[Heard, list[tuple[str, str]]]:
    """Add clips to what is known of a speaker.

    Parameters
    ----------
    model : TrainedModel
    recordings : sequence of Recording
        All of the speaker.
    windows : Windows
        As those that will be asked about.
    so_far : Heard
    max_samples : int
        Most samples of a clip, over all channels.

    Returns
    -------
    heard : Heard
    refused : list of (str, str)
        Name and cause of each clip that cannot be used, or is there already.
    """
    clips, pieces = (
        [each for batch in extract_batches(recordings, of, n_jobs=1) for each in batch]
        for of in (model.extractor(cut, max_samples) for cut in (None, windows))
    )
    whole, parts, refused = [*so_far.whole], [*so_far.parts], []
    for clip in clips:
        if clip.vector is None:
            refused.append((clip.name, clip.error))
        elif any(np.array_equal(clip.vector, other) for other in whole):
            refused.append((clip.name, "it is there already"))
        else:
            whole.append(clip.vector)
            parts += [p.vector for p in pieces if p.name == clip.name and p.vector is not None]
    return Heard(tuple(whole), tuple(parts)), refused


def _scaled_by(
    model: TrainedModel, vectors: Sequence[np.ndarray], *, why: str = ""
) -> TrainedModel:
    """The model for the speaker whose clips have these vectors, `MIN_CLIPS` or more."""
    if len(vectors) < MIN_CLIPS:
        raise SerError(
            f"{counted(len(vectors), 'clip')} of the speaker can be used, and adapting to one "
            f"needs {MIN_CLIPS} or more.{why}"
        )
    return replace(model, voice=voice_of(np.stack(vectors)))
