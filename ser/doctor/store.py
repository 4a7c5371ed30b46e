"""Is the feature store whole? Every vector is compared with its checksum."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ser.core.errors import SerError
from ser.core.locks import writers
from ser.doctor.system import Finding
from ser.features.store_file import is_damage
from ser.features.store_layout import LAYOUT, check_ownership, checksum, refuse_others, set_seed
from ser.tracking.client import is_locked


def check_store(store: Path) -> Iterator[Finding]:
    """Look whether the feature store is whole; nothing is changed.

    Parameters
    ----------
    store : Path
        SQLite file.
    """
    if not store.exists():
        yield Finding("store", f"{store} is not there yet")
        return
    uri = f"{store.absolute().as_uri()}?mode=rw"
    try:
        refuse_others(store)
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            if check_ownership(connection, store) != LAYOUT:
                yield Finding("store", f"{store} is an older ser's; the next use brings it up")
                return
            yield from _examine(connection, store)
    except SerError as error:
        yield Finding("store", str(error), "name ser's own store by --store or SER_STORE")
    except (sqlite3.Error, UnicodeDecodeError) as error:  # names in it may be no text
        advice = _move_away(store) if is_damage(error) else "see to its disk and permissions"
        said = str(error)
        if is_locked(error):
            said, advice = writers(store), "then run this again"
        yield Finding("store", f"{store} cannot be read: {said}", advice)


def _examine(connection: sqlite3.Connection, store: Path) -> Iterator[Finding]:
    answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if answer != "ok":
        said = str(answer).splitlines()[-1]  # the first names the database
        yield Finding("store", f"{store} is damaged: {said}", _move_away(store))
        return
    sets = connection.execute("SELECT id, settings FROM extractors").fetchall()
    n_vectors = 0
    for number, settings in sets:
        n, n_damaged = _vectors(connection, number, set_seed(settings))
        n_vectors += n
        if n_damaged:
            yield Finding(
                "store",
                f"{n_damaged} of {n} vectors of {_name(settings)} are damaged",
                "the next ser.train that uses them extracts them again; see to the disk",
            )
    yield Finding(
        "store",
        f"{n_vectors} vectors of {len(sets)} feature sets, {store.stat().st_size / 1e6:.0f} MB, "
        f"{store}",
    )


def _vectors(connection: sqlite3.Connection, extractor: int, seed: int) -> tuple[int, int]:
    """How many vectors a feature set has, and how many of them are damaged."""
    query = """SELECT CAST(vector AS BLOB), crc, lower(hex(digest)) FROM vectors
        LEFT JOIN contents ON content = id WHERE extractor = ?"""
    n, n_damaged = 0, 0
    for vector, crc, digest in connection.execute(query, (extractor,)):
        n += 1
        whole = isinstance(vector, bytes) and digest and checksum(vector, digest, seed) == crc
        n_damaged += not whole
    return n, n_damaged


def _name(settings: str) -> str:
    try:
        return str(json.loads(settings)["_target_"])
    except (ValueError, LookupError, TypeError):  # damaged: no feature set asks for them any more
        return "settings that cannot be read"


def _move_away(store: Path) -> str:
    return f"all that it holds can be extracted again: mv {store} {store}.damaged"
