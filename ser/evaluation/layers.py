"""What each layer of a speech encoder knows: the emotion of a stranger, and who speaks."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ser.data.dataset import Dataset
from ser.features import FeatureSet
from ser.models.layers import compared_rows, layers_of, left_out_uar, ridge_factor
from ser.models.pipeline import originals


def has_layers(feature_set: FeatureSet | None) -> bool:
    """Whether some columns are of an encoder's layers."""
    return feature_set is not None and bool(layers_of(feature_set.names))


def layer_scores(data: Dataset, rows: np.ndarray) -> pd.DataFrame:
    """How well emotion and actor are told from each layer alone, by a linear kernel ridge.

    It describes the encoder on clips that train; nothing is chosen by it, and no number of it is a
    test's.

    Parameters
    ----------
    data : Dataset
        With features that have layers.
    rows : (n_rows,) int
        Of the clips that are looked at, at most `ser.models.layers.MAX_CLIPS`, evenly spread.

    Returns
    -------
    DataFrame
        layer; emotion_uar, on actors that are left out one after the other (clips, where there is
        one actor); actor_accuracy, on clips that are left out one after the other, as the mean of
        the actors' recalls.
    """
    rows = rows[compared_rows(len(rows))]
    X = originals(data.features[rows])
    deviation = X.std(axis=0)
    X = (X - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    emotions, actors = data.labels[rows], data.groups[rows]
    n_actors = len(np.unique(actors))
    scores = []
    for layer, columns in layers_of(data.names).items():
        factor = ridge_factor(X[:, columns] @ X[:, columns].T)
        emotion = left_out_uar(factor, emotions, actors if n_actors > 1 else None)
        actor = left_out_uar(factor, actors, None) if n_actors > 1 else np.nan
        scores.append({"layer": layer, "emotion_uar": emotion, "actor_accuracy": actor})
    return pd.DataFrame(scores)
