"""Pictures, cards and pages: they never decide whether a result exists."""

import pandas as pd
import pytest
from composing import experiment

from ser.compare import compare
from ser.core.errors import SerError
from ser.core.jobs import Job
from ser.report import model_card, run_page
from ser.tracking.queries import find_run
from ser.tracking.registry import find_model
from ser.tracking.run import start_run
from ser.train.sweep_report import log_sweep


def fail(*args, **kwargs):
    raise RuntimeError("no picture")


@pytest.fixture
def nothing_can_be_drawn(monkeypatch):
    monkeypatch.setattr("ser.report.style.Figure.png", fail)
    monkeypatch.setattr(run_page, "render_run_page", fail)
    monkeypatch.setattr(model_card, "card", fail)
    monkeypatch.setattr("ser.explore.run.render_exploration_page", fail)
    monkeypatch.setattr("ser.explore.run._views", fail)


@pytest.fixture
def run(demo_root, demo_store, tmp_path, client, nothing_can_be_drawn):
    def run(*overrides, config="train"):
        return experiment(
            *("data=demo", f"data.root={demo_root}", "data.speakers=4", f"store={demo_store}"),
            *("compute.n_jobs=1", f"tracking.uri={client.tracking_uri}", *overrides),
            config=config,
        ).run()

    return run


TRAIN = ("model=naive_bayes", "cv.n_splits=2", "curves=none")


def left_out(client, run_id):
    found = client.get_run(run_id)
    assert found.info.status == "FINISHED"
    return set(found.data.tags["left_out"].split(", "))


def test_training_ends_with_numbers_and_model(run, client, caplog):
    outcome = run(*TRAIN)
    missing = left_out(client, outcome.run_id)
    assert missing >= {"figures/confusion_matrix_test.png", "report.html", "model_card.md"}
    assert not client.list_artifacts(outcome.run_id, "figures")
    assert "report.html is left out: RuntimeError: no picture" in caplog.text
    logged = find_run(client.tracking_uri, outcome.run_id)
    assert logged.metrics["test_uar"] == outcome.metrics["test_uar"]
    assert len(logged.test_predictions()) == len(outcome.predictions)
    assert find_model(outcome.run_id, uri=client.tracking_uri).run.id == outcome.run_id


@pytest.mark.slow
def test_a_search_tests_its_best(run, client, tmp_path, monkeypatch):
    monkeypatch.setattr("ser.tune.figures._is_pruned", fail)
    storage = (f"tuner.storage={tmp_path}/studies.journal", "tuner.n_trials=2")
    result = run(*TRAIN, *storage, config="tune")
    assert left_out(client, result.run_id) >= {"report.html"}
    (experiment,) = client.search_experiments(filter_string="name = 'demo'")
    (search,) = client.search_runs([experiment.experiment_id], "tags.kind = 'tune'")
    assert left_out(client, search.info.run_id) == {"figures of the study", "report.html"}
    assert search.data.metrics["test_uar"] == result.metrics["test_uar"]


@pytest.mark.slow
def test_variants_a_comparison_and_a_sweep_have_their_tables(run, client):
    uri = client.tracking_uri
    variants = (
        "variants={title: x, runs: {one: ['split=loso'], two: ['split=loso', 'scaler=none']}}"
    )
    result = run(*TRAIN, variants)
    assert left_out(client, result.parent_id) == {"figures/variants.png", "report.html"}
    assert len(result.table) == 2

    ids = result.table["run_id"].tolist()
    assert "p (Holm)" in compare(ids, None, experiment=None, uri=uri)
    comparison = find_run(uri, "latest", "demo")
    drawn = {"figures/uar_by_actor.png", "figures/accuracy_by_actor.png"}
    assert left_out(client, comparison.id) == {*drawn, "report.html"}

    jobs = [Job(i, (f"scaler={i}",), run_id=run_id) for i, run_id in enumerate(ids)]
    with start_run(uri=uri, experiment="demo", name="s", tags={}, description="*") as sweep:
        log_sweep(sweep, jobs, uri=uri)
    assert left_out(client, sweep.id) == {"figures/sweep.png", "report.html"}
    table = pd.read_csv(client.download_artifacts(sweep.id, "tables/sweep.csv"))
    assert len(table) == 2


@pytest.mark.slow
def test_an_exploration_has_its_numbers(run, client):
    result = run("explore.max_clips=60", config="explore")
    assert left_out(client, result.run_id) >= {"the pair of clips", "explore.html"}
    assert client.list_artifacts(result.run_id, "tables")


def test_a_full_disk_is_no_matter_of_pictures(client):
    def full():
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(SerError, match="No space"),
        start_run(
            uri=client.tracking_uri, experiment="x", name="x", tags={}, description="*"
        ) as started,
    ):
        started.figure(full, "figure")
