"""What a model answers: a prediction for each recording or window, and its row in a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

DIGITS = 6  # of a probability in a file
MILLISECONDS = 3  # digits of seconds
UNFAMILIAR = "unlike what this model has heard"


@dataclass(frozen=True)
class Prediction:
    """What a model makes of a recording, or of a window of one.

    Attributes
    ----------
    name : str
        Of the recording.
    speaker : str or None
    start, end : float
        Seconds; NaN for a whole recording.
    error : str
        Why it cannot be used; empty where it can.
    proba : (n_emotions,) float64 or None
        None where it cannot be used.
    unfamiliar : bool or None
        Whether it is unlike the model's training clips: `ser.models.familiarity`. None where it
        cannot be used, or the model does not know what they were like.
    resampled_from : int or None
        Its rate in Hz, where it was brought to the one of the training clips.
    """

    name: str
    speaker: str | None = None
    start: float = np.nan
    end: float = np.nan
    error: str = ""
    proba: np.ndarray | None = None
    unfamiliar: bool | None = None
    resampled_from: int | None = None


class Layout:
    """Which columns a table of predictions has.

    Parameters
    ----------
    emotions : sequence of str
    windows, speakers : bool
        Whether recordings are cut, and whether it is known who speaks.
    model : mapping of str to object
        Further columns, the same in each row: what is to be known of the model.
    """

    def __init__(
        self,
        emotions: Sequence[str],
        *,
        windows: bool,
        speakers: bool,
        model: Mapping[str, object] = {},
    ) -> None:
        self.emotions, self._model = tuple(emotions), model
        self.columns = (
            "clip",
            *(("speaker",) if speakers else ()),
            *(("start", "end") if windows else ()),
            "emotion",
            *(f"p_{emotion}" for emotion in emotions),
            "unfamiliar",
            "resampled_from",
            "error",
            *model,
        )

    def row(self, prediction: Prediction, *, digits: int = 17) -> dict[str, object]:
        """Column -> value; None where there is none. Probabilities are rounded to some digits."""
        start, end = prediction.start, prediction.end
        values: dict[str, object] = {
            **self._model,
            "clip": prediction.name,
            "speaker": prediction.speaker,
            "start": None if math.isnan(start) else round(start, MILLISECONDS),
            "end": None if math.isnan(end) else round(end, MILLISECONDS),
            "unfamiliar": prediction.unfamiliar,
            "resampled_from": prediction.resampled_from,
            "error": prediction.error or None,
        }
        if prediction.proba is not None:
            values["emotion"] = self.emotions[prediction.proba.argmax()]
            for emotion, p in zip(self.emotions, prediction.proba.tolist(), strict=True):
                values[f"p_{emotion}"] = round(p, digits)
        return {column: values.get(column) for column in self.columns}
