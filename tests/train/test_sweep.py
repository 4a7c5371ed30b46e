"""Sweeps: every job a run under one, the failed ones said, the finished ones skipped if asked."""

import json
import os
from dataclasses import asdict

import pandas as pd
import pytest
from omegaconf import OmegaConf

from ser.core.experiment import hydra_context
from ser.core.jobs import Job, outcomes
from ser.tracking.run import start_run
from ser.train.sweep import _of_jobs
from ser.train.sweep_report import log_sweep, over_seeds


def sweep_demo(demo_root, *overrides):
    return [
        "ser.train",
        "-m",
        "data=demo",
        f"data.root={demo_root}",
        "data.speakers=4",
        "curves=none",
        *overrides,
    ]


def sweep_runs(client):
    """The newest sweep's run, and the runs under it."""
    (experiment,) = client.search_experiments(filter_string="name = 'demo'")
    runs = client.search_runs([experiment.experiment_id])
    sweep = max(
        (run for run in runs if run.info.run_name.startswith("sweep-demo ")),
        key=lambda run: run.info.start_time,
    )
    under = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == sweep.info.run_id]
    return sweep, under


def test_sweep_compares_over_seeds_reports_failures_and_resumes(run_cli, demo_root, client):
    arguments = sweep_demo(demo_root, "model=naive_bayes,dummy", "seed=1,2", "split=random")
    # Every other job fails; the others go on.
    done = run_cli(*arguments, "cv.n_splits=3,5000", check=False)
    assert done.returncode == 1
    assert "Sweep of 8 jobs" in done.stdout
    assert done.stdout.count("FAILED  model=") == 4
    assert "cv.n_splits=5000, but the clips have only" in done.stdout
    sweep, under = sweep_runs(client)
    assert sweep.data.metrics["n_failed"] == 4
    assert sorted(run.info.status for run in under) == ["FAILED"] * 4 + ["FINISHED"] * 4
    tables = client.download_artifacts(sweep.info.run_id, "tables")
    table = pd.read_csv(f"{tables}/sweep.csv")
    assert table["name"].tolist() == ["naive_bayes n_splits=3", "dummy n_splits=3"]
    finished = [run for run in under if run.info.status == "FINISHED"]
    for row in table.itertuples():
        model = row.name.split()[0]
        uars = pd.Series(
            [r.data.metrics["test_uar"] for r in finished if r.data.tags["model"] == model]
        )
        assert row.n == 2
        assert row.test_uar_mean == pytest.approx(uars.mean())
        assert row.test_uar_std == pytest.approx(uars.std())
    assert [a.path for a in client.list_artifacts(sweep.info.run_id, "figures")] == [
        "figures/sweep.png"
    ]

    # The same jobs and two of another value: only those are computed.
    arguments[arguments.index("model=naive_bayes,dummy")] = "model=dummy"
    again = run_cli(*arguments, "cv.n_splits=3,4", "sweep.resume=true")
    assert "Sweep of 4 jobs, 2 there already" in again.stdout
    _, under = sweep_runs(client)
    assert [run.data.params["cv.n_splits"] for run in under] == ["4", "4"]


@pytest.mark.slow
def test_sweep_of_four_at_once_loses_no_run(run_cli, demo_root, client):
    seeds = ",".join(map(str, range(30)))
    arguments = sweep_demo(demo_root, "model=naive_bayes,dummy", f"seed={seeds}", "cv.n_splits=3")
    done = run_cli(*arguments, "hydra/launcher=joblib", "hydra.launcher.n_jobs=4")
    assert "Sweep of 60 jobs, 0 there already" in done.stdout
    sweep, under = sweep_runs(client)
    assert len(under) == 60
    assert {run.info.status for run in under} == {"FINISHED"}
    assert sweep.info.status == "FINISHED"
    assert len({(run.data.tags["model"], run.data.params["seed"]) for run in under}) == 60


def test_outcomes_knows_of_jobs_that_died_and_of_older_sweeps(tmp_path):
    def job(number, *, said):
        folder = tmp_path / str(number) / ".hydra"
        folder.mkdir(parents=True)
        (folder / "overrides.yaml").write_text(f"- model=svm\n- seed={number}\n")
        (folder / "hydra.yaml").write_text(f"hydra: {{job: {{num: {number}}}}}\n")
        if said:
            job = asdict(Job(number, ("model=svm", f"seed={number}"), run_id="a"))
            (tmp_path / str(number) / "outcome.json").write_text(json.dumps(job))

    job(7, said=True)  # of a sweep before this one, in the same folder
    (tmp_path / "sweep.started").touch()
    os.utime(tmp_path / "7" / ".hydra" / "overrides.yaml", (1, 1))
    job(1, said=False)
    job(0, said=True)
    finished, died = outcomes(tmp_path)
    assert (finished.number, finished.run_id, finished.error) == (0, "a", None)
    assert (died.number, died.overrides) == (1, ("model=svm", "seed=1"))
    assert died.error == "its process ended without a word"


def test_over_seeds_keeps_transductive_runs_apart():
    table = pd.DataFrame(
        {
            "job": range(4),
            "model": ["svm", "svm", "knn", "svm"],
            "seed": ["1", "2", "1", "1"],
            "state": "finished",
            "run_id": ["a", "b", "c", "d"],
            "kind": ["inductive"] * 3 + ["transductive"],
            "test_accuracy": [0.4, 0.6, 0.7, 0.9],
            "test_uar": [0.4, 0.6, 0.7, 0.9],
            "test_f1_macro": [0.4, 0.6, 0.7, 0.9],
        }
    )
    summary = over_seeds(table)
    assert summary["name"].tolist() == ["knn", "svm", "svm"]
    assert summary["kind"].tolist() == ["inductive"] * 2 + ["transductive"]
    assert summary["test_uar_mean"].tolist() == pytest.approx([0.7, 0.5, 0.9])
    assert summary["test_uar_std"][1] == pytest.approx(0.1 * 2**0.5)
    assert summary["n"].tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    ("overrides", "corpora", "experiments"),
    [
        (["data=emodb,savee"], "emodb+savee", ["emodb", "savee"]),
        (["data=savee", "seed=1,2"], "savee", ["savee"]),
        (["data=emodb", "data.test=savee,demo"], "emodb-savee+emodb-demo", 2),
        (["data=emodb,savee", "tracking.experiment=mine"], "emodb+savee", ["mine"]),
        (["data=choice(emodb,demo)", "model=svm,knn"], "emodb+demo", ["emodb", "demo"]),
        (["data=demo", "experiment=seed,protocols"], "demo", ["demo"]),
        (["data=demo", "data.test=demo,emodb"], "demo-emodb", ["demo-emodb"]),  # one cannot be
    ],
)
def test_sweep_is_named_by_its_jobs_corpora(overrides, corpora, experiments):
    hydra = {
        "sweeper": {"params": None},
        "job": {"config_name": "train"},
        "overrides": {"task": overrides, "hydra": []},
    }
    with hydra_context():
        names, places = _of_jobs(OmegaConf.create({"hydra": hydra}))
    assert "+".join(names) == corpora
    assert len(places) == experiments if isinstance(experiments, int) else places == experiments


@pytest.mark.parametrize(
    ("splits", "best"),
    [
        (["loso", "loso", "loso"], {"best_test_uar": 0.5, "best_transductive_test_uar": 0.9}),
        (["loso", "random", "loso"], {}),
    ],
)
def test_best_of_a_sweep_is_of_one_question(client, splits, best):
    uri, jobs = client.tracking_uri, []
    scores = [0.4, 0.5, 0.9]
    for number, (split, uar) in enumerate(zip(splits, scores, strict=True)):
        tags = {"corpus": "demo", "split": split, "transductive": str(uar > 0.8).lower()}
        with start_run(uri=uri, experiment="x", name="job", tags=tags, description="*") as run:
            run.metrics({"test_uar": uar})
        jobs.append(Job(number, (f"model={number}",), run_id=run.id))
    with start_run(uri=uri, experiment="x", name="sweep", tags={}, description="*") as sweep:
        log_sweep(sweep, jobs, uri=uri)
    logged = client.get_run(sweep.id).data.metrics
    assert {key: value for key, value in logged.items() if "best" in key} == best


@pytest.mark.slow
def test_variants_on_several_corpora_are_named_by_them(run_here, demo_root, client):
    result = run_here(
        *("data=demo", f"data.root={demo_root}", "data.speakers=4", "model=dummy"),
        *("curves=none", "cv.n_splits=2", "compute.n_jobs=1"),
        "variants={title: x, runs: {one: ['seed=1'], two: ['data.name=twins']}}",
    )
    parent = client.get_run(result.parent_id)
    assert parent.info.run_name == "variants-demo+twins"
    assert client.get_experiment(parent.info.experiment_id).name == "sweeps"
    places = [
        client.get_experiment(client.get_run(run_id).info.experiment_id).name
        for run_id in result.table["run_id"]
    ]
    assert places == ["demo", "twins"]
