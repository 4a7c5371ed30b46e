"""What columns are chosen by, inside each fold."""

from __future__ import annotations

import numpy as np
from sklearn.feature_selection import mutual_info_classif


def mutual_information(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mutual information of every column and the emotion, each column for itself.

    scikit-learn's estimate (Ross 2014, doi 10.1371/journal.pone.0087357) with a seed, so that the
    same clips choose the same columns.

    Parameters
    ----------
    X : (n_clips, n_features)
    y : (n_clips,)

    Returns
    -------
    (n_features,) float64
        Nats.
    """
    return mutual_info_classif(X, y, random_state=0)
