"""Calibration: whose clips it is fitted on, what it says where they are few, and how sure it is."""

import warnings

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from ser.core.errors import SerError
from ser.models.calibration import (
    PRIOR_SHARE,
    SigmoidCalibration,
    TemperatureScaling,
    best_temperature,
    nearest_margins,
    shrunk,
)
from ser.models.ensemble import Ensemble
from ser.models.grouped import inner_folds
from ser.models.kernel_ridge import KernelRidgeClassifier
from ser.models.pipeline import build_pipeline, fit, predict_emotions, predicted
from ser.models.shared_kernel import SharedKernel, decisions


def voices(seed, n_actors=2, emotions="abc", n_clips=4, spread=1.0):
    """Clips of every actor in every emotion; an actor's own offset is larger than an emotion's."""
    rng = np.random.default_rng(seed)
    y = np.tile(np.repeat(np.arange(len(emotions)), n_clips), n_actors)
    actors = np.repeat(np.arange(n_actors), len(emotions) * n_clips)
    X = rng.normal(size=(len(y), 8)) + spread * rng.normal(size=(len(emotions), 8))[y]
    return X + 2 * rng.normal(size=(n_actors, 8))[actors], np.array(list(emotions))[y], actors


def test_nearest_margins_by_hand():
    # 0 beats 1 by 2 and 2 by 1; 1 beats 2 by 3.
    np.testing.assert_allclose(nearest_margins(np.array([[2.0, 1.0, 3.0]]), 3), [[1, -2, -3]])
    # In a circle each wins once: 0 by the largest sum, though 1 lies nearer to its boundary.
    circle = nearest_margins(np.array([[5.0, -2.0, 1.0]]), 3)[0]
    np.testing.assert_allclose(circle, [-1, -5, -1], atol=1e-5)
    assert circle.argmax() == 0


def test_svc_keeps_its_predictions_and_is_surer_where_it_is_right():
    X, y, _ = voices(0, n_actors=10, emotions="abcdef", n_clips=10)
    machine = SVC(C=10, break_ties=True)
    fitted = TemperatureScaling(machine, random_state=0).fit(X[::2], y[::2])
    proba = fitted.predict_proba(X[1::2])
    plain = machine.fit(X[::2], y[::2])
    np.testing.assert_array_equal(fitted.predict(X[1::2]), plain.predict(X[1::2]))
    confidence = proba.max(axis=1)
    votes = softmax(plain.decision_function(X[1::2]), axis=1).max(axis=1)
    assert len(np.unique(confidence.round(3))) > 1.5 * len(np.unique(votes.round(3)))
    right = fitted.predict(X[1::2]) == y[1::2]
    assert confidence[right].mean() > confidence[~right].mean() + 0.05


@pytest.mark.parametrize("gamma", ["auto", "scale", 0.02])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_machines_that_share_a_kernel_are_those_that_do_not(gamma, dtype, monkeypatch):
    X, y, actors = voices(3, n_actors=8, emotions="abcd", n_clips=8)
    X = X.astype(dtype)
    model = TemperatureScaling(SVC(C=10.0, gamma=gamma, break_ties=True), random_state=1)
    shared = clone(model).fit(X, y, groups=actors)
    assert SharedKernel.fits(model.estimator, X)
    monkeypatch.setattr(SharedKernel, "fits", lambda *_: False)
    alone = clone(model).fit(X, y, groups=actors)
    ours, plain = vars(shared.estimator_), vars(alone.estimator_)
    assert ours.keys() == plain.keys()
    for name, value in plain.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)
    assert shared.temperature_ == pytest.approx(alone.temperature_, rel=1e-9)
    np.testing.assert_allclose(shared.predict_proba(X), alone.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize("emotions", ["ab", "abcd"])
@pytest.mark.parametrize(
    "machine",
    [
        SVC(C=10.0, break_ties=True),
        SVC(C=0.1, gamma=0.02, class_weight="balanced", break_ties=True),
        SVC(C=1e-9, gamma="auto", break_ties=True),  # all votes are ties
        SVC(gamma=0.02),
        SVC(kernel="linear", break_ties=True),
    ],
)
@pytest.mark.parametrize("scaler", [StandardScaler(), None])
def test_a_pipelines_machine_is_scikit_learns(scaler, machine, emotions):
    X, y, _ = voices(3, n_actors=8, emotions=emotions, n_clips=8)
    X = X.astype(np.float32)
    steps = [("scaler", scaler)] * (scaler is not None)
    pipeline = Pipeline([*steps, ("classifier", machine)])
    ours, plain = fit(pipeline, X[::2], y[::2]), clone(pipeline).fit(X[::2], y[::2])
    assert vars(ours[-1]).keys() == vars(plain[-1]).keys()
    for name, value in vars(plain[-1]).items():
        np.testing.assert_array_equal(vars(ours[-1])[name], value, err_msg=name)
    np.testing.assert_array_equal(predicted(ours, X), plain.predict(X))
    np.testing.assert_array_equal(ours.predict(X), plain.predict(X))


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_decisions_are_libsvms(kernel):
    X, y, _ = voices(3, n_actors=8, emotions="abcd", n_clips=8)
    fitted = SVC(C=10.0, kernel=kernel, decision_function_shape="ovo").fit(X[::2], y[::2])
    np.testing.assert_allclose(
        decisions(fitted, X.astype(np.float32)),
        fitted.decision_function(X.astype(np.float32)),
        rtol=1e-9,
        atol=1e-9,
    )


@pytest.mark.parametrize(
    ("classifier", "X"),
    [
        (SVC(kernel="linear"), np.zeros((9, 2))),
        (SVC(gamma="great"), np.zeros((9, 2))),
        (LinearSVC(), np.zeros((9, 2))),
        (SVC(), np.full((9, 2), np.nan)),
        (SVC(), np.zeros((4001, 1))),
    ],
)
def test_what_cannot_share_a_kernel(classifier, X):
    assert not SharedKernel.fits(classifier, X)


@pytest.mark.parametrize(
    ("classifier", "calibrate"),
    [
        (SVC(C=10, break_ties=True), None),
        (SVC(C=10), "sigmoid"),
        (LinearSVC(), None),
        (KernelRidgeClassifier(alphas=[0.01, 0.3]), None),
        (KernelRidgeClassifier(), "temperature"),
        (LogisticRegression(), "sigmoid"),
        (GaussianNB(), "temperature"),
    ],
)
def test_one_training_actor_is_no_worse_than_the_priors(classifier, calibrate):
    """Kernel ridge's log loss was 11 to 15: it was calibrated on a voice that it knew."""
    pipeline = build_pipeline({"classifier": classifier}, seed=0, calibrate=calibrate)
    for seed in range(4):
        X, y, actors = voices(seed, spread=seed % 2)
        train, test = actors == 0, actors == 1
        with pytest.warns(UserWarning, match="fewer than 3 actors"):
            fitted = fit(pipeline, X[train], y[train], groups=actors[train])
        predicted, proba = predict_emotions(fitted, X[test], np.unique(y))
        right = proba[np.arange(test.sum()), np.searchsorted(np.unique(y), y[test])]
        assert -np.log(right).mean() <= np.log(3) + 0.1 + 1e-9
        np.testing.assert_array_equal(predicted, fitted.predict(X[test]))


def test_shrunk_keeps_the_prediction_of_a_rare_emotion():
    rng = np.random.default_rng(0)
    proba, priors = rng.dirichlet(np.ones(4), 50), np.array([0.7, 0.15, 0.1, 0.05])
    moved = shrunk(proba, priors)
    np.testing.assert_allclose(moved.sum(axis=1), 1)
    np.testing.assert_array_equal(moved.argmax(axis=1), proba.argmax(axis=1))
    common = proba.argmax(axis=1) == 0
    expected = (1 - PRIOR_SHARE) * proba + PRIOR_SHARE * priors
    np.testing.assert_allclose(moved[common], expected[common], rtol=1e-6)


def test_few_clips_that_are_all_right_do_not_make_a_model_sure():
    scores, targets = np.array([[1.0, -1.0], [-1.0, 1.0]] * 3), np.array([0, 1] * 3)
    few = softmax(scores[0] / best_temperature(scores, targets)[0])[0]
    many = softmax(scores[0] / best_temperature(np.tile(scores, (50, 1)), np.tile(targets, 50))[0])
    assert few == pytest.approx(7 / 8, abs=1e-3)  # 6 right and one of each class told at random
    assert many[0] == pytest.approx(301 / 302, abs=1e-3)
    sigmoid = SigmoidCalibration(None)
    sigmoid.classes_ = np.array(["a", "b"])
    sigmoid._calibrate(scores, targets)
    assert 0.7 < sigmoid._probabilities(scores)[0, 0] < 0.95


ASKED = []


class Told(ClassifierMixin, BaseEstimator):
    """Keeps the actors of every fit and of every question, through clones."""

    def fit(self, X, y, groups=None):
        self.classes_, self.actors_ = np.unique(y), set(X[:, 0])
        assert groups is not None
        np.testing.assert_array_equal(groups, X[:, 0])
        return self

    def predict_proba(self, X):
        ASKED.append((self.actors_, set(X[:, 0])))
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


@pytest.mark.parametrize("depth", ["calibrated", "ensemble", "calibrated stacking"])
def test_no_actor_is_in_two_of_a_calibrations_folds(depth):
    y, actors = np.tile(["a", "b", "c"], 24), np.repeat(np.arange(9), 8)
    X = actors[:, None].astype(float)
    told = TemperatureScaling(Told(), random_state=0)
    final = TemperatureScaling(KernelRidgeClassifier(), random_state=0)
    members = {name: {"classifier": told} for name in ("one", "two")}
    classifier = {
        "calibrated": told,
        "ensemble": Ensemble(members),
        "calibrated stacking": TemperatureScaling(Ensemble(members, final=final, n_splits=3)),
    }[depth]
    ASKED.clear()
    fit(build_pipeline({"classifier": classifier}, seed=0), X, y, groups=actors)
    assert len(ASKED) >= 3
    assert all(not trained & asked for trained, asked in ASKED)


MEMBERS = {"svm": {"c": SVC()}, "linear": {"c": LinearSVC()}}


@pytest.mark.parametrize(
    "classifier",
    [
        TemperatureScaling(SVC()),
        SigmoidCalibration(LinearSVC()),
        Ensemble(MEMBERS),
        Ensemble(MEMBERS, final=LogisticRegression(), n_splits=3),
        KernelRidgeClassifier(),
    ],
)
def test_two_emotions_told_by_speaker(classifier):
    """2 patients and 6 controls: a fold of both patients leaves one emotion to train on."""
    actors = np.repeat(np.arange(8), 4)
    y = np.where(actors < 2, "patient", "control")
    X = np.random.default_rng(0).normal(size=(32, 6)) + (actors < 2)[:, None]
    for train in (actors >= 0, actors != 0, np.isin(actors, (0, 5))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = clone(classifier).fit(X[train], y[train], groups=actors[train])
        assert np.isfinite(fitted.predict_proba(X)).all()


def test_inner_folds_are_what_the_clips_allow():
    y, actors = np.tile(["a", "b"], 6), np.repeat([0, 1, 2], 4)
    assert len(inner_folds(y, actors, n_splits=5, seed=0)) == 3
    assert len(inner_folds(y, None, n_splits=5, seed=0)) == 5
    assert inner_folds(y, np.zeros(12), n_splits=5, seed=0) == []
    told_by_speaker = np.where(actors == 0, "a", "b")
    for fold in inner_folds(told_by_speaker, actors, n_splits=3, seed=0):
        assert 0 in actors[fold.train]


def test_a_model_that_refuses_the_clips_says_so():
    X, y, _ = voices(0, n_clips=1)
    with pytest.raises(SerError, match="QuadraticDiscriminantAnalysis cannot be fitted on 3 clips"):
        fit(Pipeline([("c", QuadraticDiscriminantAnalysis())]), X[:3], y[:3])
    fitted = fit(Pipeline([("c", KNeighborsClassifier(5))]), X[:3], y[:3])
    with pytest.raises(SerError, match="KNeighborsClassifier cannot predict 6 clips"):
        predict_emotions(fitted, X, np.unique(y))
