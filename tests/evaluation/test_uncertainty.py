"""Intervals and tests: against scipy, against what is known, and against each other."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ser.core.errors import SerError
from ser.evaluation.metrics import METRICS
from ser.evaluation.significance import (
    check_comparable,
    difference_interval,
    holm,
    paired_tests,
    scores_by_actor,
    sign_flip_p,
)
from ser.evaluation.uncertainty import score_intervals, uar_over_units


def outcomes(n_actors=24, per_actor=60, spread=0.15, seed=0):
    """Clips of actors, some of whom are easier than others."""
    rng = np.random.default_rng(seed)
    actors = np.repeat(np.arange(n_actors), per_actor)
    y_true = rng.choice(["angry", "calm", "happy", "sad"], len(actors))
    skill = np.clip(0.6 + spread * rng.normal(size=n_actors), 0, 1)[actors]
    y_pred = np.where(rng.random(len(actors)) < skill, y_true, "wrong")
    return y_true, y_pred, actors


def test_intervals_over_clips_by_hand():
    # Agresti & Coull: 8 right of 10, with two right and two wrong ones added.
    y_true = np.array(["sad"] * 10)
    y_pred = np.array(["sad"] * 8 + ["calm"] * 2)
    half = 1.959964 * np.sqrt(10 / 14 * 4 / 14 / 14)
    expected = {"accuracy": (10 / 14 - half, 10 / 14 + half)}
    expected["uar"] = expected["accuracy"]
    got = score_intervals(y_true, y_pred, None)
    assert got.keys() == expected.keys()
    for name in expected:
        assert got[name] == pytest.approx(expected[name], abs=1e-6)
    # With two emotions half as many are added to each: 3 of 4, and 1 of 6.
    y_true = np.array(["sad"] * 4 + ["calm"] * 6)
    y_pred = np.array(["sad"] * 3 + ["calm"] + ["calm"] + ["sad"] * 5)
    p, n = np.array([4 / 6, 2 / 8]), np.array([6, 8])
    half = 1.959964 * np.sqrt((p * (1 - p) / n).sum()) / 2
    low, high = score_intervals(y_true, y_pred, None)["uar"]
    assert (low, high) == pytest.approx((p.mean() - half, p.mean() + half), abs=1e-6)


def test_intervals_over_actors_are_students_t_and_wider():
    # As many clips of each emotion by every actor: the UAR is the mean of the actors' own.
    rng = np.random.default_rng(0)
    actors, y_true = np.repeat(np.arange(8), 20), np.tile(np.repeat(["calm", "sad"], 10), 8)
    right = rng.random(160) < np.linspace(0.4, 0.6, 8)[actors]
    y_pred = np.where(right, y_true, "wrong")
    by_actor = pd.Series(right).groupby(actors).mean()
    expected = stats.t.interval(0.95, 7, by_actor.mean(), by_actor.sem())
    (uar,), (low,), (high,) = uar_over_units(right[None].astype(float), y_true, actors)
    assert (uar, low, high) == pytest.approx((by_actor.mean(), *expected))
    # Near a half, where p (1 - p) hardly changes, the interval of a score is the same.
    score = score_intervals(y_true, y_pred, actors)["uar"]
    assert score == pytest.approx(expected, abs=0.006)
    y_true, y_pred, actors = outcomes()
    over_actors, over_clips = (
        np.ptp(score_intervals(y_true, y_pred, units)["uar"]) for units in (actors, None)
    )
    assert over_actors > 1.5 * over_clips


def test_intervals_stay_within_bounds_around_the_score():
    rng = np.random.default_rng(0)
    for n, n_actors, skill in itertools.product((2, 5, 40), (2, 3), (0, 0.02, 0.5, 0.98, 1)):
        y_true = rng.choice(["angry", "calm", "sad"], n)
        y_pred = np.where(rng.random(n) < skill, y_true, "wrong")
        for units in (None, np.arange(n) % n_actors):
            for name, (low, high) in score_intervals(y_true, y_pred, units).items():
                score = METRICS[name](y_true, y_pred)
                assert 0 <= low <= score <= high <= 1 and low < high, (n, units, skill, name)


def test_one_actor_or_one_clip_has_no_interval():
    y_true, y_pred, actors = outcomes(n_actors=1)
    assert score_intervals(y_true, y_pred, actors) == {}
    assert score_intervals(y_true[:1], y_pred[:1], None) == {}
    uar, low, high = uar_over_units((y_true == y_pred)[None].astype(float), y_true, actors)
    assert 0 < uar[0] < 1 and np.isnan([low[0], high[0]]).all()


@pytest.mark.parametrize(("n_actors", "n_runs", "least"), [(6, 600, 0.925), (24, 1500, 0.945)])
def test_intervals_cover_the_truth_as_often_as_they_say(n_actors, n_runs, least):
    # Actors drawn anew in each run. The percentile bootstrap covers 0.845 and 0.941 of these runs.
    covered = 0
    for seed in range(n_runs):
        y_true, y_pred, actors = outcomes(n_actors, per_actor=16, spread=0.1, seed=seed)
        low, high = score_intervals(y_true, y_pred, actors)["uar"]
        covered += low <= 0.6 <= high
    assert least < covered / n_runs < 0.97


def test_intervals_over_few_clips_cover_the_truth():
    covered, rng = 0, np.random.default_rng(0)
    for _ in range(600):
        y_true = rng.choice(["angry", "calm", "happy", "sad"], 20)
        y_pred = np.where(rng.random(20) < 0.9, y_true, "wrong")
        low, high = score_intervals(y_true, y_pred, None)["uar"]
        covered += low <= 0.9 <= high
    assert 0.92 < covered / 600 < 0.99


@pytest.mark.parametrize("n", [3, 10])
def test_sign_flips_against_scipy(n):
    differences = np.random.default_rng(n).normal(0.05, 0.1, n).round(2)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert sign_flip_p(differences) == pytest.approx(expected)


def test_sign_flips_of_many_actors():
    assert sign_flip_p(np.full(24, 0.01)) == pytest.approx(2 / 2**24)
    differences = np.random.default_rng(0).normal(0.05, 0.2, 60)
    drawn, exact = sign_flip_p(differences), stats.ttest_1samp(differences, 0).pvalue
    assert drawn == pytest.approx(exact, rel=0.15)


@pytest.mark.parametrize("n_actors", [6, 24])
def test_intervals_of_differences_cover_the_truth(n_actors):
    rng = np.random.default_rng(n_actors)
    intervals = [difference_interval(rng.normal(0.05, 0.1, n_actors)) for _ in range(300)]
    covered = np.mean([low <= 0.05 <= high for low, high in intervals])
    assert 0.91 < covered < 0.985  # three standard errors around 0.95


def test_one_actor_has_no_interval():
    assert np.isnan(difference_interval(np.array([0.1]))).all()


def test_paired_tests_of_all_pairs():
    rng = np.random.default_rng(0)
    a = rng.uniform(0.3, 0.6, 24)
    scores = pd.DataFrame({"a": a, "b": a + 0.05 + 0.02 * rng.normal(size=24), "c": a})
    table = paired_tests(scores)
    ab, ac, bc = table.to_dict("records")
    assert ab["p"] == pytest.approx(sign_flip_p(scores["b"] - scores["a"]))
    assert (ab["difference"], ab["actors"]) == (pytest.approx((scores["b"] - a).mean()), 24)
    assert 0 < ab["low"] < ab["difference"] < ab["high"]
    assert (ac["p"], ac["p_holm"], ac["better_actors"]) == (1.0, 1.0, 0)
    assert bc["p_holm"] >= bc["p"]
    np.testing.assert_allclose(holm(np.array([0.5, 0.001])), [0.5, 0.002])


def test_paired_tests_equal_steps_tie_whatever_their_rounding():
    # 7/60 - 6/60 and 2/60 - 1/60 differ in their last bits.
    a = np.arange(20) / 60
    table = paired_tests(pd.DataFrame({"a": a, "b": a + 1 / 60 * np.resize([1, -1], 20)}))
    assert table["p"][0] == 1


def predictions(**columns):
    table = {"clip": list("xyz"), "actor": [1, 2, 2], "fold": [0, 1, 1]}
    table |= {"true": ["sad", "calm", "sad"], "predicted": ["sad", "sad", "sad"]}
    return pd.DataFrame(table | {"p_calm": 0.0, "p_sad": 1.0} | columns)


def test_scores_by_actor():
    one = predictions()
    scores = scores_by_actor({"one": one, "two": one.iloc[::-1]}, "uar")
    assert scores.to_dict() == {"one": {1: 1.0, 2: 0.5}, "two": {1: 1.0, 2: 0.5}}


@pytest.mark.parametrize(
    ("other", "tags", "said"),
    [
        ({}, {"transductive": "true"}, "one is inductive; two is transductive .* apart"),
        ({}, {"corpus_in_pretraining": "yes"}, "one is inductive; two is pretrained .* apart"),
        ({}, {"split": "loso"}, "one has split=random_10fold and two split=loso"),
        ({"clip": list("xyw")}, {}, "two was tested on 3 clips and one on 3, 2 of them the same"),
        ({"actor": [1, 2, 3]}, {}, "2 of them the same"),
        ({"true": ["sad", "calm", "calm"]}, {}, "with other labels"),
        ({"p_angry": 0.0}, {}, "other labels: calm, sad; and angry, calm, sad"),
        ({"fold": [0, 0, 1]}, {}, "in other folds"),
        ({"fold": [0, 0, 0]}, {}, r"in other folds \(2 and 1\)"),
    ],
)
def test_runs_of_other_questions_are_not_compared(other, tags, said):
    same = {"split": "random_10fold", "transductive": "false"}
    tables = {"one": predictions(), "two": predictions(**other).iloc[::-1]}
    with pytest.raises(SerError, match=said):
        check_comparable(tables, {"one": same, "two": same | tags})


def test_runs_of_one_question_are_compared_however_their_folds_are_numbered():
    tables = {"one": predictions(), "two": predictions(fold=[5, 3, 3]).iloc[::-1]}
    check_comparable(tables, {"one": {}, "two": {}})
