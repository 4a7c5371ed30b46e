"""The same work on a real cluster, one of whose workers dies in the middle of it."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from importlib.util import find_spec

import numpy as np
import pytest
from made import dataset
from sklearn.neural_network import MLPClassifier

from ser.core import compute
from ser.core.errors import SerError
from ser.data.corpora import demo
from ser.data.folds import Split, cross_validation_folds
from ser.evaluation.folds import evaluate_folds
from ser.evaluation.parallel import Workers
from ser.features.notebook import NotebookFeatures
from ser.features.store import extract
from ser.models.pipeline import build_pipeline


@pytest.fixture(scope="module")
def scheduler():
    """Address and process ids of a Dask cluster of two workers."""
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    )
    with cluster, distributed.Client(cluster) as client:
        client.wait_for_workers(2)
        yield cluster.scheduler_address, lambda: list(client.run(os.getpid).values())


def kill_when(condition, pids):
    """Kill a worker as soon as the condition holds; return the thread that does."""

    def wait_and_kill():
        deadline = time.monotonic() + 120
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(pids()[0], signal.SIGKILL)

    thread = threading.Thread(target=wait_and_kill)
    thread.start()
    return thread


def n_vectors(store):
    if not store.exists():
        return 0
    with sqlite3.connect(store) as connection:
        try:
            return connection.execute("SELECT count(*) FROM vectors").fetchone()[0]
        except sqlite3.OperationalError:  # not laid out yet
            return 0


def assert_extracts_as_here(context, paths, tmp_path, pids):
    here = extract(paths, NotebookFeatures(), store=tmp_path / "here.sqlite", progress=False)
    store = tmp_path / "there.sqlite"
    with context:
        killer = kill_when(lambda: n_vectors(store) >= 16, pids)
        there = extract(paths, NotebookFeatures(), store=store, progress=False)
        killer.join()
    np.testing.assert_array_equal(there.X, here.X)
    assert there.n_extracted == here.n_extracted == len(set(here.content)) == n_vectors(store)
    assert extract(paths, NotebookFeatures(), store=store, progress=False).n_extracted == 0


@pytest.fixture
def many_paths(demo_root, tmp_path):
    """Clips that take a few seconds: each of the demo's, and it again with a tail of zeros."""
    import soundfile

    paths = demo.load(demo_root, speakers=4)["path"].tolist()
    for i, path in enumerate(paths[:]):
        y, sr = soundfile.read(path, dtype="int16")
        for n in range(1, 4):
            longer = tmp_path / f"{i}-{n}.wav"
            soundfile.write(longer, np.pad(y, (0, n * sr)), sr)
            paths.append(str(longer))
    return paths


@pytest.mark.slow
def test_dask_extracts_as_here_though_a_worker_is_killed(scheduler, many_paths, tmp_path):
    address, pids = scheduler
    assert_extracts_as_here(compute.dask(address=address), many_paths, tmp_path, pids)


@pytest.mark.slow
def test_ray_extracts_as_here_though_a_worker_is_killed(many_paths, tmp_path):
    if find_spec("ray") is None:  # imported here, it would not ask for ser's token
        pytest.skip("needs ser[ray]")

    def pids():
        listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
        return [int(line.split()[0]) for line in listed.splitlines() if "ray::PoolActor" in line]

    assert_extracts_as_here(compute.ray(n_jobs=2), many_paths, tmp_path, pids)


@pytest.mark.slow
def test_dask_fits_as_here_though_a_worker_is_killed(scheduler):
    address, pids = scheduler
    rng = np.random.default_rng(0)
    y = np.repeat(["calm", "happy", "sad"], 200)
    X = rng.normal(size=(600, 60)) + (y == "sad")[:, None]
    groups = np.tile(np.arange(20), 30)
    folds = cross_validation_folds(y, groups, n_splits=10, grouped=True, seed=0)
    mlp = MLPClassifier(hidden_layer_sizes=(200,), max_iter=60, random_state=0)
    pipeline = build_pipeline({"classifier": mlp}, seed=0)
    data, split = dataset(X, y, groups), Split(folds)
    here, said_here = evaluate_folds(pipeline, data, split, Workers())
    finished = []
    with compute.dask(address=address):
        killer = kill_when(lambda: len(finished) >= 2, pids)
        there, said_there = evaluate_folds(
            pipeline, data, split, Workers(advance=lambda: finished.append(1))
        )
        killer.join()
    assert len(finished) == 10
    assert said_there == said_here and "ConvergenceWarning" in said_here[0]
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one.test, other.test)
        np.testing.assert_allclose(one.proba, other.proba, atol=1e-9)


@pytest.mark.slow
def test_train_on_dask_gives_the_numbers_of_here(scheduler, demo_root, tmp_path):
    options = ["model=mlp", "model.classifier.max_iter=5", "curves=none", "cv.n_splits=3"]
    options += ["data=demo", "data.speakers=4", f"data.root={demo_root}"]
    options += [f"hydra.run.dir={tmp_path}/hydra"]

    def command(*overrides):
        return subprocess.run(
            [sys.executable, "-m", "ser.train", *options, *overrides],
            capture_output=True,
            text=True,
            env=os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"},
        )

    def table(result):
        assert result.returncode == 0, result.stderr
        return [line for line in result.stdout.splitlines() if "clips)" in line or "fold" in line]

    here = command(f"store={tmp_path}/here.sqlite")
    there = command(
        f"store={tmp_path}/there.sqlite", "compute=dask", f"compute.address={scheduler[0]}"
    )
    assert table(here) == table(there) and len(table(here)) == 3
    assert "distributed" not in there.stderr


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tls://ann@127.0.0.1:9", "tcp://[:1"])
def test_dask_nobody_at_the_address_is_said(address):
    pytest.importorskip("distributed")
    with (
        pytest.raises(SerError, match=re.escape(f"compute.address={address}")),
        compute.dask(address=address, timeout=1),
    ):
        pass


@pytest.mark.parametrize(("choice", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_cluster_package_missing_is_said(choice, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with (
        pytest.raises(SerError, match=rf"pip install 'ser\[{choice}\]'"),
        getattr(compute, choice)(),
    ):
        pass


def test_results_say_that_a_worker_was_killed():
    from joblib import delayed

    with pytest.raises(SerError, match="A worker was killed"):
        list(compute.results([delayed(os.kill)(0, 0), delayed(_die)()], n_jobs=2))


def _die():
    os.kill(os.getpid(), signal.SIGKILL)
