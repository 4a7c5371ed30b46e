"""Kernel ridge: what is left out in closed form is what a model fitted without it says."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.datasets import make_classification
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import log_loss

from ser.core.errors import SerError
from ser.models import kernel_ridge
from ser.models.kernel_ridge import KernelRidgeClassifier

RNG = np.random.default_rng(0)


@pytest.fixture
def voices():
    """Six actors whose own offset is larger than what the emotions differ in."""
    X, y = make_classification(180, 30, n_informative=8, n_classes=3, class_sep=1.5, random_state=0)
    actors = np.repeat(np.arange(6), 30)
    return (X + RNG.normal(0, 3, (6, 30))[actors]).astype(np.float32), y, actors


def test_regression_is_scikit_learns(voices):
    X, y, _ = voices
    model = KernelRidgeClassifier(alphas=[0.2], gammas=[0.7]).fit(X[:150], y[:150])
    similar = model._similar(X, kernel_ridge._squared_distances(X, model.X_fit_), 0.7)
    reference = KernelRidge(alpha=0.2, kernel="precomputed")
    reference.fit(similar[:150], np.eye(3)[y[:150]] - 1 / 3)
    np.testing.assert_allclose(
        model.decision_function(X[150:]), reference.predict(similar[150:]), atol=1e-6
    )


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("grouped", [False, True])
def test_left_out_equals_a_refit_without_them(voices, monkeypatch, kernel, class_weight, grouped):
    X, y, actors = voices
    X, y, actors = X[:170], y[:170], actors[:170]  # emotions in unlike numbers
    seen = {}

    def remember(scores, targets):
        seen["left_out"] = scores
        return 1.0, 0.0

    monkeypatch.setattr(kernel_ridge, "best_temperature", remember)
    model = KernelRidgeClassifier(kernel=kernel, class_weight=class_weight)
    model.fit(X, y, groups=actors if grouped else None)
    squared = kernel_ridge._squared_distances(X, X) if kernel == "rbf" else None
    K = model._similar(X, squared, model.gamma_)
    weight = len(y) / (3 * np.bincount(y))[y] if class_weight else np.ones(len(y))
    blocks = [np.flatnonzero(actors == a) for a in range(6)] if grouped else [[0], [77], [169]]
    for rows in blocks:
        rest = np.setdiff1d(np.arange(len(y)), rows)
        reference = KernelRidge(alpha=model.alpha_, kernel="precomputed")
        reference.fit(
            K[np.ix_(rest, rest)], (np.eye(3)[y] - 1 / 3)[rest], sample_weight=weight[rest]
        )
        np.testing.assert_allclose(
            seen["left_out"][rows], reference.predict(K[np.ix_(rows, rest)]), atol=1e-6
        )


@pytest.mark.slow
def test_settings_are_chosen_on_actors_left_out(voices):
    """With voices known, a narrow kernel wins; on voices unknown it must not."""
    X, y, actors = voices
    candidates = {"alphas": [0.001, 0.1, 1.0], "gammas": [0.1, 5.0]}
    model = KernelRidgeClassifier(**candidates).fit(X, y, groups=actors)
    losses = {}
    for alpha in candidates["alphas"]:
        for gamma in candidates["gammas"]:
            held_out = np.zeros((len(y), 3))
            for actor in range(6):
                train, test = actors != actor, actors == actor
                one = KernelRidgeClassifier(alphas=[alpha], gammas=[gamma])
                held_out[test] = one.fit(X[train], y[train]).decision_function(X[test])
            losses[alpha, gamma] = min(
                -log_softmax(held_out / t, axis=1)[np.arange(len(y)), y].mean()
                for t in np.geomspace(1e-2, 10, 60)
            )
    assert (model.alpha_, model.gamma_) == min(losses, key=losses.get)


def test_probabilities_are_calibrated_for_actors_never_heard(voices):
    X, y, actors = voices
    train, test = actors < 4, actors >= 4
    by_actor = KernelRidgeClassifier().fit(X[train], y[train], groups=actors[train])
    by_clip = KernelRidgeClassifier().fit(X[train], y[train])
    assert by_actor.temperature_ > by_clip.temperature_
    assert log_loss(y[test], by_actor.predict_proba(X[test])) < log_loss(
        y[test], by_clip.predict_proba(X[test])
    )


@pytest.mark.parametrize(
    "settings",
    [{"kernel": "poly"}, {"alphas": []}, {"gammas": [0.5, 0.0]}, {"class_weight": "equal"}],
)
def test_kernel_ridge_refuses_a_setting(voices, settings):
    with pytest.raises(SerError, match=next(iter(settings))):
        KernelRidgeClassifier(**settings).fit(*voices[:2])
