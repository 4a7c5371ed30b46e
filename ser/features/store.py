"""Feature matrices on disk: a clip's vector is computed once and kept, whatever happens meanwhile.

A store is one SQLite file. A vector's key is what the clip holds (SHA-256 of its bytes) and what
computed it (the feature set's class, version and settings), so a moved or copied clip is not
extracted again and a changed one always is. A further table remembers which content each file had,
by path, size, times and inode, so that an unchanged file is not even opened. Contents are numbered
as they come, and vectors lie in that order: a million of them are written and read one after the
other, however the digests scatter.

Every batch is one transaction in a write-ahead log: a kill at any moment leaves a readable store
that lacks at most the batch under way, the next start continues, and several processes may fill
one store at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser.core import compute
from ser.core.errors import SerError
from ser.data.audio import AudioError, read_file
from ser.data.recordings import Recording
from ser.features import FeatureSet, settings
from ser.features.extraction import extract_recording
from ser.features.union import UnionFeatures

BATCH_CLIPS = 16  # a fifth of a second of work for one core: what a kill can cost
LOCK_TIMEOUT = 60.0  # seconds to wait while another process writes
# ns: file systems keep times by a clock that ticks every 1 to 10 ms. A file that changed so shortly
# before it was read may change again within the tick, and look the same.
TICK = 20_000_000

LAYOUT = 2  # of the tables; SQLite's user_version
DIGEST_BYTES = 16
PORTION = 10_000  # keys asked for at once, under SQLite's limit of variables

# SQLite's reasons that lie with the disk or another process, not with what the file holds.
_PLACE_AT_FAULT = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_PERM,
)

_SCHEMA = (
    "CREATE TABLE extractors (id INTEGER PRIMARY KEY, settings TEXT NOT NULL UNIQUE)",
    "CREATE TABLE contents (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE)",
    """CREATE TABLE vectors (
        extractor INTEGER NOT NULL REFERENCES extractors,
        content INTEGER NOT NULL REFERENCES contents,
        vector BLOB NOT NULL,
        PRIMARY KEY (extractor, content)) WITHOUT ROWID""",
    """CREATE TABLE files (
        path TEXT PRIMARY KEY, stamp TEXT NOT NULL,
        content INTEGER NOT NULL REFERENCES contents) WITHOUT ROWID""",
)


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
        Hexadecimal digest of each clip's bytes; empty where it could not be read.
    errors : dict of str to str
        Path -> why the clip could not be used.
    n_extracted : int
        Contents computed now; the others were there.
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
        Workers on this machine; -1 for one per core.
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
    if isinstance(feature_set, UnionFeatures):
        each = [
            extract(paths, one, store=store, on_error=on_error, n_jobs=n_jobs, progress=progress)
            for one in feature_set.sets.values()
        ]
        side_by_side = np.concatenate([one.X for one in each], axis=1)
        return _joined(each, paths, side_by_side, feature_set.names)
    n_clips, names = len(paths), feature_set.names
    X = np.full((n_clips, len(names)), np.nan, dtype=np.float32)
    content = np.zeros(n_clips, dtype=f"U{2 * DIGEST_BYTES}")
    errors: dict[str, str] = {}
    with _open(store) as connection:
        extractor = _extractor_id(connection, feature_set)
        number = _known_contents(connection, paths, content)
        missing = np.flatnonzero(~_read_vectors(connection, extractor, number, X))
        wanted = list(dict.fromkeys(paths[row] for row in missing.tolist()))
        found: dict[str, tuple[int, bytes]] = {}
        n_extracted = 0
        for batch in _run(wanted, feature_set, Path(store), extractor, n_jobs, progress):
            good = [clip for clip in batch if clip.error is None]
            n_extracted += _save(connection, extractor, good)
            found |= _numbers(connection, good)
            for clip in batch:
                if clip.error is not None:
                    if on_error == "raise":
                        raise clip.error
                    errors[clip.path] = clip.error.cause
        for row in missing.tolist():
            number[row], digest = found.get(paths[row], (0, b""))
            content[row] = digest.hex()
        _read_vectors(connection, extractor, number, X, rows=missing)
    return Extraction(X, names, content, errors, n_extracted)


def augmented(plain: Extraction, copies: Sequence[Extraction], paths: Sequence[str]) -> Extraction:
    """Clips with their augmented copies.

    Returns
    -------
    Extraction
        Its X is (n_clips, 1 + n_copies, n_features), the clips themselves first.

    Raises
    ------
    SerError
        If a clip changed between two extractions.
    """
    every = [plain, *copies]
    return _joined(every, paths, np.stack([one.X for one in every], axis=1), plain.names)


def _joined(
    extractions: Sequence[Extraction], paths: Sequence[str], X: np.ndarray, names: tuple[str, ...]
) -> Extraction:
    """Several extractions of the same clips; one that failed in any is in error in all.

    Raises
    ------
    SerError
        If a clip changed between two of them.
    """
    errors = {path: cause for one in extractions for path, cause in one.errors.items()}
    X[np.isnan(X).any(axis=tuple(range(1, X.ndim)))] = np.nan
    contents = np.stack([one.content for one in extractions])
    for row in np.flatnonzero((contents != contents[0]).any(axis=0)).tolist():
        if paths[row] not in errors:
            raise SerError(f"{paths[row]} changed while its features were extracted; start again.")
    n_extracted = sum(one.n_extracted for one in extractions)
    return Extraction(X, names, contents[0], errors, n_extracted)


@dataclass(frozen=True)
class _Clip:
    """One worker's result for one file; `vector` is None if the store already had it."""

    path: str
    stamp: str
    digest: bytes
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
    from joblib import delayed
    from tqdm import tqdm

    # SQLite's log does not work over a network: a cluster's workers leave the store alone.
    seen = (store, extractor) if compute.is_local() else None
    batches = (paths[i : i + BATCH_CLIPS] for i in range(0, len(paths), BATCH_CLIPS))
    calls = (delayed(_extract_batch)(batch, feature_set, seen) for batch in batches)
    with tqdm(
        total=len(paths), desc="Extracting", unit="clip", disable=None if progress else True
    ) as bar:
        for batch in compute.results(calls, n_jobs=n_jobs, ordered=False):
            yield batch
            bar.update(len(batch))


def _extract_batch(
    paths: list[str], feature_set: FeatureSet, seen: tuple[Path, int] | None
) -> list[_Clip]:
    """In a worker: read each file once, for its hash and for its samples.

    `seen` is a store and the extractor's number in it: what it has already is only hashed.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(closing(_connect(seen[0]))) if seen else None

        def is_there(digest: bytes) -> bool:
            query = """SELECT 1 FROM contents JOIN vectors ON content = id
                WHERE digest = ? AND extractor = ?"""
            if connection is None or seen is None:
                return False
            return connection.execute(query, (digest, seen[1])).fetchone() is not None

        return [_extract_clip(path, feature_set, is_there) for path in paths]


def _extract_clip(path: str, feature_set: FeatureSet, is_there: Callable[[bytes], bool]) -> _Clip:
    try:
        stamp, read = _stamp(path), time.time_ns()
        data = read_file(path)
        if _stamp(path) != stamp:
            raise AudioError(path, "the file changed while it was read; start again")
        stamp = _stamp(path, read=read)
        # Twice as fast as BLAKE2b where the processor has instructions for it, as most have.
        digest = hashlib.sha256(data).digest()[:DIGEST_BYTES]
        if is_there(digest):
            return _Clip(path, stamp, digest, None)
        vector = extract_recording(Recording(path, data), feature_set)
        return _Clip(path, stamp, digest, vector.astype("<f4").tobytes())
    except AudioError as error:
        return _Clip(path, "", b"", None, error)
    except OSError as error:
        cause = error.strerror or str(error)
        return _Clip(path, "", b"", None, AudioError(path, cause))


def _stamp(path: str, *, read: int | None = None) -> str:
    """What changes when a file does; ctime also catches a write that restores the mtime.

    A file that was `read` (ns since the epoch) within a `TICK` of its last change, or before it by
    a clock that was set back, gets a stamp that no file has: it is read again next time.
    """
    try:
        s = os.stat(path)  # noqa: PTH116  Path.stat costs twice as much, on every clip of every run
    except (OSError, ValueError):  # ValueError: a NUL in the name
        read_file(path)  # says why, in the words of all other causes
        raise
    late = "" if read is None or read - s.st_ctime_ns > TICK else " and may have changed since"
    return f"{s.st_size} {s.st_mtime_ns} {s.st_ctime_ns} {s.st_ino}{late}"


def _name(path: str) -> str | bytes:
    """Of a file, as SQLite can hold it: in bytes where it is no text."""
    try:
        path.encode()
        return path
    except UnicodeEncodeError:
        return path.encode(errors="surrogatepass")


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
            _lay_out(connection, path)
            yield connection
    except OSError as error:
        raise SerError(
            f"The feature store {path} cannot be made: {error.strerror}. "
            "Give another place with store=FILE."
        ) from error
    except sqlite3.DatabaseError as error:
        raise SerError(
            f"The feature store {path} cannot be used: {error}. {_advice(error)}"
        ) from error


def _advice(error: sqlite3.DatabaseError) -> str:
    """What to do: a store that is damaged can go, one whose disk is full or read-only need not."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _PLACE_AT_FAULT:  # extended codes go above
        return (
            "What it holds is kept. Free space on its disk, see that its folder can be written, "
            "or give another place with store=FILE."
        )
    return (
        "It holds nothing but what can be extracted again: delete it, or give another place with "
        "store=FILE."
    )


def _lay_out(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables where there are none, or an older layout's: all of it can be made again."""
    query = "PRAGMA user_version"
    if connection.execute(query).fetchone()[0] == LAYOUT:
        return
    connection.execute("BEGIN IMMEDIATE")
    layout = connection.execute(query).fetchone()[0]  # another process may have been faster
    if layout > LAYOUT:
        connection.execute("ROLLBACK")
        raise SerError(
            f"The feature store {path} was made by a newer ser. Give another place with store=FILE."
        )
    if layout < LAYOUT:
        for table in ("files", "vectors", "contents", "extractors"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {LAYOUT}")
    connection.execute("COMMIT")


def _extractor_id(connection: sqlite3.Connection, feature_set: FeatureSet) -> int:
    key = json.dumps(settings(feature_set), sort_keys=True)
    query = "SELECT id FROM extractors WHERE settings = ?"
    known = connection.execute(query, (key,)).fetchone()
    if known is None:
        connection.execute("INSERT OR IGNORE INTO extractors (settings) VALUES (?)", (key,))
        known = connection.execute(query, (key,)).fetchone()
    return known[0]


def _known_contents(
    connection: sqlite3.Connection, paths: Sequence[str], content: np.ndarray
) -> np.ndarray:
    """Numbers of the contents of files that are as they were when the store last read them.

    Returns
    -------
    (n_clips,) int
        0 where the store does not know; elsewhere `content` gets the digest.
    """
    number = np.zeros(len(paths), dtype=np.int64)
    query = "SELECT path, stamp, id, digest FROM files JOIN contents ON content = id WHERE path IN"
    for start in range(0, len(paths), PORTION):
        some = paths[start : start + PORTION]
        names = [_name(path) for path in some]
        remembered = {name: rest for name, *rest in _select(connection, query, names)}
        for row, (path, name) in enumerate(zip(some, names, strict=True), start):
            if name not in remembered:
                continue
            stamp, known, digest = remembered[name]
            try:
                if _stamp(path) == stamp:
                    number[row], content[row] = known, digest.hex()
            except (OSError, AudioError):
                continue  # gone or unreadable: the extraction says so
    return number


def _read_vectors(
    connection: sqlite3.Connection,
    extractor: int,
    number: np.ndarray,
    X: np.ndarray,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Fill rows of X with their contents' vectors.

    Returns
    -------
    (n_rows,) bool
        Whether the store has the vector of each row.
    """
    rows = np.arange(len(number)) if rows is None else rows
    there = np.zeros(len(rows), dtype=bool)
    query = f"SELECT content, vector FROM vectors WHERE extractor = {extractor:d} AND content IN"
    for start in range(0, len(rows), PORTION):
        some = rows[start : start + PORTION]
        wanted = np.unique(number[some])
        found = list(_select(connection, query, wanted.tolist()))
        if not found:
            continue
        ids, vectors = zip(*found, strict=True)
        numbers = np.array(ids)
        order = np.argsort(numbers)
        position = np.minimum(np.searchsorted(numbers[order], number[some]), len(numbers) - 1)
        has = numbers[order][position] == number[some]
        values = np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(numbers), -1)
        X[some[has]] = values[order[position[has]]]
        there[start : start + PORTION] = has
    return there


def _select(connection: sqlite3.Connection, query: str, keys: Sequence[object]) -> sqlite3.Cursor:
    return connection.execute(f"{query} ({','.join('?' * len(keys))})", keys)


def _save(connection: sqlite3.Connection, extractor: int, clips: Sequence[_Clip]) -> int:
    """Keep what a batch found, in one transaction; return how many vectors are new."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "INSERT OR IGNORE INTO contents (digest) VALUES (?)", [(clip.digest,) for clip in clips]
    )
    added = connection.executemany(
        """INSERT OR IGNORE INTO vectors (extractor, content, vector)
            SELECT ?, id, ? FROM contents WHERE digest = ?""",
        [(extractor, clip.vector, clip.digest) for clip in clips if clip.vector is not None],
    )
    connection.executemany(
        """INSERT OR REPLACE INTO files (path, stamp, content)
            SELECT ?, ?, id FROM contents WHERE digest = ?""",
        [(_name(clip.path), clip.stamp, clip.digest) for clip in clips],
    )
    connection.execute("COMMIT")
    return max(added.rowcount, 0)


def _numbers(
    connection: sqlite3.Connection, clips: Sequence[_Clip]
) -> dict[str, tuple[int, bytes]]:
    """Path -> number and digest of its content."""
    query = "SELECT digest, id FROM contents WHERE digest IN"
    number = dict(_select(connection, query, [clip.digest for clip in clips]))
    return {clip.path: (number[clip.digest], clip.digest) for clip in clips}
