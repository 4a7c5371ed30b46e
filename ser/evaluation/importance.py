"""What a model leans on: the UAR it loses when features of held-out clips are shuffled.

Each fold's own model predicts its own test clips again, with one column, or a group of them,
permuted among the clips of each actor (Breiman 2001, section 10; groups as in Gregorutti et al.
2015). Shuffling within an actor leaves what tells the actor alone, so what is lost is what told the
emotion. Columns that say the same share their importance; the groups show it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from ser.data.dataset import Dataset
from ser.data.folds import Split
from ser.evaluation.parallel import Workers, run_fits
from ser.evaluation.uncertainty import uar_over_units
from ser.features import feature_groups
from ser.models.pipeline import originals

N_REPEATS = 5
# Ends the name of a column that tells nothing alone: of one moment, of one number of an encoder's.
PART = re.compile(r"_at_\d+$|(^|\.)layer\d+_(mean|std)_\d+$")


def permutation_importance(
    models: Sequence[Pipeline],
    data: Dataset,
    split: Split,
    *,
    n_repeats: int = N_REPEATS,
    seed: int,
    workers: Workers,
) -> pd.DataFrame:
    """UAR lost on the pooled test clips of all folds, by column and by group of columns.

    Parameters
    ----------
    models : sequence of Pipeline
        Fitted on the training clips of each fold.
    data : Dataset
        Its names say which columns are a group: see `columns_by_name`.
    split : Split
    n_repeats : int
        Permutations of each column.
    seed : int
    workers : Workers
        Told of every column or group of a fold.

    Returns
    -------
    DataFrame
        kind ("group" or "feature"), name, features (their number), uar_lost, low and high (its
        95 % interval over actors), all in [-1, 1]; groups first, each kind by what is lost.
    """
    X, y, actors = originals(data.features), data.labels, data.groups
    columns = columns_by_name(data.names)
    test = np.concatenate([fold.test for fold in split.folds])
    nothing = np.empty(0, dtype=int)  # shuffled once: the clips as they are
    told = [(of.test, X[of.test]) for of in split.folds]  # once, and not for every column
    jobs = [
        (_hits, (model, of_test, y[rows], actors[rows], (where, repeats), seed))
        for where, repeats in [(nothing, 1), *((where, n_repeats) for where in columns.values())]
        for model, (rows, of_test) in zip(models, told, strict=True)
    ]
    results, _ = run_fits(jobs, models[0], workers)
    hits = np.concatenate(results).reshape(1 + len(columns), len(test))
    lost = hits[0] - hits[1:]
    uar, low, high = uar_over_units(lost, y[test], actors[test])
    table = pd.DataFrame(
        {
            "kind": [kind for kind, _ in columns],
            "name": [name for _, name in columns],
            "features": [len(where) for where in columns.values()],
            "uar_lost": uar,
            "low": low,
            "high": high,
        }
    )
    return table.sort_values(["kind", "uar_lost"], ascending=False, ignore_index=True)


def columns_by_name(names: Sequence[str]) -> dict[tuple[str, str], np.ndarray]:
    """What is shuffled together: groups (see `ser.features.feature_groups`), then each column.

    Columns of one moment, as networks get them, and the thousands of an encoder's layers tell
    nothing alone: they are in their group only.

    >>> list(columns_by_name(["mel_000", "mel_001", "mfcc_00"]))[:3]
    [('group', 'mel'), ('group', 'mfcc'), ('feature', 'mel_000')]
    """
    together = {("group", name): columns for name, columns in feature_groups(names).items()}
    alone = {
        ("feature", name): np.array([column])
        for column, name in enumerate(names)
        if not PART.search(name)
    }
    return together | alone


def _hits(
    model: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    actors: np.ndarray,
    shuffle: tuple[np.ndarray, int],
    seed: int,
) -> np.ndarray:
    """Part of the repeats in which each clip is predicted right; (n_clips,) in [0, 1].

    `shuffle` has the columns that are shuffled, and how often.
    """
    columns, n_repeats = shuffle
    draw = np.random.default_rng(seed)
    shuffled = np.tile(X, (n_repeats, 1, 1))
    for repeat in shuffled:
        for actor in np.unique(actors):
            rows = np.flatnonzero(actors == actor)
            repeat[np.ix_(rows, columns)] = repeat[np.ix_(draw.permutation(rows), columns)]
    # All repeats are predicted at once: most classifiers spend more on a call than on a clip.
    predicted = model.predict(shuffled.reshape(-1, X.shape[1])).reshape(n_repeats, -1)
    return (predicted == y).mean(axis=0)
