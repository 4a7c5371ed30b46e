"""The protocol as a whole: the same seed, the same predictions; curves that can be read."""

import numpy as np
import pandas as pd
import pytest
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from ser.core.errors import SerError
from ser.data import splits
from ser.data.dataset import Dataset
from ser.evaluation.plan import Settings
from ser.evaluation.protocol import evaluate
from ser.models.pipeline import build_pipeline


def evaluated(clips, classifier, *, seed=1, n_jobs=1, splitter=None, signal=0.8, **settings):
    rng = np.random.default_rng(0)
    codes = pd.Categorical(clips["emotion"]).codes
    X = rng.normal(size=(len(clips), 8)) + signal * codes[:, None]
    split = splitter(clips) if splitter else splits.random(clips, test_size=0.25, seed=seed)
    pipeline = build_pipeline({"scaler": StandardScaler(), "classifier": classifier}, seed=seed)
    settings = Settings(**{"n_splits": 3, "seed": seed, "n_jobs": n_jobs} | settings)
    return evaluate(pipeline, Dataset(clips, X), split, settings)


def by_speaker(clips):
    return splits.speaker(clips, test_size=0.25, seed=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: SVC(),
        lambda seed: DecisionTreeClassifier(random_state=seed),
        lambda seed: MLPClassifier((20,), max_iter=20, random_state=seed),
    ],
    ids=["svm", "tree", "mlp"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_evaluate_same_seed_same_predictions_on_any_number_of_workers(clips, make):
    first = evaluated(clips, make(1), n_jobs=1).predictions
    second = evaluated(clips, make(1), n_jobs=2).predictions
    other = evaluated(clips, make(2), seed=2).predictions
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert not first["clip"].equals(other["clip"])


def test_evaluate_every_training_clip_is_held_out_once_and_scores_follow(clips):
    evaluation = evaluated(clips, SVC(), splitter=by_speaker)
    cv, test = evaluation.part("cv"), evaluation.part("test")
    assert not set(cv["actor"]) & set(test["actor"])
    assert len(cv) + len(test) == len(clips)
    by_fold = cv.groupby("fold").apply(lambda fold: (fold["true"] == fold["predicted"]).mean())
    np.testing.assert_allclose(evaluation.cv_scores["accuracy"], by_fold)
    assert evaluation.metrics["cv_accuracy_mean"] == pytest.approx(by_fold.mean())
    assert evaluation.metrics["cv_accuracy_std"] == pytest.approx(by_fold.std(ddof=0))


def test_evaluate_says_what_the_fits_warned_of_once(clips):
    short = MLPClassifier((5,), max_iter=2, random_state=0)
    for n_jobs in (1, 2):
        warnings = evaluated(clips, short, n_jobs=n_jobs).warnings
        assert len(warnings) == 1
        assert "ConvergenceWarning" in warnings[0]


def test_evaluate_too_many_folds_is_said(clips):
    with pytest.raises(SerError, match="18 training actors"):
        evaluated(clips, SVC(), n_splits=20, splitter=by_speaker)


def test_evaluate_several_folds_pool_their_test_clips(clips):
    evaluation = evaluated(clips, SVC(), splitter=splits.loso, learning_actors=(2, 20))
    test = evaluation.part("test")
    assert len(test) == len(evaluation.predictions) == len(clips)
    assert test.groupby("fold")["actor"].nunique().eq(1).all()
    hit = test["true"] == test["predicted"]
    assert evaluation.metrics["test_accuracy"] == pytest.approx(hit.mean())
    by_fold = hit.groupby(test["fold"]).mean()
    assert evaluation.metrics["test_accuracy_std"] == pytest.approx(by_fold.std(ddof=0))
    assert not evaluation.cv_scores
    assert "cv_accuracy_mean" not in evaluation.metrics
    # The model that is kept has learned from every clip; curves keep actors apart.
    assert evaluation.pipeline.named_steps["scaler"].n_samples_seen_ == len(clips)
    assert evaluation.learning.grouped
    assert evaluation.learning.points == (2, 16)


def test_evaluate_validation_part_is_scored_for_itself(clips):
    evaluation = evaluated(
        clips,
        SVC(),
        splitter=lambda c: splits.random(c, test_size=0.2, validation_size=0.2, seed=1),
    )
    validation = evaluation.part("validation")
    assert not set(validation.index) & set(evaluation.part("test").index)
    hit = validation["true"] == validation["predicted"]
    assert evaluation.metrics["validation_accuracy"] == pytest.approx(hit.mean())


def test_evaluate_refuses_inner_folds_that_share_actors_under_a_grouped_split(clips):
    with pytest.raises(SerError, match="keeps actors apart"):
        evaluated(clips, SVC(), splitter=by_speaker, grouped=False)
    stricter = evaluated(clips, SVC(), grouped=True).part("cv")
    assert stricter.groupby("actor")["fold"].nunique().eq(1).all()


def test_evaluate_permuted_emotions_land_at_chance(clips):
    evaluation = evaluated(clips, SVC(), n_permutations=12)
    assert len(evaluation.permuted) == 12
    chance = 1 / len(evaluation.labels)
    assert evaluation.metrics["permuted_uar_mean"] == pytest.approx(chance, abs=0.03)
    assert evaluation.metrics["test_uar"] > 0.4
    assert evaluation.metrics["permuted_p"] == pytest.approx(1 / 13)
    nothing_to_learn = evaluated(clips, SVC(), n_permutations=12, signal=0.0)
    assert nothing_to_learn.metrics["permuted_p"] > 0.05


def test_evaluate_validation_curve(clips):
    curve = {"classifier__C": [0.01, 1.0]}
    (drawn,) = evaluated(clips, SVC(), validation=curve).validation
    assert drawn.name == "classifier.C"
    assert drawn.train.shape == (2, 3)
