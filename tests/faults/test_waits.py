"""Waits are said, with who holds what, and have a limit; a log is known by its file."""

import gc
import importlib.util
import io
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from ser.core import locks, paths
from ser.core.errors import SerError
from ser.core.process import identity, maker_of
from ser.doctor.log import examine_log
from ser.features import store_file
from ser.features.prosody import ProsodyFeatures
from ser.features.store_file import open_store, stored_set
from ser.models.predictions import Layout
from ser.predict.output import opened
from ser.tracking import artifacts, database, mlflow_compat, queries
from ser.tracking.client import connect
from ser.tracking.run import create_run, start_run
from ser.tune import storage
from ser.tune.storage import open_study

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def uri(tmp_path, empty_database):
    (tmp_path / "log").mkdir()
    shutil.copy(empty_database, tmp_path / "log" / "mlflow.db")
    return f"sqlite:///{tmp_path}/log/mlflow.db"


@pytest.fixture
def stopped(tmp_path):
    """Start a process that holds SQLite's lock on a file, and stop it."""
    processes = []

    def hold(file):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen([sys.executable, "-c", HOLD, file, "token=s3cret"], **pipes)
        processes.append(process)
        assert process.stdout.readline() == b"held\n"
        process.send_signal(signal.SIGSTOP)
        return process.pid

    yield hold
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.01)
    monkeypatch.setattr(locks, "LIMIT", 0.1)
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.1)


@pytest.fixture
def until_said(monkeypatch):
    """Wait until a text is said; all that was."""
    errors = io.StringIO()
    say = lambda text, file: errors.write(f"{text}\n")  # noqa: E731
    monkeypatch.setattr(locks, "print", say, raising=False)

    def wait(text):
        for _ in range(6000):
            if text in errors.getvalue():
                return errors.getvalue()
            time.sleep(0.01)  # for as long as it takes
        raise AssertionError(errors.getvalue())

    return wait


def test_a_stopped_writer_of_the_log_is_named(uri, stopped, impatient):
    pid = stopped(uri.removeprefix("sqlite:///"))
    with pytest.raises(SerError) as error:
        connect(uri)
    assert "cannot be used now" in str(error.value) and "no log of MLflow's" not in str(error.value)
    if Path("/proc/locks").exists():
        assert f"process {pid} ({sys.executable}" in str(error.value)
        assert "s3cret" not in str(error.value)
    assert "If that process hangs or is stopped, end it." in str(error.value)


def test_a_stopped_writer_of_the_store_is_waited_for_and_named(
    tmp_path, stopped, impatient, until_said, monkeypatch
):
    monkeypatch.setattr(store_file, "LOCK_TIMEOUT", 0.1)
    store = tmp_path / "features.sqlite"
    with open_store(store) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        pid = stopped(store)
        with pytest.raises(sqlite3.OperationalError), store_file._transaction(connection):
            pass
    with pytest.raises(SerError, match="database is locked") as error, open_store(store) as other:
        stored_set(other, ProsodyFeatures())
    said = until_said("Waiting for the store")
    for text in (said, str(error.value)):
        assert f"{store}" in text and "If that process hangs or is stopped, end it." in text
        if Path("/proc/locks").exists():
            assert f"process {pid} ({sys.executable}" in text and "s3cret" not in text


def test_what_mlflow_waits_for_is_said_once(uri, until_said, monkeypatch, stopped):
    client = connect(uri)
    monkeypatch.setattr(locks, "PATIENCE", 0.01)
    pid = stopped(uri.removeprefix("sqlite:///"))
    said = []

    def slow(self, *args):
        said.append(until_said("If that process hangs or is stopped, end it."))
        return super(type(client), self).get_experiment_by_name("Default")

    monkeypatch.setattr(mlflow.MlflowClient, "search_experiments", slow)
    monkeypatch.setattr(mlflow.MlflowClient, "get_experiment_by_name", lambda self, name: name)
    client.search_experiments()
    assert said[0].startswith(f"Waiting for the log {uri}, for at most 60 s: ")
    assert said[0].count("Waiting") == 1
    if Path("/proc/locks").exists():
        assert f"process {pid} " in said[0]


def test_a_server_that_does_not_answer_is_said(impatient, until_said, monkeypatch):
    client = connect("http://ann:s3cret@127.0.0.1:9")
    monkeypatch.setattr(
        mlflow.MlflowClient, "search_runs", lambda self: until_said("is it up?\n"), raising=True
    )
    said = client.search_runs()
    assert "Waiting for the log http://" in said and ", for at most 20 minutes: " in said
    assert "which is asked 10 times, for 101 s" in mlflow_compat.patience("postgresql://h/log")
    assert "s3cret" not in said


@pytest.mark.parametrize("name", ["feature%2Fx/m.db", "a?b/m.db", "m%41.db", "50%25/m.db"])
def test_a_name_that_a_uri_cannot_hold_is_refused_and_nothing_is_made(tmp_path, name):
    with pytest.raises(SerError, match=r"would be .*/.* to the database: .*Set tracking\.uri"):
        connect(f"sqlite:///{tmp_path}/{name}")
    with (
        pytest.raises(SerError, match="would be"),
        open_study(f"sqlite:///{tmp_path}/{name}", "s", question={}),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    link, (folder, _) = tmp_path / "plain", name.partition("/")[::2]
    (tmp_path / folder).mkdir()
    link.symlink_to(folder)
    with pytest.raises(SerError, match="would be"):  # what MLflow writes down is the file's place
        connect(f"sqlite:///{link}/{folder if '%41' in name else 'm.db'}")


@pytest.mark.parametrize("name", ["a b", "100%", "ü#x", "a&b=c;d@e:f"])
def test_other_names_are_as_they_are(tmp_path, empty_database, name):
    (tmp_path / name).mkdir()
    shutil.copy(empty_database, tmp_path / name / "m.db")
    assert database.sqlite_file(f"sqlite:///{tmp_path}/{name}/m.db") == tmp_path / name / "m.db"
    with start_run(**about(f"sqlite:///{tmp_path}/{name}/m.db")) as run:
        run.text("x", "x.txt")
    assert [f.name for f in (tmp_path / name).rglob("x.txt")] == ["x.txt"]


def about(uri):
    return {"uri": uri, "experiment": "e", "name": "r", "tags": {}, "description": ""}


def dump(file):
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def test_a_log_seen_under_another_path_is_not_rewritten_while_a_run_is_under_way(uri, tmp_path):
    here, there = tmp_path / "log", tmp_path / "mounted"
    with start_run(**about(uri)) as run:
        (here / "artifacts" / "e").mkdir(parents=True)
        run.text("x", "x.txt")
        shutil.copytree(here, there)  # as a container sees it
        other = f"sqlite:///{there}/mlflow.db"
        before = dump(there / "mlflow.db")
        connect(other, mend=True)
        assert dump(there / "mlflow.db") == before
        with start_run(**about(other)) as second:
            second.text("y", "y.txt")
        recorded = connect(other).get_run(second.id).info.artifact_uri
        assert recorded.startswith(here.as_uri())  # as the log has it for all who see it
        assert [f.parts[-5] for f in tmp_path.rglob("y.txt")] == ["artifacts"]
        assert list(there.rglob("y.txt")) and not list(here.rglob("y.txt"))
        queries.runs_by_id(other, [second.id])[second.id].download(tmp_path / "copy")
        assert (tmp_path / "copy" / "y.txt").read_text() == "y"
        assert artifacts.located(other, recorded).startswith(there.as_uri())
    assert list(here.rglob("x.txt")) and not list(there.rglob("x.txt"))


def test_a_log_that_was_moved_is_read_as_it_is_and_mended_by_the_next_run(uri, tmp_path):
    here, there = tmp_path / "log", tmp_path / "moved"
    with start_run(**about(uri)) as run:
        run.text("x", "x.txt")
    here.rename(there)
    other, before = f"sqlite:///{there}/mlflow.db", dump(there / "mlflow.db")
    found = queries.find_run(other, "latest")
    found.download(tmp_path / "copy")
    found.add(tmp_path / "copy" / "x.txt")
    assert not [finding for finding in examine_log(other, close=False) if finding.advice]
    assert (tmp_path / "copy" / "x.txt").read_text() == "x"
    assert dump(there / "mlflow.db") == before
    create_run(**about(other)).finish()
    assert connect(other).get_run(run.id).info.artifact_uri.startswith(there.as_uri())
    assert not here.exists()


def test_a_symbolic_link_to_a_log_is_the_log(uri, tmp_path):
    (tmp_path / "link").symlink_to("log")
    with start_run(**about(uri)) as run:
        run.text("x", "x.txt")
    old = f"REPLACE(artifact_location, '{tmp_path}/log', '{tmp_path}/link')"
    with closing(sqlite3.connect(tmp_path / "log" / "mlflow.db")) as connection, connection:
        connection.execute(f"UPDATE experiments SET artifact_location = {old}")  # as an older ser
    before = dump(tmp_path / "log" / "mlflow.db")
    connect(f"sqlite:///{tmp_path}/link/mlflow.db", mend=True)
    assert dump(tmp_path / "log" / "mlflow.db") == before
    with start_run(**about(f"sqlite:///{tmp_path}/link/mlflow.db")) as second:
        second.text("y", "y.txt")
    assert list((tmp_path / "log" / "artifacts").rglob("y.txt"))


def test_a_model_of_a_server_leaves_no_copy(tmp_path, monkeypatch):
    class Server:
        def download_artifacts(self, path, to):
            (Path(to) / "MLmodel").write_text("from afar")
            return to

    monkeypatch.setattr(artifacts.mlflow_compat, "artifact_repository", lambda *which: Server())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = artifacts.fetch("http://server", "mlflow-artifacts:/1/models/m/artifacts")
    assert (folder / "MLmodel").exists()
    assert maker_of(folder.name) == identity()  # so the doctor knows it after a kill
    assert artifacts._COPIES.pop().name == str(folder)  # as when the process ends
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_an_older_log_with_a_run_under_way_is_not_migrated(uri, tmp_path, monkeypatch):
    run = create_run(**about(uri))
    file = tmp_path / "log" / "mlflow.db"
    before = dump(file)
    monkeypatch.setattr(mlflow_compat, "newest_revision", lambda: "fedcba987654")
    with pytest.raises(
        SerError, match=f"runs of it are, or may be, under way: .* --close {run.id}"
    ):
        connect(uri)
    assert dump(file) == before
    with closing(sqlite3.connect(file)) as connection, connection:  # as of another program
        connection.execute("DELETE FROM tags WHERE key = ?", (database.PROCESS,))
    with pytest.raises(SerError, match=f"--close {run.id}"):
        connect(uri)
    for old in ("start_time = 0", "lifecycle_stage = 'deleted'"):
        with closing(sqlite3.connect(file)) as connection:
            connection.execute(f"UPDATE runs SET {old}")
            connection.commit()
            assert database._processes(file) == {}
            connection.execute("UPDATE runs SET start_time = ?", (1000 * time.time(),))
            connection.commit()


def test_an_installed_ser_keeps_to_its_own_configs(tmp_path):
    """Other packages leave a folder ``conf`` in site-packages."""
    package = tmp_path / "site-packages" / "ser"
    for folder in (package / "core", package / "conf", package.parent / "conf"):
        folder.mkdir(parents=True)
    shutil.copy(paths.__file__, package / "core" / "paths.py")
    spec = importlib.util.spec_from_file_location("installed", package / "core" / "paths.py")
    installed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(installed)
    assert package / "conf" == installed.CONF
    assert Path.cwd() == installed.PROJECT


def test_two_predictions_into_one_file_are_one_too_many(tmp_path):
    out, layout = tmp_path / "answers.csv", Layout(("happy", "sad"), windows=False, speakers=False)
    row = dict.fromkeys(layout.columns, None) | {"clip": "a.wav", "p_happy": 1.0, "p_sad": 0.0}
    with opened(None, out, layout, {}, {}) as first:
        first.write([row])
        with (
            pytest.raises(SerError, match=rf"another process|process {os.getpid()} "),
            opened(None, out, layout, {}, {}),
        ):
            pass
        first.write([row | {"clip": "b.wav"}])
        first.finish()
    assert [line.split(",")[0] for line in out.read_text().splitlines()] == [
        "clip",
        "a.wav",
        "b.wav",
    ]
    assert list(tmp_path.iterdir()) == [out]


def test_a_stopped_writer_of_a_journal_is_waited_for_and_named(tmp_path, impatient, capsys):
    journal = tmp_path / "studies.journal"
    with open_study(str(journal), "s", question={}) as (study, _):
        with (
            locks.locked(tmp_path / "studies.journal.workers" / storage.WRITING, "a test"),
            pytest.raises(SerError, match=rf"journal {journal}, which process {os.getpid()} .*end"),
        ):
            study.ask()
        assert f"Waiting for the study's journal {journal}" in capsys.readouterr().err
        study.tell(study.ask(), 1.0)
        assert len(study.trials) == 1


def test_studies_of_one_name_wait_for_themselves_alone(tmp_path):
    theirs = tmp_path / "a.workers"  # a user's
    theirs.mkdir()
    for name in ("a.x", "a.y"):
        with open_study(str(tmp_path / name), "s", question={}):
            pass
    folders = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert folders == {"a.workers", "a.x.workers", "a.y.workers"}
    assert list(theirs.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed: version_info")),
        OperationalError("CREATE", {}, Exception("table studies already exists")),
        IntegrityError("INSERT", {}, Exception("duplicate key value violates unique constraint")),
    ],
)
def test_tables_that_another_worker_makes_meanwhile(monkeypatch, error):
    tries = []

    def made(*args, **kwargs):
        tries.append(1)
        if len(tries) < 3:
            raise error
        return "made"

    monkeypatch.setattr(storage, "RDBStorage", made)
    monkeypatch.setattr(storage.time, "sleep", lambda seconds: None)
    assert storage._made("sqlite://", 30) == "made"


def test_a_database_that_does_not_answer_is_asked_once(tmp_path):
    with (
        pytest.raises(SerError, match=r"studies cannot be used: .*unable to open"),
        open_study(f"sqlite:///{tmp_path}/none/studies", "s", question={}),
    ):
        pass
