"""Many processes on one log and one study, with servers that go away in between."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress

import mlflow
import optuna
import pytest
from faults import log

from ser.doctor.log import examine_log
from ser.tune.storage import WORKER

PROCESSES = 8
RUNS = int(os.environ.get("SER_FAULTS_RUNS", "16"))  # into SQLite; a fifth through the server


@pytest.fixture
def train_many(launcher, demo_root, demo_store, tmp_path):
    """So many runs of ser.train, at most eight at once, each with a seed of its own."""

    def train(uri, n_runs, meanwhile=lambda n_started: None):
        env = {"MLFLOW_TRACKING_URI": uri, "SER_STORE": str(demo_store)}
        env["SER_DEMO_ROOT"] = str(demo_root)
        jobs, codes = [], []
        for seed in range(n_runs):
            if len(jobs) == PROCESSES:
                codes.append((jobs[0].wait(), jobs.pop(0).said))
            arguments = ["data=demo", "data.speakers=4", "model=dummy", "curves=none"]
            arguments += ["compute.n_jobs=1", "cv.n_splits=2", f"seed={seed}"]
            arguments.append(f"hydra.run.dir={tmp_path}/{seed}")
            jobs.append(launcher.start("ser.train", *arguments, env=env))
            meanwhile(seed)
        return codes + [(job.wait(), job.said) for job in jobs]

    return train


def test_eight_processes_on_one_sqlite_lose_and_mix_nothing(train_many, tmp_path):
    uri = f"sqlite:///{tmp_path}/log/mlflow.db"
    codes = train_many(uri, RUNS)
    assert [code for code, _ in codes] == [0] * RUNS, "\n".join(
        said for code, said in codes if code
    )
    finished = log.check(uri)
    assert set(finished) == {"FINISHED"}
    # Each has its own numbers, files and model (log.check), and its own seed.
    assert sorted(int(r.data.params["seed"]) for r in finished["FINISHED"]) == list(range(RUNS))
    folders = {run.info.artifact_uri for run in finished["FINISHED"]}
    models = {run.outputs.model_outputs[0].model_id for run in finished["FINISHED"]}
    assert len(folders) == len(models) == RUNS
    assert not [finding for finding in examine_log(uri) if finding.advice]


@contextmanager
def server(database, folder, port):
    """MLflow's server, as a team runs it: runs in PostgreSQL, files behind it."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", database, "--workers", "2"]
    command += ["--artifacts-destination", str(folder), "--serve-artifacts"]
    env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(
        command,
        env=env | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        stderr=(folder.parent / "server.txt").open("a"),
        start_new_session=True,
    )
    try:
        for _ in range(600):
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            assert process.poll() is None, (folder.parent / "server.txt").read_text()
            time.sleep(0.1)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_server_on_postgresql_killed_and_restarted(postgresql, train_many, tmp_path):
    database = postgresql.replace("postgresql://", "postgresql+psycopg://")
    files = tmp_path / "files"
    files.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    n_runs = max(RUNS // 5, 12)
    servers = []

    def kill_and_restart():
        time.sleep(1)  # until the runs that have just started are at work
        servers.pop().__exit__(None, None, None)
        time.sleep(2)
        servers.append(server(database, files, port))
        servers[-1].__enter__()

    outage = threading.Thread(target=kill_and_restart)
    servers.append(server(database, files, port))
    servers[-1].__enter__()
    try:
        codes = train_many(uri, n_runs, lambda seed: seed == n_runs // 2 and outage.start())
        outage.join()
        client = mlflow.MlflowClient(uri)
        by_status = Counter()
        for run in log.runs(uri):
            by_status[run.info.status] += 1
            if run.info.status == "FINISHED":
                check_on_server(client, run)
        list(examine_log(uri))  # closes what an outage left RUNNING
        after = Counter(run.info.status for run in log.runs(uri))
    finally:
        for running in servers:
            running.__exit__(None, None, None)
    succeeded = [code for code, _ in codes].count(0)
    print(f"{n_runs} runs: {succeeded} completed; {dict(by_status)}, then {dict(after)}")
    assert by_status["FINISHED"] == succeeded  # exit code and log agree
    assert succeeded >= n_runs // 2
    assert set(after) <= {"FINISHED", "FAILED"}
    assert all("cannot be used" in said and "Traceback" not in said for c, said in codes if c)


def check_on_server(client, run):
    """A finished run on a server has its numbers, files and model."""
    assert set(log.NUMBERS) <= set(run.data.metrics)
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"manifest.json", "tables", "figures", "config.yaml", "report.html"} <= names
    (output,) = run.outputs.model_outputs
    assert client.get_logged_model(output.model_id).status == "READY"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_four_workers_make_a_study_at_once(kind, request, launcher, tmp_path):
    for number in range(2):
        url = f"sqlite:///{tmp_path}/{number}.db"
        if kind == "postgresql":
            psycopg = pytest.importorskip("psycopg")
            server = request.getfixturevalue("postgresql")
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE new{number}")
            url = server.replace("postgresql://", "postgresql+psycopg://")
            url = url.replace("/postgres", f"/new{number}")
        jobs = [launcher.start("faults.study", url, env={}) for _ in range(4)]
        assert [job.wait() for job in jobs] == [0] * 4, [job.said for job in jobs]
        assert len(optuna.load_study(study_name="shared", storage=url).trials) == 4


def test_four_workers_on_a_study_in_postgresql_one_killed(
    postgresql, launcher, demo_root, demo_store, tmp_path
):
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute("CREATE DATABASE studies")  # MLflow has the other: docs/tuning.md
    storage = postgresql.replace("postgresql://", "postgresql+psycopg://")
    storage = storage.replace("/postgres", "/studies")
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/log/mlflow.db"}
    env |= {"SER_STORE": str(demo_store), "SER_DEMO_ROOT": str(demo_root)}
    arguments = ["data=demo", "data.speakers=4", "model=naive_bayes", "curves=none"]
    arguments += [f"tuner.storage={storage}", "tuner.study=shared", "tuner.n_trials=4"]
    arguments += ["compute.n_jobs=1", "cv.n_splits=3"]
    jobs = [
        launcher.start("ser.tune", *arguments, f"hydra.run.dir={tmp_path}/{i}", env=env)
        for i in range(4)
    ]
    study = wait_for_trials(storage, 3, jobs)
    jobs[0].kill(group=True)
    codes = [job.wait() for job in jobs]
    assert codes[0] == -9
    assert codes[1:] == [0] * 3, [job.said for job in jobs[1:]]
    trials = study.get_trials()
    assert len({trial.number for trial in trials}) == len(trials)
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    by_worker = Counter(trial.user_attrs[WORKER] for trial in done)
    assert sorted(by_worker.values())[-3:] == [4, 4, 4]  # each of the living did its own
    (finished,) = {len(log.check(env["MLFLOW_TRACKING_URI"])["FINISHED"])}
    # A run for each trial, one for each best and one for each search that ended.
    assert finished >= len(done) + 2 * 3
    list(examine_log(env["MLFLOW_TRACKING_URI"]))
    assert "RUNNING" not in log.check(env["MLFLOW_TRACKING_URI"])


def wait_for_trials(storage, n, jobs):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for _ in range(600):
        with suppress(Exception):  # until the first worker has made it
            study = optuna.load_study(study_name="shared", storage=storage)
            if len(study.get_trials(deepcopy=False)) >= n:
                return study
        time.sleep(0.1)
    raise AssertionError("\n".join(job.said for job in jobs))
