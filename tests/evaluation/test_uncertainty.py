"""Intervals and tests: against scipy, against what is known, and against each other."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ser.core.errors import SerError
from ser.evaluation.significance import holm, paired_tests, scores_by_actor
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


def test_paired_tests_against_scipy():
    rng = np.random.default_rng(0)
    a = rng.uniform(0.3, 0.6, 24)
    accuracy = pd.DataFrame({"a": a, "b": a + 0.05 + 0.02 * rng.normal(size=24), "c": a})
    table = paired_tests(accuracy)
    ab, ac, bc = table.to_dict("records")
    assert ab["p"] == pytest.approx(stats.wilcoxon(accuracy["b"] - accuracy["a"]).pvalue)
    assert (ab["difference"], ab["actors"]) == (pytest.approx((accuracy["b"] - a).mean()), 24)
    assert (ac["p"], ac["p_holm"], ac["better_actors"]) == (1.0, 1.0, 0)
    assert bc["p_holm"] >= bc["p"]
    np.testing.assert_allclose(holm(np.array([0.5, 0.001])), [0.5, 0.002])


def test_paired_tests_equal_steps_tie_whatever_their_rounding():
    # 7/60 - 6/60 and 2/60 - 1/60 differ in their last bits.
    a = np.arange(20) / 60
    table = paired_tests(pd.DataFrame({"a": a, "b": a + 1 / 60}))
    assert table["p"][0] == stats.wilcoxon(np.full(20, 1 / 60)).pvalue


def test_accuracy_by_actor_wants_the_same_clips():
    table = pd.DataFrame(
        {"clip": ["x", "y"], "actor": [1, 2], "true": ["sad"] * 2, "predicted": ["sad", "calm"]}
    )
    accuracy = scores_by_actor({"one": table, "two": table.iloc[::-1]})
    assert accuracy.to_dict() == {"one": {1: 1.0, 2: 0.0}, "two": {1: 1.0, 2: 0.0}}
    with pytest.raises(SerError, match="1 of them the same"):
        scores_by_actor({"one": table, "two": table.head(1)})
