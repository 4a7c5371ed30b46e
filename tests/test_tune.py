"""Search spaces, studies that outlive their workers, and a tuned model from the command line."""

import subprocess
import sys

import optuna
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from optuna.trial import TrialState

from ser import cli
from ser.errors import SerError
from ser.pipeline import build_pipeline
from ser.search_space import search_space
from ser.studies import WORKER, open_study

SPACES = sorted(file.stem for file in (cli.CONF / "search_space").glob("*.yaml"))


@pytest.mark.parametrize("model", SPACES)
def test_every_draw_of_a_space_is_a_model(model):
    cli.register_resolvers()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    with initialize_config_dir(str(cli.CONF), version_base="1.3"):
        space = instantiate(
            compose("tune", overrides=[f"model={model}"]).search_space, _convert_="all"
        )
        for _ in range(3):
            values = space.draw(study.ask())
            cfg = compose("tune", overrides=[f"model={model}", *space.overrides(values)])
            steps = instantiate(cfg.model, _convert_="all")
            steps.pop("validation_curve", None)
            classifier = build_pipeline(steps, seed=0)[-1]
            classifier = getattr(classifier, "estimator", classifier)
            classifier._validate_params()


def test_draw_conditions_and_lists():
    space = search_space(
        {
            "n_layers": {"low": 1, "high": 2},
            "width_1": {"low": 8, "high": 64, "log": True},
            "width_2": {"low": 8, "high": 64, "if": {"n_layers": [2]}},
            "model.m.solver": {"choices": ["adam", "sgd"]},
            "model.m.epsilon": {"low": 1e-9, "high": 0.1, "if": {"model.m.solver": ["adam"]}},
        },
        {"model.m.hidden_layer_sizes": ["width_1", "width_2"]},
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(30):
        values = space.draw(study.ask())
        assert ("width_2" in values) == (values["n_layers"] == 2)
        assert ("model.m.epsilon" in values) == (values["model.m.solver"] == "adam")
        (layers,) = (o for o in space.overrides(values) if "hidden_layer_sizes" in o)
        assert layers.count(",") == values["n_layers"] - 1
        assert not any("n_layers" in o for o in space.overrides(values))
        seen.add((values["n_layers"], values["model.m.solver"]))
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"a.b": {"low": 1}}, "a.b is"),
        ({"a.b": {"low": 3, "high": 1}}, "a.b is"),
        ({"a.b": {"choices": [1], "if": {"other": [1]}}}, "other, which is not before it"),
    ],
)
def test_search_space_names_the_entry_that_is_wrong(entry, message):
    with pytest.raises(SerError, match=message):
        search_space(entry)


HANG = """
import os, sys, time
from ser.studies import WORKER, open_study
with open_study(sys.argv[1], "s") as (study, worker):
    done = study.ask()
    study.tell(done, done.suggest_float("x", 0, 1))
    trial = study.ask()
    trial.set_user_attr(WORKER, worker)
    print(trial.suggest_float("x", 0, 1), flush=True)
    time.sleep(60)
"""


def test_open_study_retries_the_trial_of_a_killed_worker_and_no_other(tmp_path):
    journal = str(tmp_path / "studies.journal")
    process = subprocess.Popen(
        [sys.executable, "-c", HANG, journal], stdout=subprocess.PIPE, text=True
    )
    x = float(process.stdout.readline())
    # While it lives, its trial is its own.
    with open_study(journal, "s") as (study, _):
        assert [t.state for t in study.trials] == [TrialState.COMPLETE, TrialState.RUNNING]
    process.kill()  # SIGKILL
    process.wait()
    with open_study(journal, "s") as (study, _):
        states = [t.state for t in study.trials]
        assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.WAITING]
        again = study.ask()
        assert again.suggest_float("x", 0, 1) == x
        assert again.user_attrs["retry_of"] == 1
        study.tell(again, 1.0)
    with open_study(journal, "s") as (study, _):
        assert len(study.trials) == 3
        assert not any(t.user_attrs.get(WORKER) == "" for t in study.trials)
    assert len(list((tmp_path / "studies.workers").iterdir())) == 1  # the lock for starting


def test_open_study_reads_a_journal_whose_last_line_was_cut(tmp_path):
    journal = tmp_path / "studies.journal"
    with open_study(str(journal), "s") as (study, _):
        for value in (1.0, 2.0):
            study.tell(study.ask(), value)
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-7])
    with open_study(str(journal), "s") as (study, _):
        assert study.trials[0].value == 1.0
        study.tell(study.ask(), 3.0)
    with open_study(str(journal), "s") as (study, _):
        assert study.best_value == 3.0


def test_open_study_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SerError, match=r"tuner\.storage"), open_study(f"{tmp_path}/file/j", "s"):
        pass


def test_tune_searches_tracks_continues_and_tests_once(run_cli, demo_root, client, tmp_path):
    storage = f"tuner.storage={tmp_path}/studies.journal"
    arguments = [
        "ser.tune",
        "data=demo",
        f"data.root={demo_root}",
        "data.speakers=4",
        "cv.n_splits=3",
        "curves=none",
        "model=naive_bayes",
        storage,
        "tuner.n_trials=4",
    ]
    printed = run_cli(*arguments).stdout
    assert "The best of 4 trials (4 of this command)" in printed
    printed = run_cli(*arguments).stdout
    assert "The best of 8 trials (4 of this command)" in printed

    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    name = "naive_bayes-random-demo-notebook"
    studies = [run for run in runs if run.info.run_name.startswith("tune-")]
    trials = {run.info.run_name: run for run in runs if run.info.run_name.startswith("trial-")}
    assert set(trials) == {f"trial-{i}" for i in range(8)}
    assert len({run.data.params["model.classifier.var_smoothing"] for run in trials.values()}) == 8
    last = max(studies, key=lambda run: run.info.start_time)
    table = pd.read_csv(client.download_artifacts(last.info.run_id, "tables/trials.csv"))
    best = table[table["state"] == "COMPLETE"]["value"].max()
    assert last.data.metrics["best_cv_uar"] == pytest.approx(best)
    (refitted,) = (
        run
        for run in runs
        if run.info.run_name == name and run.data.tags["mlflow.parentRunId"] == last.info.run_id
    )
    # The same folds give the best trial's score again; only this run has seen the test clips.
    assert refitted.data.metrics["cv_uar_mean"] == pytest.approx(best)
    assert not any("test" in key for run in trials.values() for key in run.data.metrics)
    figures = {a.path for a in client.list_artifacts(last.info.run_id, "figures")}
    assert {"figures/optimization_history.png", "figures/importance_fanova.png"} <= figures
