"""What was logged and changed since is not used; what is not ser's is not written over."""

import math
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from ser.core.errors import SerError
from ser.core.locks import locked
from ser.core.output_folder import SWEEP, OutputFolderCallback
from ser.doctor.log import examine_log
from ser.doctor.prune import prunable
from ser.doctor.store import check_store
from ser.explore.folder import fill, make_folder
from ser.models.predictions import Prediction
from ser.predict import parse, predict
from ser.report.html import check_free, render, write_page
from ser.tracking.manifest import MANIFEST, differing_metrics
from ser.tracking.queries import find_run
from ser.tracking.run import start_run

PREDICTIONS = "tables/predictions.csv"


@pytest.fixture
def uri(client, tmp_path):
    return f"sqlite:///{tmp_path}/mlruns/mlflow.db"


def said(findings):
    return "\n".join(f"{finding.text} ! {finding.advice}" for finding in findings)


@pytest.fixture
def logged(uri, client):
    """A finished run with a table, a metric and a model's folder; and where its files lie."""
    with start_run(uri=uri, experiment="x", name="run", tags={}, description="") as run:
        run.metrics({"test_uar": 0.5, "nan": math.nan, "inf": -math.inf})
        run.steps("epoch_loss", [3.0, 1.0, 2.0])
        run.table(pd.DataFrame({"part": ["test"], "true": ["sad"]}), "predictions")
    run = find_run(uri, "latest")
    return run, Path(client.get_run(run.id).info.artifact_uri.removeprefix("file://"))


@pytest.mark.parametrize("kind", ["another value", "cut", "no manifest", "damaged manifest"])
def test_changed_predictions_are_not_used(kind, logged, tmp_path):
    run, folder = logged
    assert len(run.test_predictions()) == 1
    run.download(tmp_path / "all")
    file = folder / PREDICTIONS
    if kind == "no manifest":
        (folder / MANIFEST).unlink()
    elif kind == "damaged manifest":
        (folder / MANIFEST).write_text("{")
    else:
        file.write_bytes(file.read_bytes().replace(b"sad", b"mad" if kind != "cut" else b""))
    what = "manifest.json, which" if "manifest" in kind else PREDICTIONS
    for read in (run.test_predictions, lambda: run.download(tmp_path / "again")):
        with pytest.raises(SerError, match=rf"{run.id} .*not as it was logged: {what}.*Restore"):
            read()


def test_run_of_an_older_ser_has_no_manifest_and_is_read(logged, client):
    run, folder = logged
    (folder / MANIFEST).unlink()
    client.delete_tag(run.id, "process")
    assert len(run.test_predictions()) == 1


def test_number_changed_in_the_log_is_found(logged, uri, tmp_path):
    run, _ = logged
    assert not [finding for finding in examine_log(uri) if finding.advice]
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE latest_metrics SET value = 0.99 WHERE key = 'test_uar'")
    assert "metric test_uar is 0.99 instead of 0.5" in said(examine_log(uri))
    with pytest.raises(SerError, match=r"metric test_uar is 0\.99 instead of 0\.5"):
        find_run(uri, run.id).download(tmp_path / "all")


def test_metrics_are_the_same_as_mlflow_keeps_them():
    known = {"nan": math.nan, "most": math.inf, "least": -math.inf, "old": None, "one": 1.0}
    kept = {"nan": math.nan, "most": 1.797e308, "least": -1.797e308, "old": 3.0, "one": 1.0}
    assert differing_metrics(known, kept) == []
    assert len(differing_metrics(known, dict.fromkeys(known, 2.0))) == 4


def test_locked_log_is_said_to_be_locked(uri, tmp_path, monkeypatch):
    file = Path(uri.removeprefix("sqlite:///"))
    monkeypatch.setattr("sqlite3.connect", _impatient(sqlite3.connect))
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        found = said(examine_log(uri))
        assert f"{file} is locked: " in found
        assert "(if so, let it end). ! then run this again" in found
        assert "damaged" not in found and "restore" not in found
        with pytest.raises(SerError, match=r"cannot be used now: .* Run this again") as refused:
            prunable(uri)
        assert "damaged" not in str(refused.value)


def _impatient(connect):
    return lambda *args, **options: connect(*args, **{"timeout": 0, **options})


def test_locked_store_is_said_to_be_locked(tmp_path, write_tone, monkeypatch):
    from ser.features.notebook import NotebookFeatures
    from ser.features.store import extract

    store = tmp_path / "store.sqlite"
    extract([str(write_tone())], NotebookFeatures(), store=store, n_jobs=1)
    monkeypatch.setattr("sqlite3.connect", _impatient(sqlite3.connect))
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        found = said(check_store(store))
        assert "then run this again" in found and "damaged" not in found


THEIRS = (
    b"Made by ser.",
    b"<!doctype html><p>Made by ser.</p>",
    b'<meta name="generator" content="ser">',
    b"",
)


@pytest.mark.parametrize("content", THEIRS)
def test_page_of_others_is_not_written_over(content, tmp_path):
    page = tmp_path / "notes.html"
    page.write_bytes(content)
    for write in (check_free, lambda file: write_page(file, "new", "")):
        with pytest.raises(SerError, match="no page of ser's"):
            write(page)
    assert page.read_bytes() == content and list(tmp_path.iterdir()) == [page]


def test_page_of_ours_is_written_over_and_links_are_not_followed(tmp_path):
    page, theirs, link = tmp_path / "page.html", tmp_path / "theirs", tmp_path / "link.html"
    html = render("clip.html", name="a", sound="", cut="", facts=[], pictures=[])
    for _ in range(2):
        write_page(page, html, "")
    link.symlink_to(theirs)
    with pytest.raises(SerError, match="no page of ser's"):
        write_page(link, html, "")
    assert not theirs.exists()


def test_picture_of_others_is_not_drawn_over(tmp_path, monkeypatch):
    def windows_of(recordings, **options):
        for recording in recordings:
            yield [Prediction(recording.name, start=0, end=1, proba=np.array([0.25, 0.75]))]

    trained = SimpleNamespace(needs_speakers=False, predict=windows_of, sr=None)
    model = SimpleNamespace(emotions=("happy", "sad"), digest="1", trained=trained, origin=None)
    monkeypatch.setattr("ser.predict.chosen_model", lambda arguments: model)
    words = parse(["x.wav", "--window", "1", "--output", "json", "--pictures", str(tmp_path)])
    for _ in range(2):  # one of ours is drawn again
        assert predict(words) == 0
    picture = tmp_path / "x-emotions.png"
    drawn = picture.read_bytes()
    for theirs in (b"my own", drawn.replace(b"Software\0ser", b"Software\0Gim"), b""):
        picture.write_bytes(theirs)
        with pytest.raises(SerError, match=r"x-emotions\.png is there and is no picture of ser's"):
            predict(words)
        assert picture.read_bytes() == theirs and list(tmp_path.iterdir()) == [picture]


def test_exploration_writes_over_its_own_files_alone(tmp_path):
    out, source, mine = tmp_path / "out", tmp_path / "run", tmp_path / "mine.txt"
    (source / "tables").mkdir(parents=True)
    (source / "tables" / "map.csv").write_text("a map")
    (source / "page.html").write_text("a page")
    mine.write_text("my notes")
    make_folder(out)
    fill(out, source)
    (source / "page.html").unlink()  # another question, another set of files
    (out / ".DS_Store").write_text("the desktop's")
    make_folder(out)
    fill(out, source)
    make_folder(out)
    place = out / "tables" / "map.csv"
    for damage in (lambda: place.symlink_to(mine), lambda: place.write_text("my map")):
        place.unlink()
        damage()
        with pytest.raises(SerError, match=r"map\.csv is there and is not as ser.explore"):
            make_folder(out)
    place.unlink()
    place.symlink_to(mine)
    fill(out, source)  # as if the link had come meanwhile
    assert mine.read_text() == "my notes" and place.read_text() == "a map"
    (out / "tables" / "notes.csv").write_text("mine")
    with pytest.raises(SerError, match=r"notes\.csv is there"):
        make_folder(out)


def test_holder_of_a_lock_is_written_through_no_link(tmp_path):
    precious, holder = tmp_path / "precious", tmp_path / ".a.lock.holder"
    for content in ("process 1 is my thesis", "", None):
        if content is not None:
            precious.write_text(content)
        holder.symlink_to(precious)
        with locked(tmp_path / "a.lock", "a"):
            pass
        assert precious.read_text() == content if content is not None else not precious.exists()
        assert holder.is_symlink()
        holder.unlink()
        precious.unlink(missing_ok=True)
    holder.write_text("process 1 on a (b)")  # of one that was killed
    with locked(tmp_path / "a.lock", "a"):
        assert f"process {os.getpid()} " in holder.read_text()
    assert not holder.exists()


def _hydra(run, sweep):
    target = "ser.core.output_folder.OutputFolderCallback"
    return {
        "run": {"dir": str(run)},
        "sweep": {"dir": str(sweep)},
        "runtime": {"output_dir": str(run)},
        "output_subdir": None,
        "overrides": {"task": []},
        "job": {"override_dirname": ""},
        "callbacks": {"folder": {"_target_": target}},
    }


def test_files_of_other_programs_in_hydras_folders_stay(tmp_path):
    config = OmegaConf.create({"token": "secret", "hydra": _hydra(tmp_path / "run", tmp_path)})
    callback, sweep = OutputFolderCallback(), tmp_path / SWEEP
    sweep.write_text("password: mine")
    callback.on_job_start(config)
    callback.on_job_start(config)  # again into the same folder: the files are ours
    assert sweep.read_text() == "password: mine"
    with pytest.raises(SystemExit, match=r"multirun\.yaml is there and is not ser's.*sweep\.dir"):
        callback.on_multirun_start(config)
    OmegaConf.save(config, sweep)  # as Hydra does
    callback.on_multirun_start(config)
    callback.on_job_start(config)
    assert "secret" not in sweep.read_text()
    for name in ("hydra.yaml", "config.yaml"):
        theirs = tmp_path / "run" / ".hydra" / name
        (tmp_path / "run" / ".hydra" / "hydra.yaml").unlink()
        theirs.write_text("hydra: {callbacks: {a: {_target_: theirs}}}")
        with pytest.raises(SystemExit, match=rf"{name} is there and is not ser's"):
            callback.on_job_start(config)
        assert "theirs" in theirs.read_text()
