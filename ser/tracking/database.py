"""The log's SQLite file, before MLflow opens it: whole, at its place, and of this MLflow's age.

MLflow makes its tables one by one, and a kill in between leaves a file that it can never open
again; it writes down where artifacts lie as absolute paths, so that a moved log shows none; and
it migrates an older file in place. So here a new file is made under another name and renamed, a
moved one gets its paths mended, and an older one is migrated as a copy, with a backup left beside.
Neither is done to a log with a run under way: its process has the old paths, and the old file open.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Container, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import mlflow
from sqlalchemy import make_url

from ser.core.databases import has_tables
from ser.core.errors import SerError
from ser.core.locks import locked
from ser.core.paths import path_of
from ser.core.printable import file_name
from ser.core.process import is_alive, writing
from ser.tracking import mlflow_compat

PROCESS = "process"  # tag of a run: whose it is (ser.core.process)
ARTIFACTS = "artifacts"  # folder beside the file: a folder for each experiment
LONGEST = 7 * 86_400  # seconds after which a RUNNING run that names no process is taken for dead
BUSY_TIMEOUT = 60.0  # seconds that SQLite waits while another process writes
_SQLITE = re.compile(r"sqlite(\+\w+)?://(?:/(?P<path>.*))?", re.S)
# Where MLflow writes down absolute paths: table, column.
_PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def sqlite_file(uri: str) -> Path | None:
    """The file of a ``sqlite:///`` URI, without symbolic links; None for another store.

    Raises
    ------
    SerError
        If it is empty, in memory, or another file to the database than to MLflow, which does not
        decode it.
    """
    if not isinstance(uri, str) or not uri.strip():
        raise SerError(
            f"tracking.uri (or MLFLOW_TRACKING_URI) is {uri!r}: give the log's place, as "
            "sqlite:////home/me/mlflow.db, or leave it out."
        )
    known = _SQLITE.fullmatch(uri)
    if known is None:
        return None
    if known["path"] in (None, "", ":memory:"):
        raise SerError(
            f"{uri} is a database in memory, and all of it would be lost at the end: give a file, "
            "as sqlite:////home/me/mlflow.db."
        )
    prefix, path = "sqlite:///", known["path"]
    file = Path(path).resolve()
    for name in (path, str(file)):
        if (database := make_url(f"{prefix}{name}").database or "") != name:
            raise SerError(
                f"The log {name} would be {database} to the database: in its URI a ? begins "
                "parameters, and % with two digits is a sign. Set tracking.uri (or "
                "MLFLOW_TRACKING_URI) to a place without them, as sqlite:////home/me/mlflow.db."
            )
    return file


def artifact_location(file: Path, experiment: str) -> str:
    """Where an experiment's artifacts lie beside the file, as a URI."""
    return (file.parent / ARTIFACTS / file_name(experiment)).as_uri()


def prepare(file: Path, *, mend: bool = False, gone: Container[str] = ()) -> None:
    """Make the file where it is missing, and migrate it where it is old.

    Parameters
    ----------
    file : Path
        Many processes may prepare one at once.
    mend : bool
        Whether, where it was moved, its paths are mended: for MLflow's own programs, as `ser` finds
        the files beside it (`ser.tracking.artifacts`). Not while a run may be under way.
    gone : container of str
        Runs that are known to be under way no more.

    Raises
    ------
    SerError
        If a newer MLflow has written it, it is no log of MLflow's, or it is old and has a run under
        way.
    OSError, sqlite3.Error
        If it cannot be read, or what is to be done cannot be written.
    """
    if file.exists() and not file.is_file():
        raise SerError(f"The log {file} is no file: name another by tracking.uri.")
    if file.exists() and not is_old(file) and not (mend and moved(file)):
        return  # as nearly always: nothing is locked or written
    with writing_alone(file):
        if not file.exists():
            _make(file)
        running = {run: by for run, by in _processes(file).items() if run not in gone}
        under_way = [run for run, process in running.items() if is_alive(process) is not False]
        if is_old(file):
            if under_way:
                ids = " ".join(under_way)
                raise SerError(
                    f"The log {file} is an older MLflow's, and runs of it are, or may be, under "
                    "way: run this again when they have ended. It then brings the log up to date. "
                    f"If they have ended: python -m ser.doctor --close {ids}."
                )
            _migrate(file)
        if mend and not under_way:
            for name, old in moved(file).items():
                _mend(file, old, artifact_location(file, name))


def writing_alone(file: Path) -> AbstractContextManager[None]:
    """Hold the log's lock, which is among its artifacts: its folder may be the working folder."""
    return locked(file.parent / ARTIFACTS / f"{file.name}.lock", f"the log {file}")


def _make(file: Path) -> None:
    with writing(file) as part:
        # With MLflow's default experiment, which processes would else race to make.
        mlflow_compat.make_database(part, (file.parent / ARTIFACTS).as_uri())


def _migrate(file: Path) -> None:
    """Migrate a copy, and put it in the file's place; what was there stays as a backup."""
    from mlflow.db import upgrade

    with writing(file.with_name(f"{file.name}.{_revision(file)}.backup")) as copy:
        _copy(file, copy)
    with writing(file) as part:
        _copy(file, part)
        with mlflow_compat.migrating:
            upgrade.main([f"sqlite:///{part}"], standalone_mode=False)  # mlflow db upgrade


def _copy(file: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.execute("PRAGMA journal_mode = DELETE")  # no log of its own left behind
        old.backup(new)


def is_old(file: Path) -> bool:
    """Whether an older MLflow has written the file.

    Raises
    ------
    SerError
        If a newer one has, or none.
    """
    revision = _revision(file)
    if revision == mlflow_compat.newest_revision():
        return False
    if revision is not None and mlflow_compat.knows_revision(revision):
        return True
    raise SerError(
        f"The log {file} is "
        + ("no log of MLflow's" if revision is None else f"a newer MLflow's (schema {revision})")
        + f"; this is MLflow {mlflow.__version__}. Install that MLflow, or name another log by "
        "tracking.uri or MLFLOW_TRACKING_URI."
    )


def is_log(file: Path) -> bool:
    """Whether a database is a log of MLflow's, or may be: nothing of it is changed to look."""
    return has_tables(file, "experiments", "alembic_version")


def _revision(file: Path) -> str | None:
    if not is_log(file):
        return None
    with _reading(file) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else None


def _processes(file: Path) -> dict[str, str]:
    """Runs that say RUNNING: the process of each; empty where another program began it of late."""
    of_late = 1000 * (time.time() - LONGEST)
    with _reading(file) as connection:
        rows = connection.execute(
            "SELECT runs.run_uuid, coalesce(value, '') FROM runs LEFT JOIN tags "
            "ON tags.run_uuid = runs.run_uuid AND key = ? WHERE status = 'RUNNING' "
            "AND lifecycle_stage = 'active' AND (value IS NOT NULL OR start_time > ?)",
            (PROCESS, of_late),
        )
        return dict(rows)


def moved(file: Path) -> dict[str, str]:
    """Experiments whose artifacts lie beside the file, but are said to lie elsewhere: their URIs.

    An experiment that ser made has its own name as its folder's, in a folder `ARTIFACTS`: other
    places were chosen by somebody, and stay.
    """
    with _reading(file) as connection:
        rows = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
    return {
        name: uri
        for name, uri in rows
        if uri
        and uri != artifact_location(file, name)
        and uri.startswith("file:")
        and uri.endswith(f"/{'/'.join(artifact_location(file, name).split('/')[-2:])}")
        and (file.parent / ARTIFACTS / file_name(name)).is_dir()
        and not _is_folder(uri, file.parent / ARTIFACTS / file_name(name))
    }


def _is_folder(uri: str, folder: Path) -> bool:
    """Whether a URI is a folder by another path, as of a bind mount: it may stay as it is."""
    try:
        return folder.samefile(path_of(uri))
    except OSError:
        return False


def _mend(file: Path, old: str, new: str) -> None:
    with closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT)) as connection, connection:
        for table, column in _PATHS:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
            )


@contextmanager
def _reading(file: Path) -> Iterator[sqlite3.Connection]:
    # rw, and never made anew: what a killed process has half written is rolled back by the next
    # that opens the file, which must then be able to write. On a read-only disk rw is read-only.
    uri = f"{file.as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT)) as connection:
        yield connection
