"""The model that MLflow logs: the whole way from an audio file to probabilities.

MLflow stores this file as it is (models from code) beside the fitted pipeline, the settings of the
features and the package `ser`, so that a run is all that a prediction needs.
"""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from ser.audio import read_audio
from ser.persistence import load_model


class EmotionModel(PythonModel):
    """Audio paths -> emotion and probabilities."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the fitted pipeline and its features from the run's artifacts."""
        self.model = load_model(Path(context.artifacts["pipeline"]).parent)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict | None = None
    ) -> pd.DataFrame:
        """Classify clips.

        Parameters
        ----------
        model_input : (n_clips, ...) DataFrame
            With `path`: audio files that this process can read. A transductive model also needs
            `speaker`, and several clips of each.

        Returns
        -------
        (n_clips, 1 + n_emotions) DataFrame
            `emotion`, and `p_EMOTION` for each emotion, rows of which sum to 1.

        Raises
        ------
        AudioError
            For the first clip that cannot be used.
        SerError
            If a speaker of a transductive model has too few clips.
        """
        X = np.stack([self._vector(path) for path in model_input["path"]])
        proba = self.model.probabilities(X, model_input.get("speaker"))
        emotions = np.array(self.model.emotions, dtype=object)
        table = pd.DataFrame({"emotion": emotions[proba.argmax(axis=1)]})
        for column, emotion in enumerate(emotions):
            table[f"p_{emotion}"] = proba[:, column]
        return table

    def _vector(self, path: str) -> np.ndarray:
        y, sr = read_audio(path, min_samples=self.model.feature_set.min_samples)
        return self.model.feature_set(y, sr)


mlflow.models.set_model(EmotionModel())
