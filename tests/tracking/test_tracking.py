"""The log as a library: several at once, nothing left in the process, locks, MLflow's own ways."""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import ser
from ser.core import locks
from ser.core.errors import SerError
from ser.features.notebook import NotebookFeatures
from ser.models.trained import CARD, FEATURES_FILE, TrainedModel
from ser.tracking.client import connect
from ser.tracking.models import download_model, model_of_run
from ser.tracking.queries import find_run
from ser.tracking.registry import register
from ser.tracking.run import start_run

N_FEATURES = len(NotebookFeatures().names)


@pytest.fixture
def two_logs(tmp_path):
    return [f"sqlite:///{tmp_path}/{name}/mlflow.db" for name in ("first", "second")]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty working folder; no log is the process's own."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


def fitted(emotions):
    X = np.random.default_rng(0).normal(size=(40, N_FEATURES))
    y = np.resize(emotions, 40)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    return TrainedModel(pipeline, NotebookFeatures(), False)


def predictions(clip):
    return pd.DataFrame({"clip": [clip, "x"], "part": ["test", "cv"]})


def start(uri, name):
    return start_run(uri=uri, experiment="x", name=name, tags={"of": name}, description="")


def end(run, name):
    """What `ser.train` logs last, in little."""
    run.params({"seed": 1})
    run.metrics({"n_development_clips": 40.0})
    run.table(predictions(name), "predictions")
    run.text(f"card of {name}", CARD)
    run.model(fitted(("sad", name)), f"card of {name}")


def test_two_logs_at_once_mix_nothing_and_leave_nothing_behind(two_logs, elsewhere, monkeypatch):
    before = dict(os.environ), mlflow.get_tracking_uri()
    first, second = two_logs
    with start(first, "a") as a, start(second, "b") as b:
        end(b, "b")
        end(a, "a")
    logged = [find_run(uri, "latest") for uri in two_logs]
    assert [run.id for run in logged] == [a.id, b.id]
    assert [run.test_predictions()["clip"].tolist() for run in logged] == [["a"], ["b"]]
    for run, name in zip(logged, "ab", strict=True):
        assert "is version 1" in register(run.id, "voices", uri=run.uri)
        run.download(elsewhere.parent / name)
        note = elsewhere.parent / "note.txt"
        note.write_text(name)
        run.add(note)
    assert (dict(os.environ), mlflow.get_tracking_uri()) == before
    assert list(elsewhere.iterdir()) == []

    for run, name in zip(logged, "ab", strict=True):
        assert (elsewhere.parent / name / CARD).read_text() == f"card of {name}"
        client = mlflow.MlflowClient(run.uri)
        version = client.get_model_version_by_alias("voices", "champion")
        assert (version.run_id, version.description) == (run.id, f"card of {name}")
        model = model_of_run(client, run.id)
        assert version.source == f"models:/{model.model_id}"
        assert (model.status, model.params) == ("READY", {"seed": "1"})
        assert model.tags["mlflow.modelVersions"] == '[{"name": "voices", "version": 1}]'
        (output,) = client.get_run(run.id).outputs.model_outputs
        assert output.model_id == model.model_id
        names = ("voices@champion", "voices/1", model.model_id)
        for model_uri in (f"runs:/{run.id}/model", *(f"models:/{name}" for name in names)):
            folder = download_model(run.uri, model_uri)
            assert (folder / "artifacts" / CARD).read_text() == f"card of {name}"
            # And MLflow's own way, in the log that the environment names.
            monkeypatch.setenv("MLFLOW_TRACKING_URI", run.uri)
            loaded = mlflow.pyfunc.load_model(model_uri)
            assert loaded.metadata.run_id == run.id
            assert loaded.unwrap_python_model().model.emotions == tuple(sorted(("sad", name)))
        features = folder / "artifacts" / FEATURES_FILE
        features.write_text(features.read_text() + " ")
        for model_uri in (f"runs:/{run.id}/model", *(f"models:/{name}" for name in names)):
            with pytest.raises(SerError, match=r"of its model in .*features\.json has \d+ bytes"):
                download_model(run.uri, model_uri)


def test_run_of_the_environment_is_left_alone(two_logs, monkeypatch):
    uri = two_logs[0]
    with start(uri, "finished") as finished:
        pass
    monkeypatch.setenv("MLFLOW_RUN_ID", finished.id)
    with start(uri, "other") as other:
        pass
    assert other.id != finished.id
    run = mlflow.MlflowClient(uri).get_run(finished.id)
    assert (run.info.run_name, run.info.status) == ("finished", "FINISHED")
    assert os.environ["MLFLOW_RUN_ID"] == finished.id


def test_run_says_who_started_it_and_under_which_run(two_logs):
    with start(two_logs[0], "parent") as parent:
        child = start_run(
            uri=two_logs[0], experiment="x", name="child", tags={}, description="*", parent=parent
        )
        with child as child_run:
            pass
    tags = mlflow.MlflowClient(two_logs[0]).get_run(child_run.id).data.tags
    assert tags["mlflow.parentRunId"] == parent.id
    assert {"mlflow.user", "mlflow.source.name", "mlflow.source.type"} <= set(tags)
    assert tags["mlflow.note.content"] == "*"


def test_model_that_cannot_be_written_is_failed(two_logs, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ser.tracking.models.save_model", full)
    with (
        pytest.raises(SerError, match="No space left on device"),
        start(two_logs[0], "torn") as run,
    ):
        end(run, "torn")
    client = mlflow.MlflowClient(two_logs[0])
    assert client.get_run(run.id).info.status == "FAILED"
    assert model_of_run(client, run.id).status == "FAILED"


def test_run_leaves_nothing_in_the_working_folder_even_where_the_log_is_there(elsewhere):
    with start("sqlite:///mlflow.db", "here"):
        pass
    assert sorted(path.name for path in elsewhere.iterdir()) == ["artifacts", "mlflow.db"]


def test_private_names_of_mlflow_stand_in_one_module():
    private = re.compile(r"mlflow\.(utils|store|server|tracking|protos)\b|\bmlflow[\w.]*\._(?!_)")
    package = Path(ser.__file__).parent
    files = [
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if private.search(file.read_text(encoding="utf-8"))
    ]
    assert files == ["tracking/mlflow_compat.py"]


HOLD = """
import sys, time
from pathlib import Path
from ser.core.locks import locked
with locked(Path(sys.argv[1]), "a test"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds a lock, and the lock's file."""
    file = tmp_path / "locks" / "x.lock"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, file, "--token=s3cret"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process, file
    process.kill()
    process.wait()


def test_lock_says_who_holds_it_and_gives_up_at_its_limit(holder, monkeypatch, capsys):
    process, file = holder
    monkeypatch.setattr(locks, "PATIENCE", 0.1)
    with locks.try_locked(file) as free:
        assert not free
    with (
        pytest.raises(SerError, match=rf"process {process.pid} on .*end it") as error,
        locks.locked(file, "the log x", timeout=0.3),
    ):
        pass
    told = capsys.readouterr().err
    assert told.startswith(f"Waiting for the log x, which process {process.pid} on ")
    assert "s3cret" not in told + str(error.value)


def test_lock_of_a_killed_process_is_free(holder):
    process, file = holder
    process.kill()
    process.wait()
    began = time.monotonic()
    with locks.locked(file, "a test"):
        with locks.try_locked(file.with_name("y.lock")) as free:
            assert free
        assert str(os.getpid()) in file.with_name(".x.lock.holder").read_text()
    assert time.monotonic() - began < 4  # it has not waited
    assert {path.name for path in file.parent.iterdir()} == {"x.lock", "y.lock"}
    with locks.try_locked(file) as free:
        assert free


def test_two_threads_make_a_log_each(tmp_path):
    uris = [f"sqlite:///{tmp_path}/{name}/mlflow.db" for name in "ab"]
    with ThreadPoolExecutor(2) as threads:
        clients = list(threads.map(connect, uris))
    assert [c.search_experiments()[0].name for c in clients] == ["Default", "Default"]
    assert not list(tmp_path.rglob("*.part"))
