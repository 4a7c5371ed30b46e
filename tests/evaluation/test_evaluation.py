"""Numbers by hand and against scikit-learn; probabilities that keep the predictions."""

import numpy as np
import pandas as pd
import pytest
from made import dataset
from sklearn import metrics
from sklearn.datasets import make_classification
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from ser.data.folds import Fold, Split
from ser.evaluation.breakdown import breakdown, per_class
from ser.evaluation.curves import learning_curve
from ser.evaluation.folds import evaluate_folds
from ser.evaluation.metrics import scores
from ser.evaluation.parallel import Workers
from ser.evaluation.probabilities import precision_recall, reliability, roc
from ser.models.calibration import TemperatureScaling
from ser.models.pipeline import build_pipeline
from ser.report.training_figures import plot_accuracy_curve

LABELS = ("angry", "happy", "sad")


def noisy_classes(n=240, n_classes=3, seed=0):
    X, y = make_classification(
        n,
        n_features=10,
        n_informative=5,
        n_classes=n_classes,
        flip_y=0.2,
        random_state=seed,
    )
    return X, np.array(LABELS)[y]


def test_scores_by_hand():
    # 4 angry (3 found), 1 happy (found), 1 sad (taken for angry).
    y_true = np.array(["angry"] * 4 + ["happy", "sad"])
    y_pred = np.array(["angry"] * 3 + ["happy", "happy", "angry"])
    numbers = scores(y_true, y_pred, None, LABELS)
    assert numbers["accuracy"] == pytest.approx(4 / 6)
    assert numbers["uar"] == pytest.approx((3 / 4 + 1 + 0) / 3)
    assert numbers["precision_macro"] == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
    assert numbers["f1_macro"] == pytest.approx((3 / 4 + 2 / 3 + 0) / 3)
    assert "log_loss" not in numbers


def test_scores_log_loss_by_hand():
    proba = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    numbers = scores(np.array(["angry", "happy"]), np.array(["angry", "happy"]), proba, LABELS)
    assert numbers["log_loss"] == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2)


def test_scores_emotion_without_clips_is_left_out_of_the_mean():
    y_true, y_pred = np.array(["angry", "happy"]), np.array(["angry", "sad"])
    assert scores(y_true, y_pred, None, LABELS)["uar"] == pytest.approx(0.5)


def test_scores_and_roc_equal_sklearn():
    rng = np.random.default_rng(1)
    y_true = rng.choice(LABELS, 200)
    proba = rng.dirichlet(np.ones(3), 200)
    y_pred = np.array(LABELS)[proba.argmax(axis=1)]
    numbers = scores(y_true, y_pred, proba, LABELS)
    assert numbers["uar"] == pytest.approx(metrics.balanced_accuracy_score(y_true, y_pred))
    assert numbers["log_loss"] == pytest.approx(metrics.log_loss(y_true, proba))
    expected = metrics.roc_auc_score(y_true, proba, multi_class="ovr", average="macro")
    assert roc(y_true, proba, LABELS)[1] == pytest.approx(expected)


def test_per_class_support_and_recall_by_hand():
    table = per_class(
        np.array(["sad", "sad", "happy"]), np.array(["sad", "happy", "happy"]), LABELS
    )
    assert table["support"].tolist() == [0, 1, 2]
    assert table["recall"].tolist() == [0, 1, 0.5]


@pytest.mark.parametrize("classifier", [SVC(break_ties=True), LinearSVC()])
def test_temperature_scaling_keeps_predictions_and_lowers_log_loss(classifier):
    X, y = noisy_classes()
    plain = classifier.fit(X[:160], y[:160])
    scaled = TemperatureScaling(classifier, random_state=0).fit(X[:160], y[:160])
    np.testing.assert_array_equal(scaled.predict(X[160:]), plain.predict(X[160:]))
    proba = scaled.predict_proba(X[160:])
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    at_one = np.exp(plain.decision_function(X[160:]))
    at_one /= at_one.sum(axis=1, keepdims=True)
    assert metrics.log_loss(y[160:], proba) < metrics.log_loss(y[160:], at_one)


def test_temperature_scaling_two_emotions():
    X, y = noisy_classes(n_classes=2)
    scaled = TemperatureScaling(LinearSVC(), random_state=0).fit(X, y)
    assert scaled.predict_proba(X).shape == (len(X), 2)
    np.testing.assert_array_equal(
        scaled.predict(X), scaled.classes_[scaled.predict_proba(X).argmax(axis=1)]
    )


def test_temperature_scaling_groups_make_it_less_sure_of_strangers():
    # Each actor's clips are near-copies with one label, and the labels of actors are chance: what
    # is learnt from an actor says nothing of another, and only grouped folds can find that out.
    rng = np.random.default_rng(0)
    actors = np.repeat(np.arange(80), 4)
    X = rng.normal(size=(80, 5))[actors] + rng.normal(0, 0.05, (320, 5))
    y = rng.choice(LABELS, 80)[actors]
    strangers, theirs = rng.normal(size=(400, 5)), rng.choice(LABELS, 400)
    losses = [
        metrics.log_loss(theirs, model.predict_proba(strangers))
        for model in (
            TemperatureScaling(SVC(gamma=1.0), random_state=0).fit(X, y),
            TemperatureScaling(SVC(gamma=1.0), random_state=0).fit(X, y, groups=actors),
        )
    ]
    assert losses[1] < np.log(3) + 0.05 < losses[0]


ALONE = Workers(1)


def grouped_folds(X, y, groups):
    return [Fold(a, b) for a, b in GroupKFold(4).split(X, y, groups)]


def test_evaluate_folds_predicts_held_out_clips_in_their_order():
    X, y = noisy_classes()
    folds = [Fold(np.arange(200), np.arange(239, 199, -1))]
    (result,), _ = evaluate_folds(
        build_pipeline({"scaler": StandardScaler(), "classifier": SVC()}, seed=0),
        dataset(X, y),
        Split(folds),
        ALONE,
    )
    mean, deviation = X[:200].mean(axis=0), X[:200].std(axis=0)  # of training clips alone
    expected = SVC().fit((X[:200] - mean) / deviation, y[:200])
    np.testing.assert_array_equal(
        (result.predicted == y[result.test]).mean(),
        expected.score((X[200:] - mean) / deviation, y[200:]),
    )


def test_evaluate_folds_emotion_unknown_in_training_gets_probability_zero():
    X, y = noisy_classes()
    known = np.flatnonzero(y != "sad")
    pipeline = build_pipeline({"classifier": DecisionTreeClassifier()}, seed=0)
    folds = [Fold(known, np.flatnonzero(y == "sad"))]
    (result,), _ = evaluate_folds(pipeline, dataset(X, y), Split(folds), ALONE)
    assert result.proba.shape[1] == 3
    assert (result.proba[:, 2] == 0).all()


def test_learning_curve_ends_where_cross_validation_is():
    X, y = noisy_classes()
    groups = np.arange(len(y)) // 10
    folds = grouped_folds(X, y, groups)
    pipeline = build_pipeline({"scaler": StandardScaler(), "classifier": SVC()}, seed=0)
    data = dataset(X, y, groups)
    for held_out, unit, sizes, all_of_the_smallest in (
        ((), "clips", (20, 90, 1000), 180),
        (("actor",), "actors", (2, 9, 1000), 18),
    ):
        split = Split(folds, held_out)
        curve = learning_curve(pipeline, data, split, sizes=sizes, seed=0, workers=ALONE)
        assert curve.name == unit
        assert curve.points == (*sizes[:2], all_of_the_smallest)
        assert curve.train.shape == (3, len(folds))
        results, _ = evaluate_folds(pipeline, data, split, ALONE)
        expected = [(r.predicted == y[r.test]).mean() for r in results]
        np.testing.assert_allclose(curve.validation[-1], expected)


def test_learning_curve_leaves_out_what_is_too_few_for_the_model():
    X, y = noisy_classes()
    folds = grouped_folds(X, y, np.arange(len(y)) // 10)
    pipeline = build_pipeline({"classifier": KNeighborsClassifier(20)}, seed=0)
    curve = learning_curve(
        pipeline, dataset(X, y), Split(folds), sizes=(10, 100), seed=0, workers=ALONE
    )
    assert np.isnan(curve.validation[0]).all()
    assert (curve.validation[1] > 0.4).all()
    plot_accuracy_curve(curve.table, title="x", n_labels=3, about="")  # draws what there is


def test_scores_agree_with_audmetric():
    audmetric = pytest.importorskip("audmetric")
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.choice(LABELS, (2, 300), p=(0.6, 0.3, 0.1))
    numbers = scores(y_true, y_pred, None, LABELS)
    assert numbers["accuracy"] == pytest.approx(audmetric.accuracy(y_true, y_pred))
    assert numbers["uar"] == pytest.approx(audmetric.unweighted_average_recall(y_true, y_pred))
    assert numbers["f1_macro"] == pytest.approx(audmetric.unweighted_average_fscore(y_true, y_pred))


def test_reliability_by_hand():
    # Bins (0.5, 0.6]: sure 0.6, right 1 of 2. (0.8, 0.9]: sure 0.9, right 2 of 2.
    proba = np.array([[0.6, 0.4], [0.4, 0.6], [0.9, 0.1], [0.1, 0.9]])
    y_pred = np.array(["angry", "happy", "angry", "happy"])
    y_true = np.array(["angry", "angry", "angry", "happy"])
    bins, error = reliability(y_true, y_pred, proba)
    assert bins["clips"].tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 2, 0]
    assert error == pytest.approx((2 * 0.1 + 2 * 0.1) / 4)


def test_precision_recall_of_a_perfect_and_an_absent_emotion():
    y_true = np.array(["angry", "angry", "happy"])
    proba = np.array([[0.8, 0.2, 0], [0.7, 0.3, 0], [0.2, 0.8, 0]])
    curves = precision_recall(y_true, proba, LABELS)
    assert set(curves) == {"angry", "happy"}
    assert curves["angry"][2] == 1.0


def test_breakdown_by_hand():
    predictions = pd.DataFrame(
        {
            "true": ["angry", "angry", "happy", "happy"],
            "predicted": ["angry", "happy", "happy", "happy"],
            "actor": [1, 1, 1, 2],
            "gender": ["male", "male", "male", "female"],
        }
    )
    table = breakdown(predictions).set_index(["factor", "level"])
    assert table.loc[("emotion", "angry"), "accuracy"] == 0.5
    assert table.loc[("gender", "male"), "accuracy"] == pytest.approx(2 / 3)
    assert table.loc[("actor", 1), "uar"] == 0.75
    assert table.loc[("actor", 2), "clips"] == 1
    assert set(table.index.get_level_values(0)) == {"emotion", "actor", "gender"}
