"""Intervals and tests: against scipy, against what is known, and against each other."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ser.core.errors import SerError
from ser.evaluation.significance import (
    check_comparable,
    holm,
    paired_tests,
    scores_by_actor,
    sign_flip_p,
)
from ser.evaluation.uncertainty import bootstrap_intervals


def outcomes(n_actors=24, per_actor=60, spread=0.15, seed=0):
    """Clips of actors, some of whom are easier than others."""
    rng = np.random.default_rng(seed)
    actors = np.repeat(np.arange(n_actors), per_actor)
    y_true = rng.choice(["angry", "calm", "happy", "sad"], len(actors))
    skill = np.clip(0.6 + spread * rng.normal(size=n_actors), 0, 1)[actors]
    y_pred = np.where(rng.random(len(actors)) < skill, y_true, "wrong")
    return y_true, y_pred, actors


def test_bootstrap_over_clips_agrees_with_scipy():
    y_true, y_pred, _ = outcomes()
    hit = (y_true == y_pred).astype(float)
    expected = stats.bootstrap((hit,), np.mean, method="percentile", rng=1).confidence_interval
    low, high = bootstrap_intervals(y_true, y_pred, None, seed=0)["accuracy"]
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.004)


def test_bootstrap_over_actors_agrees_with_scipy_and_is_wider():
    y_true, y_pred, actors = outcomes()
    by_actor = pd.Series(y_true == y_pred).groupby(actors).mean().to_numpy()
    expected = stats.bootstrap((by_actor,), np.mean, method="percentile", rng=1).confidence_interval
    low, high = bootstrap_intervals(y_true, y_pred, actors, seed=0)["accuracy"]
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.006)
    clip_low, clip_high = bootstrap_intervals(y_true, y_pred, None, seed=0)["accuracy"]
    assert high - low > 1.5 * (clip_high - clip_low)


def test_bootstrap_certain_and_reproducible():
    y_true, _, actors = outcomes()
    for units in (None, actors):
        assert bootstrap_intervals(y_true, y_true, units, seed=0) == {
            "accuracy": (1.0, 1.0),
            "uar": (1.0, 1.0),
        }
    y_true, y_pred, actors = outcomes()
    first, second, other = (
        bootstrap_intervals(y_true, y_pred, actors, seed=seed) for seed in (3, 3, 4)
    )
    assert first == second != other


def test_bootstrap_covers_the_truth_as_often_as_it_says():
    covered = 0
    for seed in range(100):
        y_true, y_pred, actors = outcomes(spread=0.1, seed=seed)
        low, high = bootstrap_intervals(y_true, y_pred, actors, n_resamples=400, seed=seed)["uar"]
        covered += low <= 0.6 <= high
    assert 85 <= covered <= 99


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


def test_paired_tests_of_all_pairs():
    rng = np.random.default_rng(0)
    a = rng.uniform(0.3, 0.6, 24)
    scores = pd.DataFrame({"a": a, "b": a + 0.05 + 0.02 * rng.normal(size=24), "c": a})
    table = paired_tests(scores)
    ab, ac, bc = table.to_dict("records")
    assert ab["p"] == pytest.approx(sign_flip_p(scores["b"] - scores["a"]))
    assert (ab["difference"], ab["actors"]) == (pytest.approx((scores["b"] - a).mean()), 24)
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
        ({}, {"transductive": "true"}, "two is transductive .* and one is not"),
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
