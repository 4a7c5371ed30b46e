"""Permutation importance: against scikit-learn's, and what shuffling within actors must leave."""

import numpy as np
import pytest
from made import dataset
from sklearn.inspection import permutation_importance as sklearn_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline

from ser.data.folds import Fold, Split
from ser.evaluation.importance import columns_by_name, permutation_importance
from ser.evaluation.parallel import Workers
from ser.evaluation.uncertainty import score_intervals, uar_over_units

NAMES = ("cue_0", "cue_1", "noise_0", "voice")


@pytest.fixture
def data():
    """Two cues of the emotion, noise, and a column that is each actor's own and tells the rest."""
    draw = np.random.default_rng(3)
    actors = np.repeat(np.arange(12), 40)
    y = np.where(draw.random(len(actors)) < 0.3 + 0.4 * (actors % 2), "sad", "angry")
    cue = np.where(y == "sad", 1.0, -1.0)
    X = np.column_stack(
        [
            cue + draw.normal(size=len(y)),
            0.5 * cue + draw.normal(size=len(y)),
            draw.normal(size=len(y)),
            actors % 2,
        ]
    )
    rows = np.arange(len(y))
    folds = [Fold(rows[actors % 3 != k], rows[actors % 3 == k]) for k in range(3)]
    models = [make_pipeline(LogisticRegression()).fit(X[f.train], y[f.train]) for f in folds]
    return models, dataset(X, y, actors, NAMES), Split(folds)


def test_permutation_importance_agrees_with_sklearn_where_actors_do_not_matter(data):
    models, made, split = data
    X, y = made.X, made.labels
    model, fold = models[0], split.folds[0]
    one_actor = dataset(X, y, np.zeros(len(y), dtype=int), NAMES)
    table = permutation_importance(
        [model], one_actor, Split((fold,)), n_repeats=200, seed=1, workers=Workers(1)
    ).set_index(["kind", "name"])
    reference = sklearn_importance(
        model, X[fold.test], y[fold.test], scoring="balanced_accuracy", n_repeats=200
    )
    found = table.loc["feature"].loc[list(NAMES), "uar_lost"]
    np.testing.assert_allclose(found, reference.importances_mean, atol=0.01)
    assert table.loc[("group", "cue"), "uar_lost"] > found["cue_0"]
    assert table.loc[("group", "cue"), "features"] == 2


def test_permutation_importance_within_actors_leaves_what_tells_the_actor(data):
    table = permutation_importance(*data, seed=1, workers=Workers(1))
    by_name = table.set_index(["kind", "name"])
    voice = by_name.loc[("feature", "voice")]
    assert voice[["uar_lost", "low", "high"]].tolist() == [0, 0, 0]
    cue = by_name.loc[("feature", "cue_0")]
    assert 0.1 < cue["low"] < cue["uar_lost"] < cue["high"]
    assert table["kind"].tolist() == ["group"] * 3 + ["feature"] * 4
    again = permutation_importance(*data, seed=1, workers=Workers(2))
    assert table.equals(again)


def test_numbers_of_an_encoders_layer_are_shuffled_together_alone():
    names = ["layer00_mean_0000", "layer00_std_0000", "layer01_mean_0000", "mfcc_00"]
    assert list(columns_by_name(names)) == [
        *(("group", "layer00"), ("group", "layer01"), ("group", "mfcc")),
        ("feature", "mfcc_00"),
    ]
    of_a_set = [f"whisper.{name}" for name in names[:3]]
    assert {kind for kind, _ in columns_by_name(of_a_set)} == {"group"}


def test_memory_does_not_grow_with_the_number_of_columns(data, monkeypatch):
    models, made, split = data
    told = []
    monkeypatch.setattr(
        "ser.evaluation.importance.run_fits",
        lambda jobs, *_: ([told.append(of[1]) or np.zeros(len(of[1])) for _, of in jobs], ()),
    )
    permutation_importance(models, made, split, seed=1, workers=Workers(1))
    assert len({id(X) for X in told}) == len(split.folds) < len(told)


def test_uar_over_units_of_hits_is_the_uar_and_its_interval(data):
    models, made, split = data
    X, y, actors, folds = made.X, made.labels, made.groups, split.folds
    test = np.concatenate([fold.test for fold in folds])
    predicted = np.concatenate(
        [model.predict(X[fold.test]) for model, fold in zip(models, folds, strict=True)]
    )
    hits = (predicted == y[test]).astype(float)[None]
    uar, low, high = uar_over_units(hits, y[test], actors[test])
    assert uar[0] == pytest.approx(recall_score(y[test], predicted, average="macro"))
    expected = score_intervals(y[test], predicted, actors[test])["uar"]
    assert (low[0], high[0]) == pytest.approx(expected, abs=0.02)  # which bends towards 1/2
