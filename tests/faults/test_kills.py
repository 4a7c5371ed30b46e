"""SIGKILL at random moments: every restart succeeds, and nothing is torn, wrong or half there."""

import os
import random
import sqlite3
import time
from contextlib import closing

import mlflow
import numpy as np
import optuna
import pytest
from faults import log

from ser.data.corpora import demo
from ser.doctor.log import examine_log
from ser.features.functionals import FunctionalFeatures
from ser.features.store import extract
from ser.models.trained import load_model

KILLS = int(os.environ.get("SER_FAULTS_KILLS", "25")) // 5  # of each command
SEED = int(os.environ.get("SER_FAULTS_SEED", "0"))


@pytest.fixture
def place(tmp_path, demo_root, demo_store):
    """Environment whose log is in tmp_path; demo features are there already."""
    return {
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlruns/mlflow.db",
        "SER_STORE": str(demo_store),
        "SER_DEMO_ROOT": str(demo_root),
    }


@pytest.fixture
def kill_at_random(launcher):
    """Start a command, kill it at a moment of the time that it takes; so many times."""

    def kill(target, *arguments, env, after):
        randomly = random.Random(f"{target} {SEED}")
        launcher.run(target, *arguments, env=env)  # what is made once is there
        after()
        lasts, killed = None, 0
        while killed < KILLS:
            began = time.monotonic()
            job = launcher.start(target, *arguments, env=env)
            moment = randomly.uniform(0, lasts) if lasts else 120.0
            code = job.poll(moment)
            if code is None:
                job.kill(group=randomly.random() < 0.5)
                code = job.wait()
                killed += 1
            else:  # it was done by then
                lasts = time.monotonic() - began
            assert code in (-9, 0), job.said  # killed or done, but never failed
            after()

    return kill


def test_extraction(kill_at_random, launcher, tmp_path, demo_root):
    paths = demo.load(demo_root, speakers=4)["path"].tolist()[:120]
    fresh = extract(paths, FunctionalFeatures(), store=tmp_path / "fresh.sqlite", progress=False)
    vectors = {bytes.fromhex(c): x for c, x in zip(fresh.content, fresh.X, strict=True)}
    store = tmp_path / "killed.sqlite"

    def forget():
        for file in tmp_path.glob("killed.sqlite*"):  # what SQLite keeps beside it, too
            file.unlink()

    def is_whole():
        if not store.exists():
            return 0
        with closing(sqlite3.connect(store)) as connection:
            n_there = check_store(connection, vectors)
        if n_there == len(paths):
            forget()  # begin again: an extraction that is done has nothing to lose
        return n_there

    command = ("faults.extract", store, *paths)
    kill_at_random(*command, env={}, after=is_whole)
    forget()
    n_before = 0
    for _ in range(2):  # in the middle, wherever those moments were
        assert launcher.start(*command, "--die-after=2", env={}).wait() == -9
        assert n_before < (n_before := is_whole()) < len(paths)
    launcher.run(*command, env={})
    after = extract(paths, FunctionalFeatures(), store=store, progress=False)
    assert after.n_extracted == 0
    np.testing.assert_array_equal(after.X, fresh.X)
    np.testing.assert_array_equal(after.content, fresh.content)


def check_store(connection, vectors):
    """Number of vectors in a store, each of which is the freshly extracted one, bit for bit."""
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    try:
        rows = connection.execute(
            "SELECT digest, vector FROM vectors JOIN contents ON content = id"
        ).fetchall()
    except sqlite3.OperationalError:  # killed before there were tables
        return 0
    for digest, vector in rows:
        np.testing.assert_array_equal(np.frombuffer(vector, "<f4"), vectors[digest])
    return len(rows)


def test_training(kill_at_random, launcher, place, tmp_path):
    command = ("ser.train", *demo_with("model=naive_bayes", tmp_path))
    uri = place["MLFLOW_TRACKING_URI"]
    kill_at_random(*command, env=place, after=lambda: log.check(uri))
    n_before = len(log.check(uri).get("FINISHED", ()))
    launcher.run(*command, env=place)
    assert len(log.check(uri)["FINISHED"]) == n_before + 1
    check_closed(uri)


def test_first_run_of_a_log(launcher, place, tmp_path):
    """The log itself is not there yet: a kill while it is made must not spoil it."""
    randomly = random.Random(SEED)
    for number in range(KILLS):
        env = place | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/{number}/mlflow.db"}
        command = ("ser.train", *demo_with("model=dummy", tmp_path))
        job = launcher.start(*command, env=env)
        time.sleep(randomly.uniform(0.2, 1.5))
        job.kill(group=True)
        job.wait()
        if number % 3 == 0:  # with nobody else's help
            launcher.run(*command, env=env)
            assert log.check(env["MLFLOW_TRACKING_URI"])["FINISHED"]


def test_tuning(kill_at_random, launcher, place, tmp_path):
    journal = tmp_path / "study.journal"
    command = ("ser.tune", *demo_with("model=naive_bayes", tmp_path), "tuner.n_trials=4")
    command += (f"tuner.storage={journal}", "cv.n_splits=3")
    uri = place["MLFLOW_TRACKING_URI"]
    kill_at_random(*command, env=place, after=lambda: log.check(uri))
    launcher.run(*command, env=place)
    log.check(uri)
    (study,) = optuna.get_all_study_names(storage := storage_of(journal))
    trials = optuna.load_study(study_name=study, storage=storage).trials
    states = [trial.state.name for trial in trials]
    assert "RUNNING" not in states  # the restart has closed those of the killed
    assert len({trial.number for trial in trials}) == len(trials)
    assert states.count("COMPLETE") >= 8  # four of the first command, four of the last
    check_closed(uri)


def storage_of(journal):
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(journal)))


def test_sweep(kill_at_random, launcher, place, tmp_path):
    command = ("ser.train", "-m", *demo_with("model=dummy,naive_bayes", tmp_path, "sweep"))
    command += ("sweep.resume=true",)
    uri = place["MLFLOW_TRACKING_URI"]

    def forget_it():  # a sweep that is done has nothing to lose
        done = log.check(uri).get("FINISHED", ())
        if sum("resume_key" in run.data.tags for run in done) == 2:
            for run in done:
                mlflow.MlflowClient(uri).delete_run(run.info.run_id)

    kill_at_random(*command, env=place, after=forget_it)
    job = launcher.run(*command, env=place)
    keys = [r.data.tags.get("resume_key") for r in log.check(uri)["FINISHED"]]
    jobs = [key for key in keys if key]
    assert len(jobs) == len(set(jobs)) == 2, job.said  # none lost, none done twice
    check_closed(uri)


def test_registering(kill_at_random, launcher, place, tmp_path):
    uri = place["MLFLOW_TRACKING_URI"]
    launcher.run("ser.train", *demo_with("model=naive_bayes", tmp_path), env=place)
    client = mlflow.MlflowClient(uri)

    def has_a_model():
        champion = client.get_model_version_by_alias("voices", "champion")
        assert champion.description  # the alias comes last: what it names is whole
        load_model(log.model_folder(client, champion.source.removeprefix("models:/")))

    kill_at_random("ser.register", "latest", "voices", env=place, after=has_a_model)
    before = int(client.get_model_version_by_alias("voices", "champion").version)
    launcher.run("ser.register", "latest", "voices", env=place)
    assert int(client.get_model_version_by_alias("voices", "champion").version) > before
    has_a_model()


def demo_with(model, tmp_path, kind="run"):
    return (
        *("data=demo", "data.speakers=4", model, "curves=none", "compute.n_jobs=1"),
        f"hydra.{kind}.dir={tmp_path}/hydra",
    )


def check_closed(uri):
    """The doctor closes what was killed; nothing is RUNNING or PENDING after it."""
    killed = log.check(uri).get("RUNNING", [])
    closed = [finding.text for finding in examine_log(uri) if finding.text.startswith("closed")]
    assert len(closed) == len(killed)
    left = log.check(uri)
    assert "RUNNING" not in left
    for run in killed:
        again = mlflow.MlflowClient(uri).get_run(run.info.run_id)
        assert (again.info.status, "process" in again.data.tags["error"]) == ("FAILED", True)
    client = mlflow.MlflowClient(uri)
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    assert "PENDING" not in [model.status for model in client.search_logged_models(ids)]
    assert not [finding for finding in examine_log(uri) if finding.advice]
