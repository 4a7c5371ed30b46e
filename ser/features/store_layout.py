"""The tables of the store's SQLite file: whose it is, of which layout, and what checks its rows.

A file is `ser`'s by SQLite's ``application_id``, never by its name or by the names of its tables:
whatever else lies there is refused, and nothing of it is changed.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Sequence
from math import nan
from pathlib import Path

from ser.core.databases import views
from ser.core.errors import SerError
from ser.data import facts

APPLICATION_ID = int.from_bytes(b"SERf", "big")
LAYOUT = 4  # of the tables; SQLite's user_version
WITHOUT_FACTS, WITHOUT_CHECKSUMS = 2, 3  # layouts before, which had no `APPLICATION_ID`

_FACTS = """CREATE TABLE facts (
    content INTEGER PRIMARY KEY REFERENCES contents, facts BLOB NOT NULL, crc INTEGER)"""
_SCHEMA = (
    "CREATE TABLE extractors (id INTEGER PRIMARY KEY, settings TEXT NOT NULL UNIQUE)",
    "CREATE TABLE contents (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE)",
    """CREATE TABLE vectors (
        extractor INTEGER NOT NULL REFERENCES extractors,
        content INTEGER NOT NULL REFERENCES contents,
        vector BLOB NOT NULL,
        crc INTEGER,
        PRIMARY KEY (extractor, content)) WITHOUT ROWID""",
    """CREATE TABLE files (
        path TEXT PRIMARY KEY, stamp TEXT NOT NULL,
        content INTEGER NOT NULL REFERENCES contents) WITHOUT ROWID""",
    _FACTS,
)
_TABLES = """SELECT name, group_concat(column, ' ') FROM (
    SELECT m.name, c.name AS column FROM sqlite_master m, pragma_table_info(m.name) c
    WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite^_%' ESCAPE '^'
    ORDER BY m.name, c.cid) GROUP BY name"""
_UNCHECKED = {
    "contents": "id digest",
    "extractors": "id settings",
    "files": "path stamp content",
    "vectors": "extractor content vector",
}
_OLD_TABLES = {
    WITHOUT_FACTS: _UNCHECKED,
    WITHOUT_CHECKSUMS: _UNCHECKED | {"facts": " ".join(("content", *facts.NAMES))},
}
_ADD_CHECKSUMS = (
    "ALTER TABLE vectors ADD COLUMN crc INTEGER",
    """UPDATE vectors SET crc = checksum(
        vector, (SELECT hex(digest) FROM contents WHERE id = content),
        (SELECT settings FROM extractors WHERE id = extractor))""",
    "UPDATE files SET stamp = stamp || ' ' || "
    "(SELECT substr(lower(hex(digest)), 1, 8) FROM contents WHERE id = content)",
)
_PACK_FACTS = (
    "ALTER TABLE facts RENAME TO old_facts",
    _FACTS,
    f"""INSERT INTO facts SELECT content, known, checksum(known, digest, '') FROM
        (SELECT content, hex(digest) AS digest, packed_facts({", ".join(facts.NAMES)}) AS known
            FROM old_facts JOIN contents ON content = id)""",
    "DROP TABLE old_facts",
)


def checksum(data: bytes, digest: str, seed: int = 0) -> int:
    """Of what is kept of a clip, and of which clip it is: ``crc32(data, row_seed(...))``."""
    return zlib.crc32(data, row_seed(digest, seed))


def row_seed(digest: str, seed: int = 0) -> int:
    """Where the checksum of a row begins: one under another clip's number is found too.

    Parameters
    ----------
    digest : str
        Hexadecimal, of the clip's content.
    seed : int
        Of a vector, `set_seed` of what computed it.
    """
    return zlib.crc32(digest.encode(), seed)


def set_seed(settings: str) -> int:
    """Where the checksums of a feature set's vectors begin."""
    return zlib.crc32(settings.encode())


def packed_facts(*columns: object) -> bytes:
    """What a recording is like, as the store keeps it: JSON, in the order of `facts.NAMES`."""
    return json.dumps([nan if column is None else column for column in columns]).encode()


def refuse_no_file(path: Path) -> bool:
    """Refuse a folder, a pipe, a device: SQLite would open it. Return whether a file is there."""
    if path.exists() and not path.is_file():
        raise SerError(f"The feature store {path} is no file: give one with store=FILE.")
    return path.is_file()


def refuse_others(path: Path) -> None:
    """Refuse a file that is no store of ser's; neither it nor what lies beside it is changed.

    Raises
    ------
    SerError
        If it is another's, or cannot be read.
    """
    try:
        if refuse_no_file(path):
            any(check_ownership(view, path) for view in views(path))
    except sqlite3.DatabaseError:
        if not has_mark(path):  # which is damaged, or is being made
            raise
    except OSError as error:
        raise SerError(
            f"The feature store {path} cannot be looked at: {error.strerror}. Give another place "
            "with store=FILE."
        ) from error


def check_ownership(connection: sqlite3.Connection, path: Path) -> int:
    """Layout of the store; 0 of a file without a table.

    Raises
    ------
    SerError
        If the file is no store of ser's, or of a newer one. Nothing is changed.
    """
    refused = f"{path} is no feature store of ser's"
    alone = not connection.in_transaction
    try:
        if alone:
            connection.execute("BEGIN")  # one view of it, while another process brings it up
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (layout,) = connection.execute("PRAGMA user_version").fetchone()
        tables = {} if mark == APPLICATION_ID else dict(connection.execute(_TABLES))
    except sqlite3.DatabaseError as error:
        damage = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
        if error.sqlite_errorcode & 0xFF not in damage or has_mark(path):
            raise
        raise SerError(
            f"{refused}, or its first page is damaged ({error}). It is left as it is: give another "
            "place with store=FILE."
        ) from error
    finally:
        if alone and connection.in_transaction:
            connection.execute("ROLLBACK")
    is_ours = mark == APPLICATION_ID or not (mark or layout or tables)
    if not is_ours and (mark or tables != _OLD_TABLES.get(layout)):
        what = f"tables {', '.join(tables)}" if tables else "another program's mark"
        raise SerError(
            f"{refused}, but a database with {what}. It is left as it is: give another place with "
            "store=FILE."
        )
    if layout > LAYOUT:
        raise SerError(
            f"The feature store {path} was made by a newer ser. Give another place with store=FILE."
        )
    return layout


def has_mark(path: Path) -> bool:
    """Whether the file's first bytes say that it is ser's, whatever has become of the others."""
    with path.open("rb") as file:
        return file.read(72)[68:] == APPLICATION_ID.to_bytes(4, "big")


def lay_out(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables that are not there; give older rows their checksums, once.

    Raises
    ------
    SerError
        If the file is no store of ser's, or of a newer one.
    """
    if check_ownership(connection, path) == LAYOUT:
        return
    connection.execute("BEGIN IMMEDIATE")
    layout = check_ownership(connection, path)  # another process may have been faster
    if layout == 0:
        _run(connection, _SCHEMA)
    elif layout < LAYOUT:
        connection.create_function("checksum", 3, _old_checksum)
        connection.create_function("packed_facts", len(facts.NAMES), packed_facts)
        _run(connection, _ADD_CHECKSUMS)
        _run(connection, (_FACTS,) if layout == WITHOUT_FACTS else _PACK_FACTS)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {LAYOUT}")
    connection.execute("COMMIT")


def _run(connection: sqlite3.Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        connection.execute(statement)


def _old_checksum(data: object, digest: object, settings: object) -> int | None:
    """For SQLite; none of a row that is damaged already, which is then extracted again."""
    if isinstance(data, bytes) and isinstance(digest, str) and isinstance(settings, str):
        return checksum(data, digest.lower(), set_seed(settings))
    return None
