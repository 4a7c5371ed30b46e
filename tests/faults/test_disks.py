"""Disks that are full or read-only, and clips, clocks and logs that change behind ser's back."""

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import mlflow
import numpy as np
import pytest
import soundfile
from alembic.script import ScriptDirectory
from faults import log
from mlflow.store.db import utils as mlflow_db
from mlflow.store.tracking.dbmodels.initial_models import Base

from ser.core.errors import SerError
from ser.data.audio import AudioError
from ser.data.corpora import demo
from ser.doctor.log import examine_log
from ser.doctor.store import check_store
from ser.explore.folder import fill
from ser.features import store as stores
from ser.features import store_file
from ser.features.notebook import NotebookFeatures
from ser.features.prosody import ProsodyFeatures
from ser.features.store import extract
from ser.tracking.client import connect

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def mount(tmp_path):
    """A small disk of its own: a folder, and a function that mounts it again with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def again(options):
        subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)

    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder])
    if made.returncode:
        pytest.skip("this user may not mount a tmpfs")
    yield folder, again
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def train(launcher, demo_root, demo_store, tmp_path):
    """``ser.train`` on four demo voices into a log."""

    def start(folder, *overrides, store=demo_store, hydra=tmp_path / "hydra", **env):
        env["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        env |= {"SER_STORE": str(store), "SER_DEMO_ROOT": str(demo_root)}
        arguments = ["data=demo", "data.speakers=4", "model=naive_bayes", "curves=none"]
        arguments += ["compute.n_jobs=1", f"hydra.run.dir={hydra}", *overrides]
        job = launcher.start("ser.train", *arguments, env=env)
        return job.wait(), job.said

    return start


@pytest.mark.parametrize("size", ["300k", "1100k", "1500k", "2500k"])
def test_full_disk_of_the_log(mount, train, size):
    disk, again = mount
    again(f"size={size}")
    code, said = train(disk, SER_FAULTS_ROOM="filled meanwhile")
    assert code == 1
    assert "Traceback" not in said
    assert str(disk) in said and "Free space" in said, said
    uri = f"sqlite:///{disk}/mlflow.db"
    if (disk / "mlflow.db").exists():
        assert "FINISHED" not in log.check(uri)
    code, said = train(disk)  # looked at before anything costs time
    assert code == 1 and "MB free, and a run needs" in said, said
    again("size=64m")
    code, said = train(disk)
    assert code == 0, said
    list(examine_log(uri))  # closes what could not be marked on the full disk
    assert set(log.check(uri)) <= {"FINISHED", "FAILED"}
    assert len(log.check(uri)["FINISHED"]) == 1


def test_full_disk_of_temporary_files(mount, train, tmp_path):
    disk, again = mount
    again("size=60k")
    code, said = train(tmp_path / "log", TMPDIR=str(disk))
    assert code == 1 and "0.1 MB free, and a run needs" in said and str(disk) in said
    assert not (tmp_path / "log").exists()
    code, said = train(tmp_path / "log", TMPDIR=str(disk), SER_FAULTS_ROOM="filled meanwhile")
    assert code == 1
    assert "No space left on device" in said and "Traceback" not in said, said
    assert "FINISHED" not in log.check(f"sqlite:///{tmp_path}/log/mlflow.db")


def test_full_disk_of_the_store_keeps_what_it_has(mount, demo_root):
    disk, again = mount
    again("size=150k")
    paths = demo.load(demo_root, speakers=4)["path"].tolist()
    with pytest.raises(SerError, match=r"full.*What it holds is kept\. Free space"):
        extract(paths, NotebookFeatures(), store=disk / "f.sqlite", n_jobs=1, progress=False)
    again("size=64m")
    after = extract(paths, NotebookFeatures(), store=disk / "f.sqlite", progress=False)
    fresh = extract(paths, NotebookFeatures(), store=disk / "fresh.sqlite", progress=False)
    np.testing.assert_array_equal(after.X, fresh.X)


def test_full_disk_of_the_store_ends_the_workers_in_a_sentence(mount, train, tmp_path):
    disk, again = mount
    again("size=150k")
    code, said = train(tmp_path / "log", "compute.n_jobs=2", store=disk / "f.sqlite")
    assert code == 1 and "What it holds is kept" in said, said
    assert not any(word in said for word in ("Traceback", "callback", "Warning")), said


def test_full_disk_of_an_exploration_is_said_to_be_its_own(mount, tmp_path):
    disk, again = mount
    again("size=16k")
    (tmp_path / "page.html").write_bytes(bytes(20_000))
    with pytest.raises(SerError, match="disk cannot be filled: No space left on device"):
        fill(disk, tmp_path)


def test_full_disk_of_a_store_that_is_there_is_no_damage(mount, demo_root):
    disk, again = mount
    paths = demo.load(demo_root, speakers=4)["path"].tolist()[:20]
    store = disk / "f.sqlite"
    before = extract(paths, NotebookFeatures(), store=store, n_jobs=1, progress=False)
    again("size=300k")
    with (disk / "rest").open("wb", buffering=0) as rest, suppress(OSError):
        while True:
            rest.write(bytes(512))
    with pytest.raises(SerError, match=r"f\.sqlite cannot be used.*What it holds is kept"):
        extract(paths, ProsodyFeatures(), store=store, n_jobs=1, progress=False)
    assert "damaged" not in "".join(finding.text for finding in check_store(store))
    (disk / "rest").unlink()
    after = extract(paths, NotebookFeatures(), store=store, n_jobs=1, progress=False)
    assert after.n_extracted == 0
    np.testing.assert_array_equal(after.X, before.X)


def test_read_only_log_is_said_and_can_still_be_read(mount, train, launcher, tmp_path):
    disk, again = mount
    assert train(disk)[0] == 0
    again("ro")
    code, said = train(disk)
    assert code == 1
    assert "Traceback" not in said and "mlflow.db cannot be used" in said, said
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{disk}/mlflow.db"}
    launcher.run("ser.report", "latest", "--out", tmp_path / "page.html", env=env)
    assert (tmp_path / "page.html").stat().st_size > 10_000
    looked = launcher.start("ser.doctor", "--store", tmp_path / "none.sqlite", env=env)
    looked.wait()
    assert f"{disk} cannot be written" in looked.said


def test_read_only_folder_of_hydra_is_said(mount, train, tmp_path):
    disk, again = mount
    again("ro")
    code, said = train(tmp_path / "log", hydra=disk / "hydra")
    assert code == 1
    assert "Read-only file system" in said and str(disk) in said, said
    assert "Traceback" not in said


def test_read_only_store_is_said(mount, demo_root):
    disk, again = mount
    paths = demo.load(demo_root, speakers=4)["path"].tolist()[:20]
    extract(paths, NotebookFeatures(), store=disk / "f.sqlite", n_jobs=1, progress=False)
    again("ro")
    with pytest.raises(SerError, match=r"f\.sqlite cannot be (used|made).*store=FILE"):
        extract(paths, NotebookFeatures(), store=disk / "f.sqlite", n_jobs=1, progress=False)


class Meanwhile(NotebookFeatures):
    """The tutorial's features; while clip number `at` is computed, something happens."""

    at, happens, seen = -1, staticmethod(lambda: None), 0

    def __call__(self, y, sr):
        Meanwhile.seen += 1
        if Meanwhile.seen == Meanwhile.at:
            Meanwhile.happens()
        return super().__call__(y, sr)


@pytest.fixture
def while_extracting(write_tone, tmp_path):
    """Extract forty tones, in order; at the tenth something happens to the thirtieth."""
    paths = [write_tone(f"{i:02d}.wav", frequency=200 + 5 * i) for i in range(40)]

    def run(happens, on_error):
        Meanwhile.at, Meanwhile.happens, Meanwhile.seen = 10, staticmethod(happens), 0
        time.sleep(0.03)  # the files are older than a clock's tick
        return paths, extract(
            paths,
            Meanwhile(),
            store=tmp_path / "store.sqlite",
            on_error=on_error,
            n_jobs=1,
            progress=False,
        )

    return paths, run


def fresh(paths, folder):
    return extract(paths, NotebookFeatures(), store=folder / "fresh.sqlite", progress=False).X


def test_clip_deleted_during_extraction(while_extracting, tmp_path):
    paths, run = while_extracting
    gone = Path(paths[29])
    with pytest.raises(AudioError, match=r"29\.wav: there is no such file"):
        run(gone.unlink, "raise")
    Meanwhile.at = -1
    paths, result = run(lambda: None, "skip")
    assert list(result.errors) == [str(gone)]
    assert np.isnan(result.X[29]).all()
    others = [i for i in range(40) if i != 29]
    np.testing.assert_array_equal(result.X[others], fresh([paths[i] for i in others], tmp_path))


def test_clip_changed_during_extraction_is_what_it_was_when_read(while_extracting, tmp_path):
    paths, run = while_extracting

    def change():
        y, sr = soundfile.read(paths[0])
        soundfile.write(paths[29], y[::-1], sr)  # not yet read
        soundfile.write(paths[3], y[::-1], sr)  # read, and being kept

    before = fresh([paths[3]], tmp_path)
    _, result = run(change, "raise")
    np.testing.assert_array_equal(result.X[3], before[0])
    Meanwhile.at = -1
    _, again = run(lambda: None, "raise")
    np.testing.assert_array_equal(again.X[29], result.X[29])
    np.testing.assert_array_equal(again.X[3], again.X[29])  # noticed: it holds the same now
    assert again.content[3] == again.content[29] != result.content[3]


def test_clip_changed_while_it_is_read(while_extracting, monkeypatch):
    paths, run = while_extracting
    read = stores.read_file

    def read_and_change(path):
        data = read(path)
        if path == paths[29]:
            Path(path).write_bytes(data[:-2])
        return data

    monkeypatch.setattr(stores, "read_file", read_and_change)
    with pytest.raises(AudioError, match=r"29\.wav: the file changed while it was read"):
        run(lambda: None, "raise")


@pytest.mark.parametrize("tick", [0, 10**12])
def test_clip_changed_within_a_tick_of_the_clock_is_read_again(
    write_tone, tmp_path, monkeypatch, tick
):
    """Two quick writes may leave the same size and times: a file just written is not trusted."""
    monkeypatch.setattr(store_file, "TICK", tick)
    path = write_tone("quick.wav", frequency=300)
    args = {"store": tmp_path / "s.sqlite", "n_jobs": 1, "progress": False}
    first = extract([path], NotebookFeatures(), **args)
    stamp = store_file.stamp_of(path)
    soundfile.write(path, soundfile.read(path)[0][::-1], 16_000)
    for module in (stores, store_file):  # as before the write
        monkeypatch.setattr(module, "stamp_of", lambda path, read=None: stamp)
    second = extract([path], NotebookFeatures(), **args)
    assert (second.content[0] != first.content[0]) == (tick > 0)


def test_clock_set_back_while_training(train, tmp_path):
    code, said = train(tmp_path / "log", SER_FAULTS_CLOCK="-3600")
    assert code == 0, said
    (run,) = log.check(f"sqlite:///{tmp_path}/log/mlflow.db")["FINISHED"]
    assert run.info.end_time < run.info.start_time  # it was set back, and nothing is lost


def test_another_librosa_changes_nothing_in_the_store(tmp_path, demo_root):
    paths = demo.load(demo_root, speakers=4)["path"].tolist()[:10]
    args = {"store": tmp_path / "s.sqlite", "n_jobs": 1, "progress": False}
    mine = extract(paths, NotebookFeatures(), **args)
    other = tmp_path / "site" / "librosa"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("__version__ = '0.9.0'\nraise ImportError('broken')\n")
    code = (
        "import sys; from ser.features.store import extract;"
        "from ser.features.notebook import NotebookFeatures as N;"
        "r = [extract(sys.argv[2:], N(), store=s, n_jobs=1, progress=False) for s in "
        "(sys.argv[1], sys.argv[1] + '.new')];"
        "assert (r[0].n_extracted, r[1].n_extracted) == (0, 10);"
        "assert (r[0].X == r[1].X).all(); sys.stdout.buffer.write(r[1].X.tobytes())"
    )
    env = {**os.environ, "PYTHONPATH": f"{other.parent}{os.pathsep}{CHECKOUT}"}
    done = subprocess.run(
        [sys.executable, "-c", code, args["store"], *paths], env=env, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.float32), mine.X.ravel())


def test_another_opensmile_is_another_set():
    opensmile = pytest.importorskip("ser.features.opensmile")
    from ser.features import settings

    compare = opensmile.OpensmileFeatures(set="ComParE_2016")
    pytest.importorskip("opensmile")
    assert settings(compare)["made_by"].startswith("opensmile ")


def test_copied_log_has_its_files(train, launcher, tmp_path, monkeypatch):
    old, new = tmp_path / "a place", tmp_path / "another place"
    assert train(old)[0] == 0
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{old}/mlflow.db"}
    launcher.run("ser.register", "latest", "voices", env=env)
    shutil.copytree(old, new)
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{new}/mlflow.db"}
    launcher.run("ser.report", "latest", "--out", tmp_path / "page.html", env=env)
    client = connect(env["MLFLOW_TRACKING_URI"], mend=True)  # as the doctor does
    (run,) = log.check(env["MLFLOW_TRACKING_URI"])["FINISHED"]
    assert str(new) in str(log.folder(run.info.artifact_uri))
    (version,) = client.search_model_versions()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", env["MLFLOW_TRACKING_URI"])
    model = mlflow.pyfunc.load_model(f"models:/voices/{version.version}")
    clip = next(tmp_path.parent.glob("demo*/Actor_01/*.wav"), None)
    if clip is not None:
        assert model.predict({"path": [str(clip)]})["emotion"].notna().all()
    n_files = sum(1 for file in old.rglob("*") if file.is_file())
    assert train(new)[0] == 0  # a copy's runs go into the copy
    assert len(log.check(env["MLFLOW_TRACKING_URI"])["FINISHED"]) == 2
    assert sum(1 for file in old.rglob("*") if file.is_file()) == n_files
    assert not [f for f in examine_log(env["MLFLOW_TRACKING_URI"]) if f.advice]


def older_log(file, steps):
    """A log as an MLflow wrote it that is `steps` migrations older, with one run."""
    from alembic import command

    engine = mlflow_db.create_sqlalchemy_engine(f"sqlite:///{file}")
    Base.metadata.create_all(engine)
    config = mlflow_db._get_alembic_config(str(engine.url))
    revisions = [r.revision for r in ScriptDirectory.from_config(config).walk_revisions()]
    command.upgrade(config, revisions[steps])
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
            "VALUES (1, 'old', ?, 'active')",
            (f"file://{file.parent}/artifacts/old",),
        )
        connection.execute(
            "INSERT INTO runs (run_uuid, name, status, experiment_id, start_time, end_time, "
            "lifecycle_stage, artifact_uri, source_type, source_name, entry_point_name, user_id, "
            "source_version) VALUES (?, 'kept', 'FINISHED', 1, 1000, 2000, 'active', ?, 'LOCAL', "
            "'', '', 'ann', '')",
            ("a" * 32, f"file://{file.parent}/artifacts/old/{'a' * 32}/artifacts"),
        )
    engine.dispose()
    return revisions[steps]


@pytest.mark.parametrize("steps", [1, 35])
def test_log_of_an_older_mlflow_is_migrated_and_backed_up(train, tmp_path, steps):
    file = tmp_path / "log" / "mlflow.db"
    file.parent.mkdir()
    revision = older_log(file, steps)
    before = sqlite_dump(file)
    code, said = train(file.parent)
    assert code == 0, said
    uri = f"sqlite:///{file}"
    by_name = {run.info.run_name: run for run in log.runs(uri)}
    assert by_name["kept"].info.status == "FINISHED"
    assert len(by_name) == 2
    assert sqlite_dump(file.with_name(f"mlflow.db.{revision}.backup")) == before


def test_migration_killed_leaves_the_old_log_or_the_new(tmp_path):
    older_log(tmp_path / "old.db", 20)
    for number in range(4):
        file = tmp_path / str(number) / "mlflow.db"
        file.parent.mkdir()
        shutil.copy(tmp_path / "old.db", file)
        pid = os.fork()
        if pid == 0:
            connect(f"sqlite:///{file}")
            os._exit(0)
        time.sleep(0.02 + 0.08 * number)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        uri = f"sqlite:///{file}"
        connect(uri)
        assert [run.info.run_name for run in log.runs(uri)] == ["kept"]


def test_log_of_a_newer_mlflow_is_left_alone(train, tmp_path):
    file = tmp_path / "log" / "mlflow.db"
    connect(f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'fedcba987654'")
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    code, said = train(file.parent)
    assert code == 1
    assert "a newer MLflow's (schema fedcba987654)" in said and "Traceback" not in said
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before


def sqlite_dump(file):
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def test_log_with_half_a_transaction_is_rolled_back(train, tmp_path):
    """What a process leaves that is killed while SQLite writes its pages."""
    file = tmp_path / "log" / "mlflow.db"
    connect(f"sqlite:///{file}")
    before = sqlite_dump(file)
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA cache_size = 1'); c.execute('BEGIN IMMEDIATE');"
        "c.execute('UPDATE experiments SET name = hex(zeroblob(100))');"
        "c.execute('CREATE TABLE half AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
        "FROM n WHERE i < 9999) SELECT i, hex(randomblob(99)) FROM n'); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, file])
    assert file.with_name("mlflow.db-journal").stat().st_size > 0
    assert not [finding for finding in examine_log(f"sqlite:///{file}") if finding.advice]
    assert sqlite_dump(file) == before
