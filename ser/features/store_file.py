"""The store's SQLite file: its tables, and what is read from and written to them."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from ser.core.errors import SerError
from ser.data import facts
from ser.data.audio import AudioError, read_file
from ser.data.facts import RecordingFacts
from ser.features import FeatureSet, settings

LOCK_TIMEOUT = 60.0  # seconds to wait while another process writes


# ns: file systems keep times by a clock that ticks every 1 to 10 ms. A file that changed so shortly
# before it was read may change again within the tick, and look the same.
TICK = 20_000_000


LAYOUT = 3  # of the tables; SQLite's user_version
WITHOUT_FACTS = 2  # the layout before: all but the table of facts


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


_FACTS = f"""CREATE TABLE facts (
    content INTEGER PRIMARY KEY REFERENCES contents, {", ".join(facts.NAMES)})"""
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
    _FACTS,
)


@dataclass(frozen=True)
class StoredClip:
    """One worker's result for one file; no `vector` and `facts` if the store has the vector."""

    path: str
    stamp: str
    digest: bytes
    vector: bytes | None
    facts: RecordingFacts | None = None
    error: AudioError | None = None


def stamp_of(path: str, *, read: int | None = None) -> str:
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


def _sqlite_name(path: str) -> str | bytes:
    """Of a file, as SQLite can hold it: in bytes where it is no text."""
    try:
        path.encode()
        return path
    except UnicodeEncodeError:
        return path.encode(errors="surrogatepass")


def connect_store(store: Path) -> sqlite3.Connection:
    """A connection whose transactions begin and end where they are said to."""
    return sqlite3.connect(store, timeout=LOCK_TIMEOUT, isolation_level=None)


@contextmanager
def open_store(store: str | Path) -> Iterator[sqlite3.Connection]:
    """Connect to the store, made where it is missing; what SQLite raises becomes a SerError."""
    path = Path(store)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(connect_store(path)) as connection:
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
    """Make the tables that are not there. Of a layout before `WITHOUT_FACTS` nothing is kept."""
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
    if layout == WITHOUT_FACTS:
        connection.execute(_FACTS)
    elif layout < LAYOUT:
        for table in ("files", "vectors", "contents", "extractors"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in _SCHEMA:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {LAYOUT}")
    connection.execute("COMMIT")


def extractor_id(connection: sqlite3.Connection, feature_set: FeatureSet) -> int:
    """Number of a feature set in the store, under its class, version and settings."""
    key = json.dumps(settings(feature_set), sort_keys=True)
    query = "SELECT id FROM extractors WHERE settings = ?"
    known = connection.execute(query, (key,)).fetchone()
    if known is None:
        connection.execute("INSERT OR IGNORE INTO extractors (settings) VALUES (?)", (key,))
        known = connection.execute(query, (key,)).fetchone()
    return known[0]


def known_contents(
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
        portion = paths[start : start + PORTION]
        names = [_sqlite_name(path) for path in portion]
        remembered = {name: columns for name, *columns in _select(connection, query, names)}
        for row, (path, name) in enumerate(zip(portion, names, strict=True), start):
            if name not in remembered:
                continue
            stamp, known, digest = remembered[name]
            try:
                if stamp_of(path) == stamp:
                    number[row], content[row] = known, digest.hex()
            except (OSError, AudioError):
                continue  # gone or unreadable: the extraction says so
    return number


def read_vectors(
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
        portion = rows[start : start + PORTION]
        wanted = np.unique(number[portion])
        stored = list(_select(connection, query, wanted.tolist()))
        if not stored:
            continue
        ids, vectors = zip(*stored, strict=True)
        numbers = np.array(ids)
        order = np.argsort(numbers)
        position = np.minimum(np.searchsorted(numbers[order], number[portion]), len(numbers) - 1)
        has = numbers[order][position] == number[portion]
        values = np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(numbers), -1)
        X[portion[has]] = values[order[position[has]]]
        there[start : start + PORTION] = has
    return there


def _select(connection: sqlite3.Connection, query: str, keys: Sequence[object]) -> sqlite3.Cursor:
    return connection.execute(f"{query} ({','.join('?' * len(keys))})", keys)


def save_clips(connection: sqlite3.Connection, extractor: int, clips: Sequence[StoredClip]) -> int:
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
        [(_sqlite_name(clip.path), clip.stamp, clip.digest) for clip in clips],
    )
    measured = {clip.digest: clip.facts for clip in clips if clip.facts is not None}
    number = _numbers(connection, list(measured))
    _insert_facts(connection, {number[digest]: facts for digest, facts in measured.items()})
    connection.execute("COMMIT")
    return max(added.rowcount, 0)


def read_facts(connection: sqlite3.Connection, number: np.ndarray) -> dict[int, RecordingFacts]:
    """Number of a content -> what its recording is like, of those that the store knows."""
    query = f"SELECT content, {', '.join(facts.NAMES)} FROM facts WHERE content IN"
    wanted = np.unique(number[number > 0]).tolist()
    return {
        content: RecordingFacts(*columns)
        for start in range(0, len(wanted), PORTION)
        for content, *columns in _select(connection, query, wanted[start : start + PORTION])
    }


def save_facts(connection: sqlite3.Connection, measured: Mapping[int, RecordingFacts]) -> None:
    """Keep what recordings are like, by the number of their content, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    _insert_facts(connection, measured)
    connection.execute("COMMIT")


def _insert_facts(connection: sqlite3.Connection, measured: Mapping[int, RecordingFacts]) -> None:
    values = ", ".join("?" * (1 + len(facts.NAMES)))
    connection.executemany(
        f"INSERT OR REPLACE INTO facts VALUES ({values})",
        [(content, *astuple(known)) for content, known in measured.items()],
    )


def content_numbers(
    connection: sqlite3.Connection, clips: Sequence[StoredClip]
) -> dict[str, tuple[int, bytes]]:
    """Path -> number and digest of its content."""
    number = _numbers(connection, [clip.digest for clip in clips])
    return {clip.path: (number[clip.digest], clip.digest) for clip in clips}


def _numbers(connection: sqlite3.Connection, digests: Sequence[bytes]) -> dict[bytes, int]:
    query = "SELECT digest, id FROM contents WHERE digest IN"
    return dict(_select(connection, query, digests))
