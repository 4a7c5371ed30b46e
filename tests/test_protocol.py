"""The protocol as a whole: the same seed, the same predictions; curves that can be read."""

import numpy as np
import pandas as pd
import pytest
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from ser import splits
from ser.errors import SerError
from ser.pipeline import build_pipeline
from ser.protocol import Settings, evaluate


def evaluated(clips, classifier, *, seed=1, n_splits=3, n_jobs=1, splitter=None):
    rng = np.random.default_rng(0)
    codes = pd.Categorical(clips["emotion"]).codes
    X = rng.normal(size=(len(clips), 8)) + 0.8 * codes[:, None]
    split = (splitter or splits.random)(clips, test_size=0.25, seed=seed)
    pipeline = build_pipeline({"scaler": StandardScaler(), "classifier": classifier}, seed=seed)
    settings = Settings(
        n_splits=n_splits, learning_clips=(), learning_actors=(), seed=seed, n_jobs=n_jobs
    )
    return evaluate(pipeline, clips, X, split, settings)


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
    evaluation = evaluated(clips, SVC(), splitter=splits.speaker)
    cv, test = evaluation.part("cv"), evaluation.part("test")
    assert not set(cv["actor"]) & set(test["actor"])
    assert len(cv) + len(test) == len(clips)
    by_fold = cv.groupby("fold").apply(lambda fold: (fold["true"] == fold["predicted"]).mean())
    np.testing.assert_allclose(evaluation.fold_scores["accuracy"], by_fold)
    assert evaluation.metrics["cv_accuracy_mean"] == pytest.approx(by_fold.mean())
    assert evaluation.metrics["cv_accuracy_std"] == pytest.approx(by_fold.std(ddof=0))


def test_evaluate_says_what_the_fits_warned_of_once(clips):
    short = MLPClassifier((5,), max_iter=2, random_state=0)
    for n_jobs in (1, 2):
        warnings = evaluated(clips, short, n_jobs=n_jobs).warnings
        assert len(warnings) == 1
        assert "ConvergenceWarning" in warnings[0]


def test_evaluate_too_many_folds_is_said(clips):
    with pytest.raises(SerError, match="18 actors"):
        evaluated(clips, SVC(), n_splits=20, splitter=splits.speaker)
