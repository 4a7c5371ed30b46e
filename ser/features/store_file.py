"""The store's SQLite file: its tables, and what is read from and written to them."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from zlib import crc32

import numpy as np

from ser.core.errors import SerError
from ser.core.locks import told, writers
from ser.data.audio import AudioError, read_file
from ser.data.facts import RecordingFacts
from ser.features import FeatureSet, settings, stored_dtype
from ser.features.store_layout import (
    checksum,
    lay_out,
    packed_facts,
    refuse_no_file,
    refuse_others,
    row_seed,
    set_seed,
)

LOCK_TIMEOUT = 60.0  # seconds to wait while another process writes
# ns: file systems keep times by a clock that ticks every 1 to 10 ms. A file that changed so shortly
# before it was read may change again within the tick, and look the same.
TICK = 20_000_000
DIGEST_BYTES = 16
PORTION = 10_000  # keys asked for at once, under SQLite's limit of variables

# SQLite's reasons that lie with the disk or another process, not with what the file holds.
_PLACE_AT_FAULT = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
)


@dataclass(frozen=True)
class StoredSet:
    """A feature set as the store knows it.

    Attributes
    ----------
    id : int
        Its number in the store.
    n_features : int
        Length of its vectors.
    seed : int
        `store_layout.set_seed` of its settings.
    dtype : dtype
        Of its vectors in the file.
    """

    id: int
    n_features: int
    seed: int
    dtype: np.dtype


@dataclass(frozen=True)
class StoredClip:
    """One worker's result for one file: by number of the set, the vectors that the store lacked."""

    path: str
    stamp: str
    digest: bytes
    vectors: Mapping[int, bytes] = field(default_factory=dict)
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
    changed = s.st_ctime_ns
    if sys.platform == "win32":  # where ctime is when it was made
        changed = max(changed, s.st_mtime_ns)
    late = "" if read is None or read - changed > TICK else " and may have changed since"
    return f"{s.st_size} {s.st_mtime_ns} {s.st_ctime_ns} {s.st_ino}{late}"


def _kept_stamp(stamp: str, digest: str) -> str:
    """A file's stamp as the store keeps it: with the start of its content's hexadecimal digest."""
    return f"{stamp} {digest[:8]}"  # so a file that is said to hold another's content is found


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
        refuse_no_file(path)
    except OSError as error:
        raise SerError(
            f"The feature store {path} cannot be made: {error.strerror}. "
            "Give another place with store=FILE."
        ) from error
    try:
        with closing(connect_store(path)) as connection:
            _prepare(connection, path)
            yield connection
    except sqlite3.DatabaseError as error:
        raise SerError(
            f"The feature store {path} cannot be used: {error}. {_advice(error, path)}"
        ) from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    try:
        refuse_others(path)  # before the connection reads anything
        with _waiting(path):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            lay_out(connection, path)
    except UnicodeDecodeError as error:  # Python's, of SQLite's message on a name that is no text
        raise sqlite3.DatabaseError("a name in its schema is damaged") from error


def _waiting(store: Path) -> AbstractContextManager[None]:
    """Say who holds the store's lock, where the block takes longer than a moment."""
    return told(lambda: f"the store {store}, for at most {LOCK_TIMEOUT:.0f} s: {writers(store)}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """What the block writes is kept as a whole, or not at all."""
    query = "SELECT CAST(file AS BLOB) FROM pragma_database_list"
    store = Path(os.fsdecode(connection.execute(query).fetchone()[0]))
    with _waiting(store):
        connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("COMMIT")


def _advice(error: sqlite3.DatabaseError, path: Path) -> str:
    """What to do: a store that is damaged can go, one whose disk is full or read-only need not."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
        return f"{writers(path)} Run this again when that has ended."
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHORT_READ:
        return "Its file was deleted while a command used it: end that command, and run this again."
    if is_damage(error):
        does = "It is ser's and is damaged. All that it holds can be extracted again: move it away,"
    else:
        does = "What it holds is kept. Free space on its disk, see that its folder can be written,"
    return f"{does} or give another place with store=FILE."


def is_damage(error: Exception) -> bool:
    """Whether what SQLite says lies with what the file holds, not with its disk or a lock."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF not in _PLACE_AT_FAULT  # extended codes go above


def stored_set(connection: sqlite3.Connection, feature_set: FeatureSet) -> StoredSet:
    """A feature set in the store, under its class, version and settings."""
    key = json.dumps(settings(feature_set), sort_keys=True)
    query = "SELECT id FROM extractors WHERE settings = ?"
    known = connection.execute(query, (key,)).fetchone()
    if known is None:
        with _transaction(connection):
            connection.execute("INSERT OR IGNORE INTO extractors (settings) VALUES (?)", (key,))
        known = connection.execute(query, (key,)).fetchone()
    if known is None or not isinstance(known[0], int):
        raise sqlite3.DatabaseError("its table of feature sets is damaged")
    return StoredSet(known[0], len(feature_set.names), set_seed(key), stored_dtype(feature_set))


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
    query = """SELECT path, CAST(stamp AS BLOB), id, lower(hex(digest))
        FROM files JOIN contents ON content = id WHERE path IN"""
    for start in range(0, len(paths), PORTION):
        portion = paths[start : start + PORTION]
        names = [_sqlite_name(path) for path in portion]
        remembered = {name: columns for name, *columns in _select(connection, query, names)}
        for row, (path, name) in enumerate(zip(portion, names, strict=True), start):
            if name not in remembered:
                continue
            stamp, known, digest = remembered[name]
            try:
                if f"{stamp_of(path)} {digest[:8]}".encode() == stamp:
                    number[row], content[row] = known, digest
            except (OSError, AudioError):
                continue  # gone or unreadable: the extraction says so
    return number


def read_vectors(
    connection: sqlite3.Connection,
    stored: StoredSet,
    number: np.ndarray,
    content: np.ndarray,
    X: np.ndarray,
    rows: np.ndarray | None = None,
) -> tuple[np.ndarray, list[int]]:
    """Fill rows of X with their contents' vectors, as far as their checksums agree.

    Returns
    -------
    there : (n_rows,) bool
        Whether the store has the vector of each row, whole.
    damaged : list of int
        Numbers of the contents whose vectors are not.
    """
    rows = np.arange(len(number)) if rows is None else rows
    there, damaged = np.zeros(len(rows), dtype=bool), []
    for start in range(0, len(rows), PORTION):
        portion = rows[start : start + PORTION]
        wanted, first = np.unique(number[portion], return_index=True)
        seeds = [row_seed(digest, stored.seed) for digest in content[portion[first]].tolist()]
        seed_of = dict(zip(wanted.tolist(), seeds, strict=True))
        numbers, values, torn = _whole_vectors(connection, stored, seed_of)
        damaged += torn
        if not len(numbers):
            continue
        order = np.argsort(numbers)
        position = np.minimum(np.searchsorted(numbers[order], number[portion]), len(numbers) - 1)
        has = numbers[order][position] == number[portion]
        X[portion[has]] = values[order[position[has]]]
        there[start : start + PORTION] = has
    return there, damaged


def _whole_vectors(
    connection: sqlite3.Connection, stored: StoredSet, seed_of: Mapping[int, int]
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Numbers and vectors of contents whose vectors are whole, and numbers of the others."""
    query = (
        f"SELECT content, CAST(vector AS BLOB), crc FROM vectors WHERE extractor = {stored.id:d}"
    )
    found = list(_select(connection, f"{query} AND content IN", list(seed_of)))
    n_bytes = stored.dtype.itemsize * stored.n_features
    whole = [
        (number, vector)
        for number, vector, crc in found
        if isinstance(vector, bytes)
        and len(vector) == n_bytes
        and number in seed_of
        and crc32(vector, seed_of[number]) == crc
    ]
    numbers = np.array([number for number, _ in whole], dtype=np.int64)
    values = np.frombuffer(b"".join([vector for _, vector in whole]), dtype=stored.dtype)
    values = values.reshape(len(whole), stored.n_features)
    finite = np.isfinite(values).all(axis=1)
    torn = {number for number, *_ in found}.difference(numbers[finite].tolist())
    return numbers[finite], values[finite], list(torn)


def forget_vectors(
    connection: sqlite3.Connection, stored: StoredSet, contents: Sequence[int]
) -> None:
    """Remove vectors that are damaged, so that they are extracted again."""
    with _transaction(connection):
        connection.executemany(
            "DELETE FROM vectors WHERE extractor = ? AND content = ?",
            [(stored.id, content) for content in contents],
        )


def _select(connection: sqlite3.Connection, query: str, keys: Sequence[object]) -> sqlite3.Cursor:
    return connection.execute(f"{query} ({','.join('?' * len(keys))})", keys)


def save_clips(
    connection: sqlite3.Connection, stored: Sequence[StoredSet], clips: Sequence[StoredClip]
) -> int:
    """Keep what a batch found, in one transaction; return how many vectors are new."""
    with _transaction(connection):
        return _insert_clips(connection, stored, clips)


def _insert_clips(
    connection: sqlite3.Connection, stored: Sequence[StoredSet], clips: Sequence[StoredClip]
) -> int:
    connection.executemany(
        "INSERT OR IGNORE INTO contents (digest) VALUES (?)", [(clip.digest,) for clip in clips]
    )
    added = connection.executemany(
        """INSERT OR IGNORE INTO vectors (extractor, content, vector, crc)
            SELECT ?, id, ?, ? FROM contents WHERE digest = ?""",
        [
            (stored[of].id, v, checksum(v, clip.digest.hex(), stored[of].seed), clip.digest)
            for clip in clips
            for of, v in clip.vectors.items()
        ],
    )
    connection.executemany(
        """INSERT OR REPLACE INTO files (path, stamp, content)
            SELECT ?, ?, id FROM contents WHERE digest = ?""",
        [
            (_sqlite_name(clip.path), _kept_stamp(clip.stamp, clip.digest.hex()), clip.digest)
            for clip in clips
        ],
    )
    measured = {clip.digest: clip.facts for clip in clips if clip.facts is not None}
    number = _numbers(connection, list(measured))
    _insert_facts(connection, [(number[d], d.hex(), known) for d, known in measured.items()])
    return max(added.rowcount, 0)


def read_facts(
    connection: sqlite3.Connection, number: np.ndarray, content: np.ndarray
) -> dict[int, RecordingFacts]:
    """Number of a content -> what its recording is like, of those that the store knows.

    What is damaged is not known.
    """
    query = "SELECT content, CAST(facts AS BLOB), crc FROM facts WHERE content IN"
    is_known = number > 0
    seeds = map(row_seed, content[is_known].tolist())
    seed_of = dict(zip(number[is_known].tolist(), seeds, strict=True))
    wanted = list(seed_of)
    whole = [
        (found, data)
        for start in range(0, len(wanted), PORTION)
        for found, data, crc in _select(connection, query, wanted[start : start + PORTION])
        if isinstance(data, bytes) and crc32(data, seed_of[found]) == crc
    ]
    columns = json.loads(b"[%b]" % b",".join([data for _, data in whole]))
    return {of: RecordingFacts(*known) for (of, _), known in zip(whole, columns, strict=True)}


def save_facts(
    connection: sqlite3.Connection, measured: Sequence[tuple[int, str, RecordingFacts]]
) -> None:
    """Keep what recordings are like, by number and digest of their content, in a transaction."""
    with _transaction(connection):
        _insert_facts(connection, measured)


def _insert_facts(
    connection: sqlite3.Connection, measured: Sequence[tuple[int, str, RecordingFacts]]
) -> None:
    rows = [(number, digest, packed_facts(*astuple(known))) for number, digest, known in measured]
    connection.executemany(
        "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)",
        [(number, data, checksum(data, digest)) for number, digest, data in rows],
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
