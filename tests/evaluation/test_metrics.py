"""The registry of metrics: an entry is seen everywhere, and a score is written one way."""

import re
from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from ser.core.errors import SerError
from ser.core.experiment import compose
from ser.evaluation.metrics import METRICS, Metric, higher_is_better, scores, tunable
from ser.report.run_page import cards
from ser.report.scores import table_of_scores
from ser.tracking.queries import best_run
from ser.train.sweep_report import over_seeds

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
SMALL = ("data=demo", "data.root={root}", "data.speakers=4", "cv.n_splits=2")


@pytest.fixture
def kappa(monkeypatch):
    """Cohen's kappa, by the entry in docs/extending.md."""
    section = PAGE.read_text(encoding="utf-8").split("## A metric: 1 file\n")[1].split("\n## ")[0]
    (entry,) = re.findall(r"^```python\n(.*?)^```", section, re.S | re.M)
    metric = eval(entry, {"Metric": Metric, "metrics": metrics})
    monkeypatch.setitem(METRICS, metric.name, metric)
    return metric


@pytest.fixture
def small(demo_root):
    return [part.format(root=demo_root) for part in SMALL]


def artifact(client, run_id, name, folder):
    return Path(client.download_artifacts(run_id, name, str(folder))).read_text(encoding="utf-8")


@pytest.fixture
def wide(kappa, monkeypatch):
    """The same by a name that is wider than a column of numbers."""
    metric = replace(kappa, name="wide", label="quadratically weighted kappa")
    monkeypatch.setitem(METRICS, metric.name, metric)


@pytest.mark.usefixtures("kappa", "wide")
def test_one_entry_is_seen_everywhere(run_here, small, client, tmp_path):
    outcome = run_here(*small, "model=svm", "split=random", "curves=none")
    logged = client.get_run(outcome.run_id).data.metrics
    table = pd.read_csv(client.download_artifacts(outcome.run_id, "tables/predictions.csv"))
    test = table[table["part"] == "test"]
    expected = metrics.cohen_kappa_score(test["true"], test["predicted"])
    assert logged["test_kappa"] == pytest.approx(expected)
    assert {"train_kappa", "cv_kappa_mean", "cv_kappa_std"} <= set(logged)
    score = f"{expected:.3f}"
    mean = f"{logged['cv_kappa_mean']:.3f} ± {logged['cv_kappa_std']:.3f}"

    terminal = outcome.text
    assert re.search(r"accuracy %.*log loss.* kappa  quadratically weighted kappa$", terminal, re.M)
    assert re.search(rf"^test .* {score} +{score}$", terminal, re.M)
    assert re.search(rf"^cross-validation .* {mean} +{mean}$", terminal, re.M)
    page = artifact(client, outcome.run_id, "report.html", tmp_path)
    assert '<th scope="col">kappa</th>' in page
    assert f"<td>{score}</td>" in page and f"<td>{mean}</td>" in page
    card = artifact(client, outcome.run_id, "model_card.md", tmp_path)
    assert f"- kappa {score}\n" in card

    same = {"corpus": "demo", "split": "random"}
    worse = client.create_run(client.get_run(outcome.run_id).info.experiment_id, tags=same)
    client.log_metric(worse.info.run_id, "test_kappa", expected - 0.1)
    client.set_terminated(worse.info.run_id, "FINISHED")
    highest = higher_is_better("test_kappa")
    best = best_run(client.tracking_uri, "test_kappa", same, "inductive", highest=highest)
    assert best.id == outcome.run_id


@pytest.mark.slow
def test_one_entry_is_searched_for(kappa, small, client, tmp_path, demo_store):
    overrides = [
        *(*small, "model=naive_bayes", "split=random", "tuner.metric=kappa", "tuner.n_trials=2"),
        *("curves=none", f"tracking.uri={client.tracking_uri}", f"store={demo_store}"),
        f"tuner.storage={tmp_path}/studies.journal",
    ]
    result = compose(overrides, config="tune").run()
    values = client.search_runs(["1"], "metrics.best_cv_kappa > -1")
    (best,) = (run.data.metrics["best_cv_kappa"] for run in values)
    assert f"cross-validated kappa {best:.3f}\n" in result.text
    assert best == pytest.approx(result.trials["value"].max())


def test_a_search_refuses_what_means_nothing_fold_by_fold(kappa):
    assert set(tunable()) >= {"uar", "accuracy", "f1_macro", "log_loss", "kappa"}
    refused = compose(["model=svm", "tuner.metric=ece"], config="tune")
    with pytest.raises(SerError, match=r"tuner\.metric=ece is none of .*log_loss, kappa"):
        refused.run()


def test_scores_of_a_fold_leave_out_what_needs_more_clips(kappa):
    y, predicted = np.array(["a", "b", "b"]), np.array(["a", "b", "a"])
    proba = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    every = scores(y, predicted, proba, ["a", "b"], per_fold=False)
    of_fold = scores(y, predicted, proba, ["a", "b"])
    assert set(every) == set(METRICS)
    assert set(every) - set(of_fold) == {"ece", "confidence_auroc", "auc_macro"}
    assert set(of_fold) - set(scores(y, predicted, None, ["a", "b"])) == {"log_loss"}


@pytest.mark.parametrize(
    ("key", "higher"),
    [
        ("test_uar", True),
        ("test_uar_low", True),
        ("test_log_loss", False),
        ("cv_log_loss_mean", False),
        ("test_ece", False),
        ("fit_seconds", False),
        ("test_recall_happy", True),
    ],
)
def test_the_best_run_has_most_or_least_of_a_metric(key, higher):
    assert higher_is_better(key) == higher


@pytest.mark.parametrize(
    "series", ["cv_uar", "cv_log_loss", "cv_fold_uar", "fold_uar", "epoch_uar", "epoch_train_loss"]
)
def test_no_run_is_the_best_by_its_last_fold(series):
    with pytest.raises(SerError, match=f"^{series} is a series"):
        higher_is_better(series)


def test_scores_are_written_one_way():
    uar, loss = METRICS["uar"], METRICS["log_loss"]
    assert uar.text(0.6613) == "66.1"
    assert uar.text(0.635, 0.0241) == "63.5 ± 2.4"
    assert uar.text(0.635, nan) == "63.5"  # the deviation of one
    assert loss.text(1.2304, 0.049) == "1.230 ± 0.049"
    assert uar.text_with_unit(0.6613) == "66.1 %"
    numbers = {"test_uar": 0.66, "test_uar_low": 0.608, "test_uar_high": 0.713}
    assert uar.text_of_interval(numbers) == "60.8 to 71.3"
    assert uar.text_of_interval({"test_uar": 0.66}) == ""
    assert uar.text_of_part(numbers, "cv") == ""
    # An old log has the folds' series, too: its last value is no score.
    folds = {"cv_uar": 0.9, "cv_uar_mean": 0.635, "cv_uar_std": 0.024}
    assert uar.text_of_part(folds, "cv") == "63.5 ± 2.4"
    # A split of several folds has a score over all their clips, and one of each.
    pooled = {"test_uar": 0.66, "test_uar_mean": 0.64, "test_uar_std": 0.02}
    assert uar.text_of_part(pooled, "test") == "66.0"


def test_page_of_a_run_shows_the_mean_over_folds_and_not_the_last_fold():
    numbers = {"cv_accuracy": 0.9, "cv_accuracy_mean": 0.6, "cv_accuracy_std": 0.01}
    _, (name, accuracy, *others) = table_of_scores(numbers, over="", n_labels=None, heads={})
    assert (name, accuracy, set(others)) == ("cross-validation", "60.0 ± 1.0", {""})
    assert cards(numbers, {}, {})[0][1] == "60.0 ± 1.0 %"


def test_sweep_compares_what_its_runs_have():
    rows = {"run_id": ["a", "b"], "kind": "inductive", "model": "svm", "seed": [1, 2]}
    table = over_seeds(pd.DataFrame({**rows, "test_uar": [0.5, 0.6], "test_accuracy": [0.6, 0.6]}))
    assert table["test_uar_mean"].tolist() == [0.55]
    assert "test_f1_macro_mean" not in table
