"""Search spaces, studies that outlive their workers, and a tuned model from the command line."""

import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import optuna
import pandas as pd
import pytest
from composing import composed, experiment
from hydra.utils import instantiate
from optuna.trial import TrialState
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from ser.core import paths
from ser.core.errors import SerError
from ser.data.dataset import Dataset
from ser.models.partial_fit import EpochFit
from ser.train.build import model_pipeline
from ser.tune.objective import Objective, overrides_of
from ser.tune.space import search_space
from ser.tune.storage import WORKER, open_study

SPACES = {file.stem for file in (paths.CONF / "search_space").glob("*.yaml")}
SPACES = sorted(SPACES - {"finetune"})  # its model needs a checkpoint of somebody's


@pytest.mark.parametrize("name", SPACES)
def test_every_draw_of_a_space_is_a_model(name):
    model = name.removesuffix("_grid").removesuffix("_features")
    overrides = [f"model={model}", f"search_space={name}"]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = instantiate(composed(*overrides, config="tune").search_space, _convert_="all")
    for _ in range(3):
        values = space.draw(study.ask())
        cfg = composed(*overrides, *space.overrides(values), config="tune")
        classifier = model_pipeline(cfg)[0][-1]
        classifier = getattr(classifier, "estimator", classifier)
        if hasattr(classifier, "_parameter_constraints"):  # ser's own check when they fit
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


def test_features_that_cannot_be_had_of_every_clip_are_no_trial(write_tone, tmp_path):
    paths = [write_tone("long.wav"), write_tone("short.wav", seconds=0.05)]
    data = Dataset(pd.DataFrame({"path": paths, "emotion": ["a", "b"], "actor": 1}))
    keys = ("data.on_error=skip", f"store={tmp_path}/f.sqlite", "compute.n_jobs=1")
    cfg = composed("data=demo", "features=notebook", *keys)
    objective = Objective(None, None, data, None, {}, {})
    with pytest.raises(SerError, match=r"1 clips cannot be used, as .*short\.wav: .*too few"):
        objective._matrix(cfg)


HANG = """
import os, sys, time
from ser.tune.storage import WORKER, open_study
with open_study(sys.argv[1], "s", question={}) as (study, worker):
    done = study.ask()
    study.tell(done, done.suggest_float("x", 0, 1))
    trial = study.ask()
    trial.set_user_attr(WORKER, worker.id)
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
    with open_study(journal, "s", question={}) as (study, _):
        assert [t.state for t in study.trials] == [TrialState.COMPLETE, TrialState.RUNNING]
    process.kill()  # SIGKILL
    process.wait()
    with open_study(journal, "s", question={}) as (study, _):
        states = [t.state for t in study.trials]
        assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.WAITING]
        again = study.ask()
        assert again.suggest_float("x", 0, 1) == x
        assert again.user_attrs["retry_of"] == 1
        study.tell(again, 1.0)
    with open_study(journal, "s", question={}) as (study, _):
        assert len(study.trials) == 3
        assert not any(t.user_attrs.get(WORKER) == "" for t in study.trials)
    locks = {file.name for file in (tmp_path / "studies.journal.workers").iterdir()}
    assert locks == {"start", ".writing"}  # no worker's


def test_open_study_numbers_workers_so_that_none_draws_what_another_drew(tmp_path):
    numbers = []
    for _ in range(3):
        with open_study(str(tmp_path / "studies.journal"), "s", question={}) as (_, worker):
            numbers.append(worker.number)
    assert numbers == [0, 1, 2]


def test_open_study_reads_a_journal_whose_last_line_was_cut(tmp_path):
    journal = tmp_path / "studies.journal"
    with open_study(str(journal), "s", question={}) as (study, _):
        for value in (1.0, 2.0):
            study.tell(study.ask(), value)
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-7])
    with open_study(str(journal), "s", question={}) as (study, _):
        assert study.trials[0].value == 1.0
        study.tell(study.ask(), 3.0)
    with open_study(str(journal), "s", question={}) as (study, _):
        assert study.best_value == 3.0


def test_open_study_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SerError, match=r"tuner\.storage"),
        open_study(f"{tmp_path}/file/j", "s", question={}),
    ):
        pass


def tune_demo(demo_root, tmp_path, *overrides):
    return [
        "ser.tune",
        "data=demo",
        f"data.root={demo_root}",
        "data.speakers=4",
        "cv.n_splits=3",
        "curves=none",
        f"tuner.storage={tmp_path}/studies.journal",
        *overrides,
    ]


def test_tune_searches_tracks_continues_and_tests_once(run_cli, demo_root, client, tmp_path):
    arguments = tune_demo(demo_root, tmp_path, "model=svm", "tuner.n_trials=3")
    arguments.append("search_space=svm_features")
    printed = run_cli(*arguments).stdout
    assert "The best of 3 trials (3 of this command; " in printed
    printed = run_cli(*arguments).stdout
    assert "The best of 6 trials (3 of this command; " in printed

    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    name = "svm-random-demo "
    studies = [run for run in runs if run.info.run_name.startswith("tune-")]
    trials = {run.info.run_name: run for run in runs if run.info.run_name.startswith("trial-")}
    assert set(trials) == {f"trial-{i}" for i in range(6)}
    # Every trial is another one, and the features are among what is drawn.
    assert len({run.data.params["model.classifier.C"] for run in trials.values()}) == 6
    assert len({run.data.params["features.n_mels"] for run in trials.values()}) > 1
    last = max(studies, key=lambda run: run.info.start_time)
    table = pd.read_csv(client.download_artifacts(last.info.run_id, "tables/trials.csv"))
    best = table[table["state"] == "COMPLETE"]["value"].max()
    assert last.data.metrics["best_cv_uar"] == pytest.approx(best)
    (refitted,) = (
        run
        for run in runs
        if run.info.run_name.startswith(name)
        and run.data.tags["mlflow.parentRunId"] == last.info.run_id
    )
    # The same folds give the best trial's score again; only this run has seen the test clips.
    assert refitted.data.metrics["cv_uar_mean"] == pytest.approx(best)
    assert not any("test" in key for run in trials.values() for key in run.data.metrics)
    figures = {a.path for a in client.list_artifacts(last.info.run_id, "figures")}
    assert {"figures/optimization_history.png", "figures/importance_fanova.png"} <= figures


def storage_of(tmp_path):
    backend = optuna.storages.journal.JournalFileBackend(f"{tmp_path}/studies.journal")
    return optuna.storages.JournalStorage(backend)


def study_of(tmp_path, name):
    return optuna.load_study(study_name=name, storage=storage_of(tmp_path))


@pytest.mark.slow
def test_tune_shares_a_study_and_survives_kill_9(demo_root, client, ser_environment, tmp_path):
    """Three workers on one study, one of them killed in a trial; the next command retries it."""
    command = [
        sys.executable,
        "-m",
        *tune_demo(demo_root, tmp_path, "model=mlp_default", "tuner.study=shared"),
        f"hydra.run.dir={tmp_path}/hydra",
        "compute.n_jobs=1",
    ]

    def start(n_trials):
        return subprocess.Popen([*command, f"tuner.n_trials={n_trials}"], env=ser_environment)

    doomed = start(1000)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(KeyError, FileNotFoundError):
            trials = study_of(tmp_path, "shared").trials
            if len(trials) > 2 and trials[-1].state == TrialState.RUNNING and trials[-1].params:
                break
        time.sleep(0.05)
    doomed.kill()
    doomed.wait()
    left = study_of(tmp_path, "shared").trials
    running = [trial for trial in left if trial.state == TrialState.RUNNING]
    assert len(running) <= 1
    n_before = len(left) - len(running)

    workers = [start(3), start(3)]
    assert [worker.wait() for worker in workers] == [0, 0]
    trials = study_of(tmp_path, "shared").trials
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert len(complete) == n_before + 6
    for trial in running:
        if trial.params:
            assert trials[trial.number].state == TrialState.FAIL
            (again,) = (t for t in complete if t.user_attrs.get("retry_of") == trial.number)
            # Killed while it drew, a trial has some of its values; the rest is drawn anew.
            assert again.params.items() >= trial.params.items()
    drawn = [tuple(sorted(trial.params.items())) for trial in complete]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.slow
def test_tune_nested_tests_every_clip_once_and_goes_on(run_cli, demo_root, client, tmp_path):
    arguments = tune_demo(
        demo_root, tmp_path, "model=naive_bayes", "split=loso", "tuner.n_trials=2"
    )
    refused = run_cli(*arguments, check=False)
    assert refused.returncode == 1
    assert "tuner.nested=true" in refused.stderr

    printed = run_cli(*arguments, "tuner.nested=true").stdout
    assert "chosen inside each of 4 outer folds" in printed
    (experiment,) = client.search_experiments(filter_string="name = 'demo'")
    (nested,) = client.search_runs(
        [experiment.experiment_id], "attributes.run_name LIKE 'nested-tune-%'"
    )
    tables = client.download_artifacts(nested.info.run_id, "tables")
    predictions = pd.read_csv(f"{tables}/predictions.csv")
    assert len(predictions) == predictions["clip"].nunique() == 240
    # Every outer fold holds out one actor, whom its own trials never saw.
    assert predictions.groupby("fold")["actor"].nunique().tolist() == [1] * 4
    hits = predictions["true"] == predictions["predicted"]
    recalls = hits.groupby(predictions["true"]).mean()
    assert nested.data.metrics["test_uar"] == pytest.approx(recalls.mean())
    chosen = pd.read_csv(f"{tables}/chosen.csv")
    names = optuna.get_all_study_names(storage_of(tmp_path))
    for fold in range(4):
        (name,) = (n for n in names if f"-fold-{fold}-of-4-" in n)
        study = study_of(tmp_path, name)
        assert len(study.trials) == 2
        assert chosen["cv"][fold] == pytest.approx(study.best_value)


@pytest.mark.slow
def test_tune_interrupted_keeps_the_best(demo_root, client, ser_environment, tmp_path):
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            *tune_demo(demo_root, tmp_path, "model=mlp_default", "tuner.study=stopped"),
            f"hydra.run.dir={tmp_path}/hydra",
            "tuner.n_trials=1000",
            "compute.n_jobs=1",
        ],
        env=ser_environment,
        stdout=subprocess.PIPE,
        text=True,
        # A shell's background job would inherit that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(KeyError, FileNotFoundError):
            if any(t.state == TrialState.COMPLETE for t in study_of(tmp_path, "stopped").trials):
                break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "Interrupted: the best of" in printed
    assert "test (48 clips)" in printed


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_epoch_fit_in_stages_is_the_whole_fit(solver):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 5)), rng.integers(3, size=120).astype(str)
    X[np.arange(120), y.astype(int)] += 2
    # Without shuffling the two see the same batches: the same numbers, and the same end.
    classifier = MLPClassifier(
        [8], solver=solver, max_iter=900, learning_rate_init=0.02, shuffle=False, random_state=0
    )
    pipeline = Pipeline([("scaler", StandardScaler()), ("classifier", classifier)])
    one = EpochFit.start(pipeline, X, y)
    for epochs in range(10, 910, 10):
        one.advance(epochs)
        assert one.ended or one.epochs == epochs
    whole = clone(pipeline).fit(X, y)
    assert 20 < whole[-1].n_iter_ < 900
    assert one.epochs == whole[-1].n_iter_
    np.testing.assert_allclose(one.pipeline[-1].loss_curve_, whole[-1].loss_curve_)
    np.testing.assert_allclose(one.pipeline.predict_proba(X), whole.predict_proba(X))


@pytest.mark.slow
def test_tune_prunes_by_epochs_or_says_why_not(run_cli, demo_root, client, tmp_path):
    arguments = [
        *tune_demo(demo_root, tmp_path, "tuner.study=epochs", "tuner.n_trials=6"),
        "pruner=median",
        "tuner.pruner.n_startup_trials=1",
        "tuner.pruner.n_warmup_steps=0",
    ]
    refused = run_cli(*arguments, "model=svm", "tuner.study=svm", check=False)
    assert "SVC has no epochs to prune by" in refused.stderr

    run_cli(*arguments, "model=mlp_default", "model.classifier.max_iter=60")
    trials = study_of(tmp_path, "epochs").trials
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    assert pruned
    for trial in pruned:
        assert set(trial.intermediate_values) <= {10, 20, 30, 40, 50, 60}
    (experiment,) = client.search_experiments(filter_string="name = 'demo'")
    runs = client.search_runs([experiment.experiment_id], "tags.pruned = 'true'")
    assert {run.data.tags["trial"] for run in runs} == {str(trial.number) for trial in pruned}


ON_POSTGRESQL = """
import sys, time
from ser.tune.storage import open_study

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    if sys.argv[2] == "hang" and trial.number == 1:
        print(x, flush=True)
        time.sleep(60)
    return x

with open_study(sys.argv[1], "s", heartbeat=1, question={}) as (study, worker):
    study.optimize(objective, n_trials=3)
"""


@pytest.mark.slow
def test_open_study_on_postgresql_retries_the_trial_of_a_killed_worker(postgresql):
    def start(how):
        return subprocess.Popen(
            [sys.executable, "-c", ON_POSTGRESQL, postgresql, how],
            stdout=subprocess.PIPE,
            text=True,
        )

    process = start("hang")
    x = float(process.stdout.readline())
    process.kill()  # SIGKILL
    process.wait()
    storage = optuna.storages.RDBStorage(f"{postgresql}", heartbeat_interval=1)
    study_id = storage.get_study_id_from_name("s")
    while not storage._get_stale_trial_ids(study_id):  # two missed heartbeats
        time.sleep(0.1)
    storage.engine.dispose()
    both = [start("work"), start("work")]
    assert [process.wait() for process in both] == [0, 0]
    with open_study(postgresql, "s", question={}) as (study, worker):
        assert worker.number == 3
        states = [trial.state for trial in study.trials]
        assert states.count(TrialState.FAIL) == 1
        assert states.count(TrialState.COMPLETE) == 1 + 6
        again = [t for t in study.trials if t.params["x"] == x and t.state == TrialState.COMPLETE]
        assert len(again) == 1


def test_open_study_says_which_database_cannot_be_used():
    url = "postgresql://nobody:nothing@127.0.0.1:1/none"
    with pytest.raises(SerError, match=r"127\.0\.0\.1:1"), open_study(url, "s", question={}):
        pass


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=svm", "search_space=svm_features"],  # groups' choices among what is drawn
        ["model=mlp", "model.classifier.alpha=0.5"],  # a drawn key that was given; lists
        ["model=random_forest"],  # null
    ],
)
def test_a_trials_config_is_what_hydra_composes(overrides):
    tuned = experiment(*overrides, config="tune")
    space = instantiate(tuned.cfg.search_space, _convert_="all")
    objective = Objective(tuned, space, None, None, {}, {})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(4):
        drawn = overrides_of(space, space.draw(study.ask()))
        assert objective._config(drawn) == tuned.vary(drawn).cfg
    assert len(objective.composed) < 4
