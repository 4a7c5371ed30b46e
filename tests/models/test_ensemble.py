"""Ensembles, calibration and selection: what they are told, and what they do with it."""

import numpy as np
import pytest
from composing import composed
from hydra.utils import instantiate
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from ser.core.errors import SerError
from ser.data.folds import cross_validation_folds
from ser.features.prosody import ProsodyFeatures
from ser.models.calibration import SigmoidCalibration
from ser.models.ensemble import Ensemble
from ser.models.pipeline import build_pipeline, fit
from ser.models.trained import TrainedModel, load_model, save_model
from ser.train.build import model_pipeline

MEMBERS = {"nb": {"classifier": GaussianNB()}, "lr": {"classifier": LogisticRegression(C=0.01)}}


@pytest.fixture
def data():
    X, y = make_classification(300, 10, n_informative=6, n_classes=3, random_state=0)
    return X, np.array(["angry", "happy", "sad"])[y], np.repeat(np.arange(10), 30)


def test_soft_vote_equals_scikit_learns(data):
    X, y, _ = data
    ours = Ensemble(MEMBERS).fit(X[:200], y[:200])
    theirs = VotingClassifier(
        [(name, steps["classifier"]) for name, steps in MEMBERS.items()], voting="soft"
    ).fit(X[:200], y[:200])
    np.testing.assert_allclose(ours.predict_proba(X[200:]), theirs.predict_proba(X[200:]))


def test_stacking_equals_scikit_learns_on_the_same_folds_of_actors(data):
    X, y, actors = data
    final = LogisticRegression()
    ours = Ensemble(MEMBERS, final=final, random_state=0).fit(X, y, groups=actors)
    folds = cross_validation_folds(y, actors, n_splits=5, grouped=True, seed=0)
    theirs = StackingClassifier(
        [(name, steps["classifier"]) for name, steps in MEMBERS.items()],
        final_estimator=final,
        cv=[(fold.train, fold.test) for fold in folds],
        stack_method="predict_proba",
    ).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)


def test_stacking_does_not_trust_a_member_that_knows_voices_by_heart(data):
    """One neighbour knows everybody's clips; grouped folds see that it knows no stranger's."""
    rng = np.random.default_rng(0)
    _, y, actors = data
    X = rng.normal(size=(300, 2))
    X[:, 0] += np.unique(y, return_inverse=True)[1]  # what holds for all
    habits = rng.normal(size=(10, 3, 6))[actors, np.unique(y, return_inverse=True)[1]]
    X = np.hstack([X, 8 * habits + 0.1 * rng.normal(size=(300, 6))])  # what holds for one
    members = {"knn": {"c": KNeighborsClassifier(1)}, "lr": {"c": LogisticRegression(C=1e-3)}}
    by_actor, by_clip = (
        Ensemble(members, final=LogisticRegression(), random_state=0).fit(X, y, groups=groups)
        for groups in (actors, None)
    )
    trust = [np.abs(one.final_[-1].coef_[:, :3]).sum() for one in (by_actor, by_clip)]
    assert trust[0] < 0.5 * trust[1]


class Listener(ClassifierMixin, BaseEstimator):
    """Says which groups it was given."""

    def fit(self, X, y, groups=None):
        self.classes_, self.groups_ = np.unique(y), groups
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def test_members_are_told_the_actors(data):
    X, y, actors = data
    fitted = Ensemble({"one": {"c": Listener()}, "none": None}).fit(X, y, groups=actors)
    np.testing.assert_array_equal(fitted.members_["one"][-1].groups_, actors)
    assert list(fitted.members_) == ["one"]
    with pytest.raises(SerError, match="no members"):
        Ensemble({"none": None}).fit(X, y)


def test_sigmoid_calibration_mends_a_classifier_that_is_too_sure(data):
    X, y, actors = data
    X = np.repeat(X, 5, axis=1)  # naive Bayes takes every copy for news
    train = actors < 7
    plain = GaussianNB().fit(X[train], y[train])
    steps = {"classifier": GaussianNB()}
    pipeline = build_pipeline(steps, seed=0, calibrate="sigmoid")
    assert isinstance(pipeline[-1], SigmoidCalibration)
    pipeline.fit(X[train], y[train], classifier__groups=actors[train])
    proba = pipeline.predict_proba(X[~train])
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert log_loss(y[~train], proba) < 0.7 * log_loss(y[~train], plain.predict_proba(X[~train]))
    assert (pipeline[-1].slope_ > 0).all()


def test_unknown_calibration_is_refused():
    with pytest.raises(SerError, match="calibrate='isotonic'"):
        build_pipeline({"classifier": GaussianNB()}, seed=0, calibrate="isotonic")


@pytest.mark.parametrize("selection", ["mutual_information", "model"])
def test_selection_keeps_the_columns_that_tell_and_is_saved(selection, tmp_path):
    cfg = composed(f"selection={selection}", "model=naive_bayes")
    key = "k" if selection == "mutual_information" else "max_features"
    cfg.selection[key] = 2
    rng = np.random.default_rng(0)
    y = np.repeat(["angry", "calm"], 100)
    X = rng.normal(size=(200, 11))
    X[:, [3, 7]] += 3 * (y == "calm")[:, None]
    fitted = fit(model_pipeline(cfg)[0], X, y)
    assert fitted["selection"].get_support(indices=True).tolist() == [3, 7]
    save_model(TrainedModel(fitted, ProsodyFeatures(), False), tmp_path)
    loaded = load_model(tmp_path).pipeline
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize("model", ["kernel_ridge", "ensemble", "stacking", "kernel_ridge_by_set"])
def test_saved_model_is_the_fitted_one(model, tmp_path):
    sets = [f"features@features.sets.{name}=prosody" for name in ("functionals", "compare")]
    sets.append("features.sets.logmel.seconds=0.4")
    cfg = composed(f"model={model}", *(sets if model.endswith("set") else ()))
    rng = np.random.default_rng(0)
    y = np.repeat(["angry", "calm"], 30)
    width = len(instantiate(cfg.features).names) if model.endswith("set") else 22
    X = rng.normal(size=(60, width)) + (y == "calm")[:, None]
    fitted = fit(model_pipeline(cfg)[0], X, y, np.tile(np.arange(6), 10))
    save_model(TrainedModel(fitted, instantiate(cfg.features), False), tmp_path)
    loaded = load_model(tmp_path)
    np.testing.assert_array_equal(loaded.pipeline.predict_proba(X), fitted.predict_proba(X))
    assert loaded.feature_set == instantiate(cfg.features)
