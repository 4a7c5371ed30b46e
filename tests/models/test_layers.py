"""An encoder's layers, chosen and weighed: by training clips, and by the actors among them."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import recall_score
from sklearn.model_selection import LeaveOneGroupOut, LeaveOneOut

from ser.core.errors import SerError
from ser.features.notebook import NotebookFeatures
from ser.models.layers import (
    PENALTY,
    LayerSelection,
    LayerWeights,
    chosen_among,
    layers_of,
    left_out_uar,
    ridge_factor,
)
from ser.models.pipeline import build_pipeline, fit

N_CLIPS, N_ACTORS, WIDTH = 180, 6, 18


@pytest.fixture(scope="module")
def clips():
    """Columns of four layers and two others, emotions and actors; layer 2 tells the emotion."""
    rng = np.random.default_rng(0)
    actors = np.arange(N_CLIPS) % N_ACTORS
    target = rng.integers(0, 3, N_CLIPS)
    X = rng.standard_normal((N_CLIPS, 4 * WIDTH + 2)).astype(np.float32)
    X[:, 2 * WIDTH : 3 * WIDTH] += 3 * np.eye(3, WIDTH, dtype=np.float32)[target]
    # Layer 1 tells it too, but in each actor by other columns.
    X[:, WIDTH : 2 * WIDTH] += 6 * np.eye(WIDTH, dtype=np.float32)[3 * actors + target]
    return X, np.array(["angry", "happy", "sad"])[target], actors


def names():
    layers = [f"layer{layer:02d}_mean_{i}" for layer in range(4) for i in range(WIDTH)]
    return [*layers, "f0_0", "f"]


@pytest.mark.parametrize("grouped", [True, False])
def test_inner_uar_is_that_of_ridges_fitted_without_each_actor(clips, grouped):
    X, y, actors = clips
    gram = X @ X.T
    expected = np.empty(N_CLIPS, dtype=int)
    target = np.unique(y, return_inverse=True)[1]
    folds = (LeaveOneGroupOut() if grouped else LeaveOneOut()).split(X, y, actors)
    for train, test in folds:
        # A kernel of 1 + inner products is a regression with a column of ones.
        Z = np.c_[np.ones(N_CLIPS), X / np.sqrt(np.diag(gram).mean())]
        ridge = Ridge(alpha=PENALTY, fit_intercept=False)
        ridge.fit(Z[train], np.eye(3)[target[train]] - 1 / 3)
        expected[test] = ridge.predict(Z[test]).argmax(axis=1)
    uar = recall_score(target, expected, average="macro")
    assert left_out_uar(ridge_factor(gram), y, actors if grouped else None) == pytest.approx(uar)


def test_selection_takes_the_layer_that_tells_strangers_emotions(clips):
    X, y, actors = clips
    selection = LayerSelection(layers_of(names())).fit(X, y, groups=actors)
    assert selection.chosen_ == ("layer02",)
    np.testing.assert_array_equal(
        selection.transform(X), np.c_[X[:, 2 * WIDTH : 3 * WIDTH], X[:, -2:]]
    )
    table = selection.learned_
    assert {row["layers"] for row in table} >= {f"layer{layer:02d}" for layer in range(4)}
    assert [row["layers"] for row in table if row["chosen"]] == ["layer02"]


def test_pipeline_gives_the_selection_the_actors(clips):
    X, y, actors = clips
    from sklearn.linear_model import LogisticRegression

    steps = {"selection": LayerSelection(layers_of(names())), "classifier": LogisticRegression()}
    pipeline = build_pipeline(steps, seed=0)
    by_actor = fit(pipeline, X, y, actors).named_steps["selection"]
    by_clip = fit(pipeline, X, y, None).named_steps["selection"]
    assert by_actor.inner_uar_["layer01"] < 0.6 < by_clip.inner_uar_["layer01"]


def test_weights_are_above_0_sum_to_1_and_favour_the_layer_that_tells(clips):
    X, y, _ = clips
    weights = LayerWeights(layers_of(names())).fit(X, y)
    assert weights.weights_.sum() == pytest.approx(1) and (weights.weights_ > 0).all()
    assert weights.weights_.argmax() == 2
    mixed = weights.transform(X)
    assert mixed.shape == (N_CLIPS, WIDTH + 2)
    by_layer = X[:, : 4 * WIDTH].reshape(N_CLIPS, 4, WIDTH)
    expected = np.einsum("l,clw->cw", weights.weights_, by_layer)
    np.testing.assert_allclose(mixed[:, :WIDTH], expected, atol=1e-5)
    np.testing.assert_array_equal(mixed[:, WIDTH:], X[:, -2:])
    assert [row["weight"] for row in weights.learned_] == weights.weights_.tolist()


def test_features_without_layers_are_refused():
    with pytest.raises(SerError, match=r"take features=speech_model, or a union with it"):
        chosen_among(NotebookFeatures())
