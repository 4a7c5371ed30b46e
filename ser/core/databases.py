"""SQLite files, looked at without a change: whose is a file, before anything opens it for good.

Whoever opens a database brings in what lies beside it, of a writer that is at work or was killed:
``FILE-wal``, ``FILE-journal``. Of somebody else's that would be a change.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from ser.core.process import temporary_folder

_BESIDE = ("-wal", "-journal")


def views(file: Path) -> Iterator[sqlite3.Connection]:
    """Connections to a database that change neither it nor what lies beside it.

    The first sees the file alone. If there is something beside it, the second sees a copy of all:
    ask it only what the first does not know.
    """
    file = file.resolve()
    with closing(sqlite3.connect(f"{file.as_uri()}?immutable=1", uri=True)) as connection:
        yield connection
    beside = [name for end in _BESIDE if (name := Path(f"{file}{end}")).is_file()]
    if not beside:
        return
    with temporary_folder() as folder:
        for name in (file, *beside):
            with suppress(FileNotFoundError):  # its writer has ended
                shutil.copyfile(name, Path(folder, name.name))
        with closing(sqlite3.connect(Path(folder, file.name))) as connection:
            yield connection


def has_tables(file: Path, *names: str) -> bool:
    """Whether a database has all these tables; true where nobody can tell."""
    query = f"SELECT count(*) FROM sqlite_master WHERE name IN ({','.join('?' * len(names))})"
    try:
        return any(view.execute(query, names).fetchone()[0] == len(names) for view in views(file))
    except (OSError, sqlite3.Error):
        return True
