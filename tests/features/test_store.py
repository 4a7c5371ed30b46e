"""The feature store: computed once, never wrong, whatever happens meanwhile."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.core.errors import SerError
from ser.data.audio import AudioError, read_audio
from ser.data.facts import recording_facts
from ser.features.notebook import NotebookFeatures
from ser.features.store import extract
from ser.features.union import UnionFeatures


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store" / "features.sqlite"


def matrix(paths, store, features=None, **options):
    options = {"n_jobs": 1, "progress": False, **options}
    return extract(paths, features or NotebookFeatures(), store=store, **options)


def test_extract_gives_each_clip_its_own_row(write_tone, store):
    paths = [write_tone(f"{f}.wav", frequency=f) for f in (300, 110, 200)]
    first = matrix(paths, store)
    for path, row in zip(paths, first.X, strict=True):
        y, sr = soundfile.read(path, dtype="float32")
        np.testing.assert_array_equal(row, NotebookFeatures()(y, sr))
    again = matrix(paths[::-1], store)
    assert (first.n_extracted, again.n_extracted) == (3, 0)
    np.testing.assert_array_equal(again.X, first.X[::-1])


def test_extract_changed_file_again_and_unchanged_never(write_tone, store):
    paths = [write_tone("a.wav", frequency=200), write_tone("b.wav", frequency=300)]
    before = matrix(paths, store)
    times = Path(paths[0]).stat()
    write_tone("a.wav", frequency=250)  # the same size
    os.utime(paths[0], ns=(times.st_atime_ns, times.st_mtime_ns))  # and the same mtime
    after = matrix(paths, store)
    assert after.n_extracted == 1
    assert not np.allclose(after.X[0], before.X[0])
    np.testing.assert_array_equal(after.X[1], before.X[1])


def test_extract_copied_and_touched_files_not_again(write_tone, store, tmp_path):
    path = write_tone("a.wav")
    matrix([path], store)
    copy = shutil.copy(path, str(tmp_path / "copy.wav"))
    os.utime(path)
    assert matrix([path, copy], store).n_extracted == 0


def test_extract_other_settings_apart(write_tone, store):
    path = write_tone()
    whole = matrix([path], store)
    part = matrix([path], store, NotebookFeatures(chroma=False))
    assert part.n_extracted == 1
    np.testing.assert_array_equal(part.X, whole.X[:, 12:])
    assert matrix([path], store).n_extracted == 0


def test_extract_bad_clip_raises_and_keeps_what_is_done(write_tone, store, tmp_path):
    good = [write_tone(f"{i}.wav", frequency=100 + i) for i in range(20)]
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio")
    with pytest.raises(AudioError, match=r"bad\.wav: .*\. data\.on_error=skip leaves"):
        matrix([*good, str(bad)], store)
    assert matrix(good, store).n_extracted == 0


def test_extract_skip_reports_every_bad_clip(write_tone, store, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio")
    gone = str(tmp_path / "gone.wav")
    result = matrix([write_tone(), str(bad), gone], store, on_error="skip")
    assert set(result.errors) == {str(bad), gone}
    assert np.isfinite(result.X[0]).all()
    assert np.isnan(result.X[1:]).all()


def test_extract_in_parallel_equals_serial(write_tone, store, tmp_path):
    paths = [write_tone(f"{i}.wav", frequency=100 + 3 * i) for i in range(40)]
    serial = matrix(paths, store)
    parallel = matrix(paths, tmp_path / "other.sqlite", n_jobs=2)
    np.testing.assert_array_equal(parallel.X, serial.X)


WORKER = """
import sys
from ser.features.notebook import NotebookFeatures
from ser.features.store import extract
print(extract(sys.argv[2:], NotebookFeatures(), store=sys.argv[1], n_jobs=1).n_extracted)
"""


def start_worker(store, paths, code=WORKER):
    command = [sys.executable, "-c", code, str(store), *paths]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def stored_vectors(store):
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
            return connection.execute("SELECT count(*) FROM vectors").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


KILLED = """
import os, signal
from ser.features.notebook import NotebookFeatures

class Killed(NotebookFeatures):
    def __call__(self, y, sr):
        if len(done) == 70:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(sr)
        return super().__call__(y, sr)

done = []
Killed.__module__, Killed.__qualname__ = NotebookFeatures.__module__, NotebookFeatures.__qualname__
"""


def test_extract_killed_continues_where_it_was(write_tone, store):
    paths = [write_tone(f"{i}.wav", frequency=100 + i) for i in range(100)]
    worker = start_worker(store, paths, KILLED + WORKER.replace("NotebookFeatures()", "Killed()"))
    assert worker.wait() == -signal.SIGKILL
    done = stored_vectors(store)
    assert 0 < done <= 70
    result = matrix(paths, store)
    assert result.n_extracted == 100 - done
    np.testing.assert_array_equal(result.X, matrix(paths, store.with_name("fresh")).X)


def test_extract_two_processes_share_a_fresh_store(write_tone, store):
    paths = [write_tone(f"{i}.wav", frequency=100 + i) for i in range(60)]
    workers = [start_worker(store, paths) for _ in range(4)]
    outputs = [worker.communicate()[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4, outputs
    assert matrix(paths, store).n_extracted == 0


def test_extract_store_not_usable_is_said(write_tone, tmp_path):
    path = write_tone()
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"not a database, but long enough to look like one" * 10)
    with pytest.raises(SerError, match=r"broken\.sqlite is no feature store of ser's"):
        matrix([path], broken)
    (tmp_path / "file").write_text("")
    with pytest.raises(SerError, match="cannot be made"):
        matrix([path], tmp_path / "file" / "store.sqlite")


def test_extract_unknown_on_error_is_said(write_tone, store):
    with pytest.raises(SerError, match="on_error"):
        matrix([write_tone()], store, on_error="ignore")


def test_store_keeps_what_recordings_are_like(write_tone, store, tmp_path, monkeypatch):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio")
    paths = [write_tone(sr=16_000), str(bad), write_tone("8.wav", sr=8000)]
    first = matrix(paths, store, on_error="skip").recordings
    assert first["sr"].tolist() == [16_000, 0, 8000]
    assert first["subtype"].tolist() == ["PCM_16", "", "PCM_16"]
    assert first["duration"].fillna(-1).tolist() == [0.3, -1, 0.3]
    y, sr = read_audio(paths[0])
    assert tuple(first.iloc[0]) == astuple(recording_facts(y, sr, paths[0]))
    copy = shutil.copy(paths[0], str(tmp_path / "copy.wav"))
    monkeypatch.setattr("ser.features.store.recording_facts", None)  # nothing is measured again
    again = matrix([copy, paths[2]], store).recordings
    pd.testing.assert_frame_equal(again, first.iloc[[0, 2]].reset_index(drop=True))
    union = UnionFeatures(sets={"a": NotebookFeatures(), "b": NotebookFeatures()})
    pd.testing.assert_frame_equal(matrix(paths[::2], store, union).recordings, again)


def without_facts(store):
    """Make it a store of the layout that had none, nor checksums."""
    with sqlite3.connect(store) as connection:
        connection.execute("DROP TABLE facts")
        connection.execute("ALTER TABLE vectors DROP COLUMN crc")
        connection.execute("UPDATE files SET stamp = substr(stamp, 1, length(stamp) - 9)")
        connection.execute("PRAGMA user_version = 2")
        connection.execute("PRAGMA application_id = 0")


def test_store_without_facts_keeps_its_vectors_and_is_measured_once(write_tone, store):
    paths = [write_tone(f"{i}.wav", frequency=100 + i) for i in range(20)]
    new = matrix(paths, store)
    without_facts(store)
    gone = Path(paths[3])
    gone.rename(gone.with_suffix(".moved"))
    workers = [start_worker(store, paths[4:]) for _ in range(3)]
    assert [worker.communicate()[0] for worker in workers] == ["0\n"] * 3
    gone.with_suffix(".moved").rename(gone)
    old = matrix(paths, store)
    assert old.n_extracted == 0
    np.testing.assert_array_equal(old.X, new.X)
    pd.testing.assert_frame_equal(old.recordings, new.recordings)


def test_store_of_a_newer_layout_is_left_alone(write_tone, store):
    path = write_tone()
    matrix([path], store)
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(SerError, match="newer ser"):
        matrix([path], store)
    with sqlite3.connect(store) as connection:
        assert connection.execute("SELECT count(*) FROM vectors").fetchone() == (1,)


def test_extract_rows_follow_the_paths_over_many_portions(write_tone, store, monkeypatch):
    monkeypatch.setattr("ser.features.store_file.PORTION", 3)
    paths = [write_tone(f"{i}.wav", frequency=100 + 10 * i) for i in range(8)]
    first = matrix(paths[:5], store)
    order = [7, 2, 2, 0, 6, 4, 1, 3, 5, 7]
    mixed = matrix([paths[i] for i in order], store)
    assert (first.n_extracted, mixed.n_extracted) == (5, 3)
    whole = matrix(paths, store)
    np.testing.assert_array_equal(mixed.X, whole.X[order])
    np.testing.assert_array_equal(mixed.content, whole.content[order])
    assert len(set(whole.content)) == 8
