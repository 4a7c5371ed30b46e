"""``ser.doctor`` finds what is wrong, says what to do, and removes nothing unasked."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import mlflow
import psutil
import pytest

from ser import doctor
from ser.core import process
from ser.core.errors import SerError
from ser.doctor import prune, system
from ser.doctor.log import close_runs, examine_log
from ser.doctor.store import check_store
from ser.features.notebook import NotebookFeatures
from ser.features.store import extract
from ser.features.waveform import WaveformFeatures
from ser.tracking.manifest import MANIFEST
from ser.tracking.run import PROCESS, start_run


@pytest.fixture
def uri(client, tmp_path):
    return f"sqlite:///{tmp_path}/mlruns/mlflow.db"


@pytest.fixture
def empty_run(uri):
    def make(name="run", **tags):
        with start_run(uri=uri, experiment="x", name=name, tags=tags, description="") as run:
            run.metrics({"test_uar": 0.5})
            run.text("a page", "page.txt")
        return run.id

    return make


def said(findings):
    return "\n".join(f"{finding.part} {finding.text} {finding.advice}" for finding in findings)


def folder_of(client, run_id):
    return Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://"))


def dead_process():
    """Identity of a process that is no more."""
    code = "from ser.core.process import identity; print(identity())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout


def running(client, run_id, owner):
    client.set_tag(run_id, PROCESS, owner)
    client.update_run(run_id, status="RUNNING")


def test_process_is_known_by_more_than_its_number(monkeypatch):
    mine = process.identity()
    host, place, number, start = mine.rsplit("/", 3)
    machine, boot, _ = place.split(".")
    outside = f"{machine}.{boot}.{process._NO_CONTAINER}"
    monkeypatch.setattr(process, "_place", lambda: outside)

    def alive(host=host, place=outside, number=number, start=start):
        return process.is_alive("/".join((host, place, number, start)))

    assert alive()
    assert alive(start=f"{start}1") is False
    assert alive(number="999999999") is False
    assert alive(host="another-host") is None
    # Started again since; in another container, or another machine of this name; of an older ser.
    assert alive(place=outside.replace(boot, "before")) is False
    assert alive(place=outside.replace(process._NO_CONTAINER, "4026532177")) is None
    assert alive(place=f"{machine}.before.4026532177") is None
    assert alive(place=outside.replace(machine, "another")) is None
    assert alive(place="630bfa44-b156-46aa-b79d-2707d0bf28e5") is None
    older = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert alive(place=older)
    assert not process.is_alive(dead_process().strip())


def test_process_is_known_by_its_start_where_there_is_no_proc(monkeypatch, tmp_path):
    """As on macOS and Windows, whose own starts psutil counts from 1970."""
    monkeypatch.setattr(process, "_PROC", tmp_path / "none")
    monkeypatch.setattr("psutil.LINUX", False)
    mine = process.identity()
    assert process.is_alive(mine)
    host, place, number, start = mine.rsplit("/", 3)
    assert abs(int(start) / 100 - psutil.Process().create_time()) < 0.1
    assert process.is_alive("/".join((host, place, number, "SatJan10000001970"))) is False
    assert process.is_alive("/".join((host, place, "999999999", start))) is False


def test_hidden_process_is_not_taken_for_dead(monkeypatch):
    """Where /proc hides what is another user's, or is another container's."""
    mine = process.identity()
    monkeypatch.setattr(process, "_start", lambda number: None)
    assert process.is_alive(mine) is None


def test_mark_names_the_maker_and_nothing_else_is_ours():
    assert process.maker_of(f"{process.mark()}x8") == process.identity()
    assert process.maker_of(f".ravdess.zip.{process.mark()}x8.part") == process.identity()
    for name in (".thesis.pdf.part", "ser-run-1-x", "ser,notes", "user,a,b,c,d,x", "ser,a,b,c,"):
        assert process.maker_of(name) is None


def test_doctor_closes_the_run_of_a_dead_process_and_no_other(uri, client, empty_run):
    dead, alive, far, old = (empty_run(name) for name in ("dead", "alive", "far", "old"))
    running(client, dead, dead_process().strip())
    running(client, alive, process.identity())
    running(client, far, "another-host/a.b.1/1/1")
    client.delete_tag(old, PROCESS)
    client.update_run(old, status="RUNNING")
    looked = said(examine_log(uri, close=False))
    assert "its process ended without a word" in looked
    assert client.get_run(dead).info.status == "RUNNING"
    found = said(examine_log(uri))
    assert f"closed run {dead[:8]} (dead)" in found
    assert "on host another-host" in found and f"--close {far}" in found
    assert "in another container or by another program" in found
    status = {i: client.get_run(i).info.status for i in (dead, alive, far, old)}
    assert status == {dead: "FAILED", alive: "RUNNING", far: "RUNNING", old: "RUNNING"}
    assert next(close_runs(uri, [far])).text.endswith("it is marked FAILED")
    with pytest.raises(SerError, match="is not RUNNING, but FAILED"):
        next(close_runs(uri, [far]))
    with pytest.raises(SerError, match="There is no run nope"):
        next(close_runs(uri, ["nope"]))


def test_doctor_finds_what_a_finished_run_lacks(uri, client, empty_run):
    names = ("whole", "cut", "gone", "changed", "bare", "none")
    whole, cut, gone, changed, bare, none = map(empty_run, names)
    assert not [f for f in examine_log(uri) if f.advice]
    (folder_of(client, cut) / "page.txt").write_text("a pa")
    (folder_of(client, gone) / "page.txt").unlink()
    (folder_of(client, changed) / "page.txt").write_bytes(bytes(6))
    (folder_of(client, bare) / MANIFEST).write_text("{")
    (folder_of(client, none) / MANIFEST).unlink()
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("DELETE FROM latest_metrics WHERE run_uuid = ?", (gone,))
    found = said(f for f in examine_log(uri) if f.advice)
    lacks = "is FINISHED but not whole:"
    assert f"run {cut[:8]} (cut) {lacks} page.txt has 4 bytes instead of 6" in found
    assert f"(gone) {lacks} page.txt is missing, metric test_uar is missing" in found
    assert f"(changed) {lacks} page.txt has changed" in found
    assert f"(bare) {lacks} {MANIFEST} is damaged" in found
    assert f"(none) {lacks} {MANIFEST} cannot be read (No such file or directory)" in found
    assert whole[:8] not in found
    fast = said(f for f in examine_log(uri, fast=True) if f.advice)
    assert "(cut)" in fast and "(changed)" not in fast


def test_doctor_compares_what_an_older_ser_listed(uri, client, empty_run):
    run = empty_run()
    older = {"files": {"page.txt": 6}, "metrics": ["test_uar"], "model": None}
    (folder_of(client, run) / MANIFEST).write_text(json.dumps(older))
    assert not [f for f in examine_log(uri) if f.advice]
    (folder_of(client, run) / "page.txt").write_text("a")
    assert "page.txt has 1 bytes instead of 6" in said(examine_log(uri))


def test_doctor_finds_artifacts_that_are_gone(uri, client, empty_run):
    empty_run()
    shutil.rmtree(folder_of(client, empty_run()).parents[1])
    found = said(examine_log(uri))
    assert "the files of experiment 'x' are not at" in found


def test_prune_removes_deleted_runs_once_told(
    uri, client, empty_run, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(system, "leftovers", lambda folders: iter(()))
    kept, deleted = empty_run("kept"), empty_run("deleted")
    client.delete_run(deleted)
    stray = folder_of(client, kept).parents[1] / ("0" * 32) / "artifacts"
    stray.mkdir(parents=True)
    removed = folder_of(client, deleted)
    store = tmp_path / "store.sqlite"
    with pytest.raises(SerError, match="Nothing was removed: say --yes"):
        doctor.prune_log(uri, store)
    listed = capsys.readouterr().out
    assert str(removed.parent) in listed and str(stray.parent) not in listed
    assert "1 deleted runs" in listed
    assert removed.is_dir()
    doctor.prune_log(uri, store, confirm=False)
    assert not removed.parent.exists() and stray.is_dir()
    assert folder_of(client, kept).is_dir()
    with pytest.raises(mlflow.MlflowException):
        client.get_run(deleted)
    capsys.readouterr()
    doctor.prune_log(uri, store)
    assert "There is nothing to remove." in capsys.readouterr().out


@pytest.mark.slow
def test_prune_keeps_a_registered_model_of_a_deleted_run(
    uri, client, run_here, demo_root, tmp_path
):
    from ser.tracking.registry import register

    runs = [
        run_here(
            f"data.root={demo_root}", "data=demo", "data.speakers=4", "model=dummy", f"seed={s}"
        )
        for s in (1, 2)
    ]
    register(runs[0].run_id, "voices", uri=uri)
    for run in runs:
        client.delete_run(run.run_id)
    found = prune.prunable(uri)
    assert (len(found.runs), len(found.models)) == (2, 1)
    prune.remove(uri, found)
    version = client.get_model_version_by_alias("voices", "champion")
    model = client.get_logged_model(version.source.removeprefix("models:/"))
    assert (Path(model.artifact_location.removeprefix("file://")) / "MLmodel").is_file()
    assert not [f for f in examine_log(uri) if f.advice]


def test_doctor_looks_into_the_store(tmp_path, write_tone):
    store = tmp_path / "features.sqlite"
    assert "is not there yet" in said(check_store(store))
    extract([write_tone()], NotebookFeatures(), store=store, n_jobs=1, progress=False)
    halves = WaveformFeatures(seconds=0.2)  # an odd number of float16
    extract([write_tone()], halves, store=store, n_jobs=1, progress=False)
    assert "2 vectors of 2 feature sets" in said(check_store(store))
    assert "damaged" not in said(check_store(store))
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE vectors SET vector = zeroblob(18)")
    torn = "1 of 1 vectors of ser.features.notebook.NotebookFeatures are damaged"
    assert torn in said(check_store(store))
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("PRAGMA user_version = 99")
    assert "made by a newer ser" in said(check_store(store))
    store.write_bytes(b"not a database" * 1000)
    assert "is no feature store of ser's" in said(check_store(store))


def test_doctor_finds_packages_and_disks(tmp_path, monkeypatch):
    (fine,) = system.versions()
    assert "mlflow" in fine.text and not fine.advice
    monkeypatch.setattr(system, "requires", lambda name: ["numpy>=99", "nowhere-to-be-found"])
    text = said(system.versions())
    assert "numpy>=99 is needed" in text and "nowhere-to-be-found is not installed" in text
    (disk,) = system.disks([tmp_path, tmp_path / "not" / "yet"])
    assert "GB free" in disk.text
    monkeypatch.setattr(system, "LEAST_FREE", 2**60)
    (disk,) = system.disks([tmp_path])
    assert "--prune" in disk.advice


def test_leftovers_are_marked_and_of_the_dead_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(system.tempfile, "gettempdir", lambda: str(tmp_path))
    dead = f"ser,{dead_process().strip().replace('/', ',')},x"
    elsewhere = dead.replace(process.host_of(process.identity()), "another-host", 1)
    alive = f"{process.mark()}x"
    (tmp_path / "corpus").mkdir()
    for folder in (dead, elsewhere, alive, "ser-run-999999999-abc"):
        (tmp_path / folder).mkdir()
    names = (f".a.{dead}.part", f".a.{alive}.part", f".a.{elsewhere}.part", ".thesis.pdf.part")
    for place in (tmp_path, tmp_path / "corpus"):
        for name in (*names, "c.zip.part"):
            (place / name).touch()
            os.utime(place / name, (0, 0))
    (tmp_path / f"{dead}-link").symlink_to(tmp_path / "corpus")
    ours = {tmp_path / dead, tmp_path / names[0], tmp_path / "corpus" / names[0]}
    assert set(system.leftovers([tmp_path])) == ours


@pytest.mark.slow
def test_doctor_from_the_command_line(run_cli, empty_run, tmp_path, client, ser_environment):
    ser_environment["TMPDIR"] = str(tmp_path)  # where no other process has left anything
    empty_run()
    done = run_cli("ser.doctor", "--store", str(tmp_path / "none.sqlite"))
    assert "All is well." in done.stdout
    shutil.rmtree(folder_of(client, empty_run()))
    done = run_cli("ser.doctor", "--store", str(tmp_path / "none.sqlite"), check=False)
    assert done.returncode == 1
    assert "1 to be done, marked '!'." in done.stdout


def test_manifest_lists_what_the_run_meant_to_have(uri, client, empty_run):
    folder = folder_of(client, empty_run())
    manifest = json.loads((folder / MANIFEST).read_text())
    page = {"bytes": 6, "sha256": hashlib.sha256(b"a page").hexdigest()}
    assert manifest["files"] == {"page.txt": page}
    assert (manifest["metrics"], manifest["model"]) == ({"test_uar": 0.5}, None)


def test_run_whose_file_vanishes_before_it_is_sent_is_not_finished(uri, client):
    """As where the system cleans the temporary folder while a run takes days."""
    with (
        pytest.raises(SerError, match=r"page\.txt of run .* vanished from .*Set TMPDIR"),
        start_run(uri=uri, experiment="x", name="long", tags={}, description="") as run,
    ):
        run.text("a page", "page.txt")
        (run.folder / "page.txt").unlink()
    assert client.get_run(run.id).info.status == "FAILED"
