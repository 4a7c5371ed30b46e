"""Feature matrices on disk: a clip's vector is computed once and kept, whatever happens meanwhile.

A store is one SQLite file. A vector's key is what the clip holds (BLAKE2b of its bytes) and what
computed it (the feature set's class, version and settings), so a moved or copied clip is not
extracted again and a changed one always is. A second table remembers which content each file had,
by path, size, times and inode, so that an unchanged file is not even opened.

Every batch is one transaction in a write-ahead log: a kill at any moment leaves a readable store
that lacks at most the batch under way, the next start continues, and several processes may fill
one store at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser.audio import AudioError, read_audio, read_file
from ser.errors import SerError
from ser.features import FeatureSet, settings

BATCH_CLIPS = 16  # a fifth of a second of work for one core: what a kill can cost
LOCK_TIMEOUT = 60.0  # seconds to wait while another process writes

_SCHEMA = """
CREATE TABLE IF NOT EXISTS extractors (
    id INTEGER PRIMARY KEY, settings TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS vectors (
    extractor INTEGER NOT NULL REFERENCES extractors, content BLOB NOT NULL, vector BLOB NOT NULL,
    PRIMARY KEY (extractor, content)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, stamp TEXT NOT NULL, content BLOB NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Extraction:
    """What the store returns for a list of clips.

    Attributes
    ----------
    X : (n_clips, n_features) float32
        Row i belongs to path i; a row of NaN where `errors` has the path.
    names : tuple of str
        Column names.
    content : (n_clips,) str
        Hexadecimal BLAKE2b digest of each clip's bytes; empty where it could not be read.
    errors : dict of str to str
        Path -> why the clip could not be used.
    n_extracted : int
        Clips computed now; the others were there.
    """

    X: np.ndarray
    names: tuple[str, ...]
    content: np.ndarray
    errors: dict[str, str]
    n_extracted: int


def extract(
    paths: Sequence[str],
    feature_set: FeatureSet,
    *,
    store: str | Path,
    on_error: str = "raise",
    n_jobs: int = -1,
    progress: bool = True,
) -> Extraction:
    """Feature matrix of the clips: from the store, and what is missing from the audio.

    Parameters
    ----------
    paths : sequence of str
        Audio files.
    feature_set : FeatureSet
        Computes one vector per clip.
    store : path
        SQLite file, made where it is missing.
    on_error : {"raise", "skip"}
        What a clip that cannot be read does: end the extraction (what is done is kept), or leave
        a row of NaN and an entry in `errors`.
    n_jobs : int
        joblib workers; -1 for one per core.
    progress : bool
        Whether to draw a bar while clips are extracted.

    Raises
    ------
    AudioError
        For the first bad clip, with ``on_error="raise"``.
    SerError
        If the store cannot be opened or written, or `on_error` is neither of the two.
    """
    if on_error not in ("raise", "skip"):
        raise SerError(f"data.on_error={on_error!r} is not known: give 'raise' or 'skip'.")
    key = json.dumps(settings(feature_set), sort_keys=True)
    with _open(store) as connection:
        extractor = _extractor_id(connection, key)
        known = _known_content(connection, paths)
        done = _vectors(connection, extractor, known.values())
        missing = [path for path in paths if known.get(path) not in done]
        errors: dict[str, str] = {}
        n_extracted = 0
        for batch in _run(missing, feature_set, Path(store), extractor, n_jobs, progress):
            _save(connection, extractor, batch)
            for clip in batch:
                if clip.error is not None:
                    if on_error == "raise":
                        raise clip.error
                    errors[clip.path] = clip.error.cause
                    continue
                known[clip.path] = clip.content
                if clip.vector is not None:
                    done[clip.content] = clip.vector
                    n_extracted += 1
        done |= _vectors(
            connection, extractor, {known[p] for p in missing if p in known} - set(done)
        )
    names = feature_set.names
    X = np.full((len(paths), len(names)), np.nan, dtype=np.float32)
    for row, path in enumerate(paths):
        if path not in errors:
            X[row] = np.frombuffer(done[known[path]], dtype="<f4")
    content = np.array([known[p].hex() if p not in errors else "" for p in paths], dtype=str)
    return Extraction(X, names, content, errors, n_extracted)


@dataclass(frozen=True)
class _Clip:
    """One worker's result for one file; `vector` is None if the store already had it."""

    path: str
    stamp: str
    content: bytes
    vector: bytes | None
    error: AudioError | None = None


def _run(
    paths: list[str],
    feature_set: FeatureSet,
    store: Path,
    extractor: int,
    n_jobs: int,
    progress: bool,
) -> Iterator[list[_Clip]]:
    """Extract batches in parallel; yield each as soon as it is there."""
    if not paths:
        return
    from joblib import Parallel, delayed
    from tqdm import tqdm

    batches = [paths[i : i + BATCH_CLIPS] for i in range(0, len(paths), BATCH_CLIPS)]
    results = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(
        delayed(_extract_batch)(batch, feature_set, store, extractor) for batch in batches
    )
    with tqdm(
        total=len(paths), desc="Extracting", unit="clip", disable=None if progress else True
    ) as bar:
        for batch in results:
            yield batch
            bar.update(len(batch))


def _extract_batch(
    paths: list[str], feature_set: FeatureSet, store: Path, extractor: int
) -> list[_Clip]:
    """In a worker: read each file once, for its hash and for its samples."""
    from threadpoolctl import threadpool_limits

    # One process per core is already all there is; BLAS threads would fight it.
    with threadpool_limits(1), closing(_connect(store)) as connection:
        return [_extract_clip(path, feature_set, connection, extractor) for path in paths]


def _extract_clip(
    path: str, feature_set: FeatureSet, connection: sqlite3.Connection, extractor: int
) -> _Clip:
    try:
        stamp = _stamp(path)
        data = read_file(path)
        if _stamp(path) != stamp:
            raise AudioError(path, "the file changed while it was read; start again")
        content = hashlib.blake2b(data, digest_size=16).digest()
        query = "SELECT 1 FROM vectors WHERE extractor = ? AND content = ?"
        if connection.execute(query, (extractor, content)).fetchone():
            return _Clip(path, stamp, content, None)
        y, sr = read_audio(data, name=path, min_samples=feature_set.min_samples)
        return _Clip(path, stamp, content, feature_set(y, sr).astype("<f4").tobytes())
    except AudioError as error:
        return _Clip(path, "", b"", None, error)
    except OSError as error:
        cause = error.strerror or str(error)
        return _Clip(path, "", b"", None, AudioError(path, cause))


def _stamp(path: str) -> str:
    """What changes when a file does; ctime also catches a write that restores the mtime."""
    s = os.stat(path)  # noqa: PTH116  Path.stat costs twice as much, on every clip of every run
    return f"{s.st_size} {s.st_mtime_ns} {s.st_ctime_ns} {s.st_ino}"


def _connect(store: Path) -> sqlite3.Connection:
    return sqlite3.connect(store, timeout=LOCK_TIMEOUT, isolation_level=None)


@contextmanager
def _open(store: str | Path) -> Iterator[sqlite3.Connection]:
    """Connect to the store, made where it is missing; what SQLite raises becomes a SerError."""
    path = Path(store)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(_connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
            yield connection
    except OSError as error:
        raise SerError(
            f"The feature store {path} cannot be made: {error.strerror}. "
            "Give another place with store=FILE."
        ) from error
    except sqlite3.DatabaseError as error:
        raise SerError(
            f"The feature store {path} cannot be used: {error}. It holds nothing but what can be "
            "extracted again: delete it, or give another place with store=FILE."
        ) from error


def _extractor_id(connection: sqlite3.Connection, key: str) -> int:
    connection.execute("INSERT OR IGNORE INTO extractors (settings) VALUES (?)", (key,))
    query = "SELECT id FROM extractors WHERE settings = ?"
    return connection.execute(query, (key,)).fetchone()[0]


def _known_content(connection: sqlite3.Connection, paths: Sequence[str]) -> dict[str, bytes]:
    """Content of the files that are as they were when the store last read them."""
    remembered = {
        path: (stamp, content)
        for path, stamp, content in _select(
            connection, "SELECT path, stamp, content FROM files WHERE path IN", paths
        )
    }
    known = {}
    for path in remembered:
        stamp, content = remembered[path]
        try:
            if _stamp(path) == stamp:
                known[path] = content
        except OSError:
            continue  # gone or unreadable: the extraction says so
    return known


def _vectors(
    connection: sqlite3.Connection, extractor: int, contents: Iterator[bytes] | set[bytes]
) -> dict[bytes, bytes]:
    query = f"SELECT content, vector FROM vectors WHERE extractor = {extractor:d} AND content IN"
    return dict(_select(connection, query, list(contents)))


def _select(connection: sqlite3.Connection, query: str, keys: Sequence[object]) -> Iterator[tuple]:
    """Rows of ``query (keys)``, asked in portions that stay under SQLite's limit of variables."""
    portion = 10_000
    for i in range(0, len(keys), portion):
        some = keys[i : i + portion]
        yield from connection.execute(f"{query} ({','.join('?' * len(some))})", some)


def _save(connection: sqlite3.Connection, extractor: int, batch: list[_Clip]) -> None:
    good = [clip for clip in batch if clip.error is None]
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "INSERT OR IGNORE INTO vectors (extractor, content, vector) VALUES (?, ?, ?)",
        [(extractor, c.content, c.vector) for c in good if c.vector is not None],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO files (path, stamp, content) VALUES (?, ?, ?)",
        [(c.path, c.stamp, c.content) for c in good],
    )
    connection.execute("COMMIT")
