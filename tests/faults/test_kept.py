"""What is kept is checked, and only what is ser's is touched. Of the default suite too."""

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import astuple, dataclass
from itertools import combinations
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from mlflow import MlflowClient, MlflowException
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import make_pipeline

from ser import doctor
from ser.core import process
from ser.core.checksum import checksum as sum_of
from ser.core.errors import SerError
from ser.data.facts import RecordingFacts
from ser.data.recordings import Recording
from ser.doctor import system
from ser.doctor.log import examine_log
from ser.doctor.prune import prunable, remove
from ser.doctor.store import check_store
from ser.features import store_file
from ser.features.prosody import ProsodyFeatures
from ser.features.store import extract
from ser.features.store_file import open_store
from ser.features.store_layout import APPLICATION_ID, checksum, has_mark
from ser.models.predictions import Layout
from ser.models.trained import (
    FEATURES_FILE,
    PIPELINE_FILE,
    TRAINING_FILE,
    TrainedModel,
    load_model,
    save_model,
)
from ser.predict.journal import Journal, identity
from ser.predict.output import opened
from ser.tracking.client import connect
from ser.tracking.run import PROCESS, start_run
from ser.tune.journal import open_journal
from ser.tune.storage import open_study


@dataclass(frozen=True)
class FourNumbers:
    """Of a clip's samples: cheap, and another for every clip."""

    version: ClassVar[int] = 1
    min_samples: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("mean", "deviation", "least", "most")

    def __call__(self, y, sr):
        return np.array([y.mean(), y.std(), y.min(), y.max()], dtype=np.float32)


@pytest.fixture
def clips(write_tone):
    return [write_tone(f"{f}.wav", frequency=f, seconds=0.05) for f in range(100, 112)]


def read(paths, store):
    return extract(paths, FourNumbers(), store=store, n_jobs=1, progress=False)


@pytest.fixture
def whole(clips, tmp_path):
    """A store that has the clips, as one file, and what it holds."""
    store = tmp_path / "whole.sqlite"
    return store, read(clips, store)


def change(store, statement, *values):
    with closing(sqlite3.connect(store)) as connection, connection:
        assert connection.execute(statement, values).rowcount


N_FLIPS = int(os.environ.get("SER_FAULTS_FLIPS", "60"))
ONE = "WHERE content = 3"
NAN = np.full(4, np.nan, "<f4").tobytes()
DAMAGE = {
    "a bit": (f"UPDATE vectors SET vector = CAST(x'00' || substr(vector, 2) AS BLOB) {ONE}",),
    "cut to one number": (f"UPDATE vectors SET vector = substr(vector, 1, 4) {ONE}",),
    "longer": (f"UPDATE vectors SET vector = CAST(vector || x'00000000' AS BLOB) {ONE}",),
    "NaN": (f"UPDATE vectors SET vector = ? {ONE}", NAN),
    "text": (f"UPDATE vectors SET vector = 'abcdefghijklmnop' {ONE}",),
    "another clip's": (
        f"UPDATE vectors SET (vector, crc) = (SELECT vector, crc FROM vectors LIMIT 1) {ONE}",
    ),
    "no checksum": (f"UPDATE vectors SET crc = NULL {ONE}",),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_vector_is_extracted_again_and_said(damage, clips, whole, caplog):
    store, before = whole
    change(store, *DAMAGE[damage])
    assert "1 of 12 vectors" in "".join(finding.text for finding in check_store(store))
    after = read(clips, store)
    assert after.n_extracted == 1
    assert "1 vectors in the feature store" in caplog.text and "extracted again" in caplog.text
    np.testing.assert_array_equal(after.X, before.X)
    assert read(clips, store).n_extracted == 0
    assert not [finding for finding in check_store(store) if finding.advice]


def test_damaged_vector_of_a_file_that_is_not_known_is_extracted_again(clips, whole, monkeypatch):
    store, before = whole
    monkeypatch.setattr(store_file, "TICK", 10**18)  # as if each file had just been written
    change(store, "DELETE FROM files")
    change(store, *DAMAGE["a bit"])
    after = read(clips, store)
    assert after.n_extracted == 1
    np.testing.assert_array_equal(after.X, before.X)


def test_stored_nan_with_its_checksum_is_no_vector(clips, whole):
    store, before = whole
    with closing(sqlite3.connect(store)) as connection:
        (digest, settings) = connection.execute(
            "SELECT lower(hex(digest)), settings FROM contents, extractors WHERE contents.id = 3"
        ).fetchone()
    crc = checksum(NAN, digest, checksum(settings.encode(), ""))
    change(store, f"UPDATE vectors SET vector = ?, crc = ? {ONE}", NAN, crc)
    np.testing.assert_array_equal(read(clips, store).X, before.X)


def test_file_that_is_said_to_hold_another_content_is_read_again(clips, whole):
    store, before = whole
    change(store, "UPDATE files SET content = 1 WHERE content = 2")
    after = read(clips, store)
    np.testing.assert_array_equal(after.X, before.X)
    np.testing.assert_array_equal(after.content, before.content)


def test_damaged_facts_are_measured_again(clips, whole):
    store, before = whole
    change(store, "UPDATE facts SET facts = replace(facts, '16000', '26000') WHERE content = 2")
    change(store, "UPDATE facts SET crc = NULL WHERE content = 5")
    after = read(clips, store)
    assert after.recordings.equals(before.recordings)
    assert tuple(after.recordings.iloc[1]) != astuple(RecordingFacts())


def test_no_flipped_bit_of_the_store_changes_a_number(clips, whole, tmp_path, caplog):
    """Anywhere in the file: the same matrix, or one sentence."""
    store, before = whole
    data, chance = store.read_bytes(), random.Random(19)
    used = [place for place, byte in enumerate(data) if byte]
    ends = {"same": 0, "again": 0, "refused": 0}
    for place in chance.sample(used, N_FLIPS):
        flipped = bytearray(data)
        flipped[place] ^= 1 << chance.randrange(8)
        store = tmp_path / "flipped.sqlite"
        store.write_bytes(flipped)
        list(check_store(store))
        try:
            after = read(clips, store)
            np.testing.assert_array_equal(after.X, before.X)
            np.testing.assert_array_equal(after.content, before.content)
            assert after.recordings.equals(before.recordings)
            ends["again" if after.n_extracted else "same"] += 1
        except SerError as error:
            assert "flipped.sqlite" in str(error)
            ends["refused"] += 1
        for file in tmp_path.glob("flipped.sqlite*"):
            file.unlink()
    assert all(ends.values()), ends


def older(store, layout):
    """The store as an older ser left it."""
    with closing(sqlite3.connect(store)) as connection, connection:
        names = ", ".join(RecordingFacts.__dataclass_fields__)
        known = connection.execute("SELECT content, facts FROM facts").fetchall()
        connection.execute("DROP TABLE facts")
        connection.execute("ALTER TABLE vectors DROP COLUMN crc")
        connection.execute("UPDATE files SET stamp = substr(stamp, 1, length(stamp) - 9)")
        if layout == 3:
            connection.execute(f"CREATE TABLE facts (content INTEGER PRIMARY KEY, {names})")
            rows = [(content, *np.array(json.loads(facts), object)) for content, facts in known]
            connection.executemany(f"INSERT INTO facts VALUES ({', '.join('?' * 9)})", rows)
        connection.execute("PRAGMA application_id = 0")
        connection.execute(f"PRAGMA user_version = {layout}")


@pytest.mark.parametrize("layout", [2, 3])
def test_older_store_is_brought_up_once_and_checked_from_then_on(layout, clips, whole):
    store, before = whole
    older(store, layout)
    change(store, f"UPDATE vectors SET vector = 'torn' {ONE}")  # before it had a checksum
    assert "an older ser's" in "".join(finding.text for finding in check_store(store))
    after = read(clips, store)
    assert after.n_extracted == 1
    np.testing.assert_array_equal(after.X, before.X)
    assert after.recordings.equals(before.recordings)
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
    change(store, *DAMAGE["a bit"])
    assert read(clips, store).n_extracted == 1
    assert read(clips, store).n_extracted == 0


def tables(*names, mark=0, version=0):
    def make(file):
        with closing(sqlite3.connect(file)) as connection, connection:
            for name in names:
                connection.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, name TEXT)")
                connection.execute(f"INSERT INTO {name} (name) VALUES ('dear')")
            connection.execute(f"PRAGMA application_id = {mark}")
            connection.execute(f"PRAGMA user_version = {version}")

    return make


NOT_OURS = {
    "tables of our names": tables("files", "vectors", "contents", "extractors"),
    "and of our layout's number": tables("files", "vectors", "contents", "extractors", version=3),
    "other tables": tables("runs", "experiments"),
    "another program's mark": tables(mark=42),
    "a text": lambda file: file.write_text("Dear diary, " * 100),
}


@pytest.mark.parametrize("what", NOT_OURS)
def test_file_that_is_not_ours_is_refused_and_left_as_it_is(what, clips, tmp_path):
    file = tmp_path / "theirs.db"
    NOT_OURS[what](file)
    before = file.read_bytes()
    with pytest.raises(SerError, match=r"theirs\.db is no feature store of ser's") as refused:
        read(clips, file)
    assert not any(word in str(refused.value).lower() for word in ("delete", "remove", "rm "))
    (found,) = check_store(file)
    assert found.advice and "rm " not in found.advice
    assert file.read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("theirs.db-")]


def at_work(statements, folder):
    """A database with a writer at work, or killed: what it has not brought in lies beside it."""
    with closing(sqlite3.connect(folder / "made", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
        for file in folder.glob("made*"):
            (folder / file.name.replace("made", "theirs.db")).write_bytes(file.read_bytes())
    for file in folder.glob("made*"):
        file.unlink()


IN_WAL = ("PRAGMA journal_mode = WAL",)
OF_A_LOG = ("CREATE TABLE experiments (name)", "INSERT INTO experiments VALUES ('dear')")
HOT = ("PRAGMA cache_size = 1", "CREATE TABLE dear (a)", "BEGIN")
HOT += ("INSERT INTO dear SELECT randomblob(5000) FROM (VALUES (1), (2), (3), (4), (5))",)
AT_WORK = {
    "WAL": (*IN_WAL, "CREATE TABLE dear (a)"),
    "WAL, brought in": (*IN_WAL, "CREATE TABLE dear (a)", "PRAGMA wal_checkpoint"),
    "WAL, half": (*IN_WAL, "CREATE TABLE dear (a)", "PRAGMA wal_checkpoint", OF_A_LOG[0]),
    "WAL, closed": (*IN_WAL, *OF_A_LOG, "PRAGMA wal_checkpoint(TRUNCATE)"),
    "WAL, marked": (*IN_WAL, "PRAGMA application_id = 42"),
    "a journal": HOT,
    "a journal of the first page": ("PRAGMA journal_mode = PERSIST", *HOT, OF_A_LOG[0]),
}


@pytest.mark.parametrize("what", AT_WORK)
def test_database_of_others_is_not_changed_by_a_look(what, tmp_path):
    """Nor are the files beside it."""
    at_work(AT_WORK[what], tmp_path)
    file = tmp_path / "theirs.db"
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(SerError, match=r"theirs\.db is no feature store of ser's"):
        read([], file)
    assert [finding for finding in check_store(file) if finding.advice]
    uri = f"sqlite:///{file}"
    assert "no log of MLflow's" in "".join(found.text for found in examine_log(uri, close=False))
    for use in (connect, prunable):
        with pytest.raises(SerError, match="no log of MLflow's"):
            use(uri)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_store_whose_first_page_is_not_written_yet_is_ours(clips, tmp_path):
    """As a kill leaves it: all of it lies beside it."""
    with open_store(tmp_path / "made"):
        for file in tmp_path.glob("made*"):
            (tmp_path / file.name.replace("made", "ours")).write_bytes(file.read_bytes())
    assert not has_mark(tmp_path / "ours")
    (found,) = check_store(tmp_path / "ours")
    assert found.text.startswith("0 vectors of 0 feature sets")
    assert read(clips, tmp_path / "ours").n_extracted == len(clips)


@pytest.mark.parametrize("damage", ["cut", "zeros"])
def test_damaged_store_is_one_sentence(damage, clips, tmp_path):
    store = tmp_path / "store.sqlite"
    read(clips, store)
    data = store.read_bytes()
    if damage == "cut":
        store.write_bytes(data[:4096])
    else:
        store.write_bytes(data[:4096] + bytes(len(data) - 4096))
    with pytest.raises(SerError, match=r"store\.sqlite.*extracted again: move it away"):
        read(clips, store)
    (found,) = [finding for finding in check_store(store) if finding.advice]
    assert "extracted again" in found.advice
    assert not found.text.endswith("in database main")


def test_store_that_is_deleted_while_it_is_used_is_said_to_be(clips, tmp_path):
    store = tmp_path / "made"
    with open_store(store) as connection:
        read(clips, store)
        store.unlink()
        other = f"from ser.features.store_file import *\nwith open_store({str(store)!r}): pass"
        said = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True).stderr
        assert "was deleted while a command used it: end that command" in said
        assert connection.execute("SELECT count(*) FROM vectors").fetchone() == (len(clips),)


def test_store_whose_disk_fails_is_not_called_damaged(clips, tmp_path, monkeypatch):
    """SQLite says 'disk I/O error' where its shared memory does not fit on the disk."""
    from ser.features import store_file

    def full(*arguments):
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR | (19 << 8)  # _SHMSIZE
        raise error

    monkeypatch.setattr(store_file, "lay_out", full)
    with pytest.raises(SerError, match="What it holds is kept"):
        read(clips, tmp_path / "store.sqlite")


@pytest.fixture
def uri(client, tmp_path):
    return f"sqlite:///{tmp_path}/mlruns/mlflow.db"


@pytest.fixture
def deleted(client, uri):
    """A run that was deleted, and the folder of its files."""
    with start_run(uri=uri, experiment="x", name="run", tags={}, description="") as run:
        run.text("a page", "page.txt")
    client.delete_run(run.id)
    return run.id, Path(uri.removeprefix("sqlite:///")).parent / "artifacts" / "x" / run.id


def point_elsewhere(uri, run_id, place):
    change(
        uri.removeprefix("sqlite:///"),
        "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?",
        place.as_uri(),
        run_id,
    )


def test_prune_takes_only_what_lies_where_the_log_put_it(uri, deleted, tmp_path):
    run_id, folder = deleted
    assert (prunable(uri).runs, prunable(uri).folders) == ((run_id,), (folder,))
    thesis = tmp_path / "home" / "thesis"
    (thesis / "artifacts").mkdir(parents=True)
    for place in (thesis, thesis / "artifacts", thesis / run_id / "artifacts"):
        point_elsewhere(uri, run_id, place)
        found = prunable(uri)
        assert (found.runs, found.folders) == ((), ())
        assert f"deleted run {run_id} stays" in found.kept[0]


def test_prune_of_a_log_under_another_path_takes_the_files_beside_it(uri, deleted, tmp_path):
    """And no run's under way, nor those of the log that it is a copy of."""
    run_id, folder = deleted
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "mlruns", copy)
    found = prunable(f"sqlite:///{copy}/mlflow.db")
    assert (found.runs, found.folders) == (
        (run_id,),
        (copy / folder.relative_to(tmp_path / "mlruns"),),
    )
    change(copy / "mlflow.db", "UPDATE runs SET lifecycle_stage = 'active', status = 'RUNNING'")
    change(copy / "mlflow.db", "UPDATE runs SET start_time = ?", 1000 * time.time())
    change(copy / "mlflow.db", "DELETE FROM tags WHERE key = ?", PROCESS)
    with pytest.raises(SerError, match=r"Nothing was removed: .* a run of it may be under way"):
        remove(f"sqlite:///{copy}/mlflow.db", found)
    assert folder.is_dir() and found.folders[0].is_dir()


def test_prune_follows_no_link_out_of_the_artifacts(uri, deleted, tmp_path):
    folder = deleted[1]
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    assert prunable(uri).folders == ()
    folder.unlink()
    (tmp_path / "moved").rename(folder)
    experiment = folder.parent
    experiment.rename(tmp_path / "experiment")
    experiment.symlink_to(tmp_path / "experiment")
    assert prunable(uri).folders == ()


def test_prune_stops_where_another_log_lies_there(uri, deleted, clips, client):
    """Its copy, before the run was deleted, still shows the run."""
    folder = deleted[1]
    log = Path(uri.removeprefix("sqlite:///"))
    read(clips, log.with_name("features.sqlite"))  # a store of ours is no log
    log.with_name("mlflow.db.abc.backup").write_bytes(log.read_bytes())  # ser's own
    assert prunable(uri).folders == (folder,)
    other = log.with_name("other.db")
    other.write_bytes(log.read_bytes())
    for name in (uri, f"sqlite:///{other}"):
        with pytest.raises(SerError, match=r"Nothing was removed: .* lies beside"):
            prunable(name)
    with pytest.raises(SerError, match="There is no log"):
        prunable(f"sqlite:///{log.with_name('none.db')}")
    assert not log.with_name("none.db").exists()


def test_doctor_makes_no_log_where_there_is_none(tmp_path):
    (found,) = examine_log(f"sqlite:///{tmp_path}/none.db")
    assert "is not there yet" in found.text
    assert not list(tmp_path.iterdir())


def test_doctor_looks_on_where_a_run_cannot_be_closed(uri, client, monkeypatch):
    """A disk that is full to its last byte."""
    for name in ("dead", "whole"):
        with start_run(uri=uri, experiment="x", name=name, tags={}, description="") as run:
            pass
        if name == "dead":
            client.set_tag(run.id, PROCESS, process.identity() + "1")
            client.update_run(run.id, status="RUNNING")

    def full(*arguments):
        raise MlflowException("(sqlite3.OperationalError) database or disk is full")

    monkeypatch.setattr(MlflowClient, "set_tag", full)
    said = "".join(finding.text + finding.advice for finding in examine_log(uri))
    assert "not closed: database or disk is full" in said and "free space" in said
    assert "1 finished runs looked at" in said


def test_doctor_without_a_temporary_folder_goes_on(tmp_path, monkeypatch):
    def none():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(system.tempfile, "gettempdir", none)
    assert list(system.leftovers([tmp_path])) == []


LOG_DAMAGE = {
    "cut": lambda data: data[: len(data) // 2],
    "its first page": lambda data: bytes(4096) + data[4096:],
    "zeros": lambda data: data[:8192] + bytes(len(data) - 8192),
    "not a database": lambda data: b"Dear diary, " * 1000,
    "empty pages": lambda data: data[:-20480] + bytes(20480),
}


@pytest.mark.parametrize("damage", LOG_DAMAGE)
def test_doctor_on_a_damaged_log_says_so_and_goes_on(damage, uri, deleted, tmp_path, capsys):
    log = Path(uri.removeprefix("sqlite:///"))
    log.write_bytes(LOG_DAMAGE[damage](log.read_bytes()))
    assert doctor.examine(uri, tmp_path / "none.sqlite") > 0
    said = capsys.readouterr().out
    assert f"{log} is damaged, or no database" in said
    assert "none.sqlite is not there yet" in said and "to be done" in said
    with pytest.raises(SerError):
        doctor.prune_log(uri, tmp_path / "none.sqlite", confirm=False)
    assert deleted[1].is_dir()


@pytest.fixture
def journal(tmp_path):
    """Of a study with three trials."""
    file = tmp_path / "studies.journal"
    with open_study(str(file), "mine", question={"metric": "uar"}) as (study, _):
        for C in (0.1, 1.5, 12.25):
            study.enqueue_trial({"C": C})
            trial = study.ask({"C": FloatDistribution(0.01, 100.0)})
            study.tell(trial, C / (1 + C))
    return file


def trials(file):
    with open_study(str(file), "mine", question={"metric": "uar"}) as (study, _):
        return [(trial.state, trial.params, trial.value) for trial in study.trials]


def test_no_flipped_bit_of_a_journal_changes_a_trial(journal):
    """Anywhere in the file: the same trials, or one sentence; and no line of another's is cut."""
    data, chance = journal.read_bytes(), random.Random(19)
    before = trials(journal)
    assert len(before) == 3
    refused = 0
    for place in chance.sample(range(len(data) - 1), N_FLIPS):
        flipped = bytearray(data)
        flipped[place] ^= 1 << chance.randrange(8)
        journal.write_bytes(flipped)
        try:
            assert trials(journal) == before
        except SerError as error:
            assert "studies.journal" in str(error) and "tuner.storage=" in str(error)
            assert journal.read_bytes() == flipped
            refused += 1
    assert refused > N_FLIPS / 2


def test_journal_goes_on_from_before_a_damaged_line(journal):
    lines = journal.read_bytes().splitlines(keepends=True)
    number = 1 + next(i for i, line in enumerate(lines) if b"12.25" in line)
    lines[number - 1] = lines[number - 1].replace(b"12.25", b"13.25")
    journal.write_bytes(b"".join(lines))
    with pytest.raises(SerError, match=rf"Line {number} .* head -n {number - 1} .* > NEW"):
        trials(journal)
    journal.write_bytes(b"".join(lines[: number - 1]))
    assert [value for *_, value in trials(journal)][:2] == [0.1 / 1.1, 1.5 / 2.5]


def test_a_line_of_a_journal_that_is_missing_or_elsewhere_is_noticed(journal):
    lines = journal.read_bytes().splitlines(keepends=True)
    without = [lines[:i] + lines[i + 1 :] for i in range(len(lines) - 1)]  # nobody misses the last
    for i, j in combinations(range(len(lines)), 2):
        swapped = lines.copy()
        swapped[i], swapped[j] = lines[j], lines[i]
        without.append(swapped)
    for others in [*without, lines + lines[-1:]]:
        journal.write_bytes(b"".join(others))
        with pytest.raises(SerError, match="is not the one that was written there"):
            open_journal(journal, journal.with_suffix(".lock"))
    journal.write_bytes(b"".join(lines[:-1]))
    assert [state for state, *_ in trials(journal)][:2] == [TrialState.COMPLETE] * 2


def test_journal_of_an_older_ser_is_read_and_goes_on(journal):
    before = trials(journal)
    old = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [line.pop("after") for line in old[:1]] == [0]
    for line in old[1:]:
        del line["after"]
    journal.write_text("".join(json.dumps(line) + "\n" for line in old[:1]))  # checksums differ
    with pytest.raises(SerError, match="Line 1 "):
        trials(journal)
    assert all(line.pop("crc") for line in old)
    journal.write_text("".join(json.dumps(line) + "\n" for line in old))
    assert trials(journal) == before
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == len(old) + 2  # this worker has signed in, after lines of the older
    journal.write_bytes(b"".join(lines[: len(old) - 1] + lines[len(old) :]))
    with pytest.raises(SerError, match=rf"Line {len(old)} "):
        trials(journal)
    journal.write_text("".join(json.dumps(line | {"op_code": 42}) + "\n" for line in old))
    with pytest.raises(SerError, match="cannot be replayed"):
        trials(journal)


def test_file_that_is_no_journal_is_left_as_it_is(tmp_path):
    thesis = tmp_path / "thesis.pdf"
    thesis.write_bytes(b"%PDF-1.7\nchapter one, without a newline at its end")
    before = thesis.read_bytes()
    with pytest.raises(SerError, match="is no journal of a study"):
        trials(thesis)
    assert thesis.read_bytes() == before and list(tmp_path.iterdir()) == [thesis]


@pytest.fixture
def model(tmp_path):
    """A saved model, and a file of it."""
    pipeline = make_pipeline(DummyClassifier()).fit([[0.0], [1.0]], ["calm", "sad"])
    folder = tmp_path / "model"
    save_model(TrainedModel(pipeline, ProsodyFeatures(threshold=0.35), False), folder)
    return folder


def test_damaged_features_json_is_one_sentence_and_never_other_features(model):
    file, chance = model / FEATURES_FILE, random.Random(19)
    data = file.read_bytes()
    before = load_model(model).feature_set
    damaged = [data[:n] for n in range(0, len(data) - 2, 20)]
    damaged += [data.replace(b"0.35", b"0.37"), b"null", b"[]", bytes(len(data))]
    for place in chance.sample(range(len(data)), N_FLIPS):
        flipped = bytearray(data)
        flipped[place] ^= 1 << chance.randrange(8)
        damaged.append(bytes(flipped))
    for content in damaged:
        file.write_bytes(content)
        try:
            assert load_model(model).feature_set == before
        except SerError as error:
            assert "\n" not in str(error)


def test_model_without_a_file_that_it_was_saved_with_is_refused(model):
    file = model / FEATURES_FILE
    record = json.loads(file.read_text())
    assert record["files"] == [PIPELINE_FILE, FEATURES_FILE]
    record["files"].append(TRAINING_FILE)
    record["crc"] = sum_of(record)
    file.write_text(json.dumps(record))
    with pytest.raises(SerError, match=r"has no training\.npz, with which the model was saved"):
        load_model(model)
    del record["files"], record["crc"]  # as an older ser
    file.write_text(json.dumps(record))
    assert load_model(model).training is None


def test_features_json_of_an_older_ser_is_read(model):
    file = model / FEATURES_FILE
    record = json.loads(file.read_text())
    del record["crc"]
    file.write_text(json.dumps(record))
    assert load_model(model).feature_set == ProsodyFeatures(threshold=0.35)


LAYOUT = Layout(("calm", "sad"), windows=False, speakers=False)


def rows(start, stop):
    return [
        dict.fromkeys(LAYOUT.columns) | {"clip": f"{n}.wav", "emotion": "sad", "p_sad": n / 100}
        for n in range(start, stop)
    ]


ASKED = {f"{n}.wav": str(n) for n in range(10)}


def journal_of(out, kind="json", *, asked=ASKED):
    return Journal(out, kind, LAYOUT, {"model": "m"}, asked)


@pytest.mark.parametrize("damage", ["a number", "a middle line", "bytes", "its end"])
def test_damaged_part_of_a_prediction_is_said_and_goes_on_from_before(damage, tmp_path, capsys):
    out, part = tmp_path / "all.json", tmp_path / "all.json.part"
    journal = journal_of(out)
    journal.write(rows(0, 8))
    journal.close()
    lines = part.read_bytes().splitlines(keepends=True)
    lines[5] = {
        "a number": lines[5].replace(b"0.04", b"0.94"),
        "a middle line": b"{}\n",
        "bytes": b"\xff" * 40 + b"\n",
        "its end": lines[5][:-1],
    }[damage]
    part.write_bytes(b"".join(lines))
    journal = journal_of(out)
    assert journal.done == {f"{n}.wav" for n in range(3)}  # the last that is whole is done again
    assert f"Line 6 of {part} is damaged" in capsys.readouterr().err
    journal.write(rows(3, 10))
    journal.finish()
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows(0, 10)


def test_part_of_an_older_ser_is_refused_as_it_names_no_files(tmp_path):
    part = tmp_path / "all.json.part"
    part.write_text("".join(f"{json.dumps(row)}\n" for row in rows(0, 3)))
    with pytest.raises(SerError, match=r"part is no journal of this ser.predict"):
        journal_of(tmp_path / "all.json")
    assert list(tmp_path.iterdir()) == [part]


def test_part_gives_no_answers_of_other_recordings(tmp_path, capsys):
    """As where the same names stand in another folder, or a file was replaced meanwhile."""
    out, part = tmp_path / "all.json", tmp_path / "all.json.part"
    journal = journal_of(out)
    journal.write(rows(0, 8))
    journal.close()
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join([*lines[:3], lines[2], *lines[3:], lines[1]]))  # some stand twice
    journal = journal_of(
        out, asked=ASKED | {"3.wav": "replaced", "9.wav": "9"} | {"0.wav": "other"}
    )
    assert journal.done == {"1.wav", "2.wav", "4.wav", "5.wav", "6.wav", "7.wav"}
    assert f"3 clips in {part} are other recordings" in capsys.readouterr().err
    journal.write(rows(3, 4))
    assert journal.finish() == f"{out}: 7 rows"
    written = [json.loads(line)["clip"] for line in out.read_text().splitlines()]
    assert sorted(written) == [f"{n}.wav" for n in range(1, 8)]


def test_recording_is_known_by_its_file_and_state(tmp_path, monkeypatch):
    names = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        Path("0.wav").write_text("sound")
        os.utime("0.wav", (1, 1))
        names += [identity(Recording("0.wav")), identity(Recording("0.wav", speaker="ann"))]
        names += [identity(Recording("gone.wav")), identity(Recording("0.wav", b"sound"))]
    assert len(set(names)) == 7  # bytes are the same anywhere
    before = identity(Recording("0.wav", tmp_path / "a" / "0.wav"))
    Path(tmp_path, "new.wav").write_text("other")
    os.utime(tmp_path / "new.wav", (1, 1))
    (tmp_path / "new.wav").rename(tmp_path / "a" / "0.wav")
    assert identity(Recording("0.wav", tmp_path / "a" / "0.wav")) != before


@pytest.mark.parametrize("resume", [True, False])
def test_files_of_others_beside_a_prediction_stay(resume, tmp_path):
    out, layout, asked = tmp_path / "all.csv", {"model": "m"}, ASKED if resume else None
    for end in ("whole", "part.model", "part.whole", "lock"):
        out.with_name(f"all.csv.{end}").write_text("my thesis")
    out.with_name(".all.csv.part.lock.holder").write_text("my thesis")
    kept = {file: file.read_text() for file in tmp_path.iterdir()}
    for killed in (True, False):
        with opened("csv", out, LAYOUT, layout, asked) as journal:
            assert journal.done == ({"0.wav"} if resume and not killed else set())
            journal.write(rows(len(journal.done), 2))
            assert killed or journal.finish()
    assert {file: file.read_text() for file in tmp_path.iterdir() if file != out} == kept
    for text in ("my thesis", "my thesis\n", '{"clip": "mine"}\n'):
        for name in ("b.csv.part", "b.csv.part.lock"):
            theirs = tmp_path / name
            theirs.write_text(text)
            with (
                pytest.raises(SerError, match=rf"{name} is no .*left as it is"),
                opened("csv", tmp_path / "b.csv", LAYOUT, layout, asked),
            ):
                pass
            assert theirs.read_text() == text
            theirs.unlink()


def test_file_that_appears_during_a_prediction_stays(tmp_path):
    out = tmp_path / "all.csv"
    journal = journal_of(out, "csv")
    journal.write(rows(0, 2))
    out.write_text("my thesis")
    with pytest.raises(SerError, match="is there already"):
        journal.finish()
    assert out.read_text() == "my thesis"
    assert sorted(tmp_path.iterdir()) == [out, tmp_path / "all.csv.part"]


def test_part_that_is_damaged_while_it_is_written_makes_no_file(tmp_path):
    out, part = tmp_path / "all.csv", tmp_path / "all.csv.part"
    journal = journal_of(out, "csv")
    journal.write(rows(0, 3))
    part.write_bytes(part.read_bytes().replace(b"0.01", b"0.91"))
    with pytest.raises(SerError, match=r"all\.csv\.part is damaged"):
        journal.finish()
    assert not out.exists() and part.exists()


@pytest.mark.parametrize(
    "process_tag", ["etl", "{host}/{place}/x/1", "{host}/{place}/99999999999999999999/1"]
)
def test_tag_that_is_no_process_is_not_judged(process_tag):
    host, place, *_ = process.identity().rsplit("/", 3)
    assert process.is_alive(process_tag.format(host=host, place=place)) is None


def test_study_keeps_what_lies_beside_its_workers_locks(tmp_path):
    (tmp_path / "s.journal.workers").mkdir()
    thesis = tmp_path / "s.journal.workers" / "notes.txt"
    thesis.write_text("my thesis")
    with open_study(str(tmp_path / "s.journal"), "mine", question={"metric": "uar"}):
        pass
    assert thesis.read_text() == "my thesis"


@pytest.mark.parametrize("made", ["TABLE sqlite3_notes (a)", "VIEW v AS SELECT 1"])
def test_database_of_others_is_no_store(made, tmp_path):
    with closing(sqlite3.connect(tmp_path / "theirs.sqlite")) as connection, connection:
        connection.execute(f"CREATE {made}")
    before = (tmp_path / "theirs.sqlite").read_bytes()
    with pytest.raises(SerError, match="no feature store of ser's"):
        read([], tmp_path / "theirs.sqlite")
    assert (tmp_path / "theirs.sqlite").read_bytes() == before
