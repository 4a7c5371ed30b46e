"""A client of a log. Nothing of the process is set: several logs can be open at once."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Container
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any

import mlflow
from sqlalchemy.exc import SQLAlchemyError

from ser.core.errors import SerError
from ser.core.locks import told, writers
from ser.core.printable import is_text
from ser.core.redact import without_secrets
from ser.tracking import mlflow_compat
from ser.tracking.database import BUSY_TIMEOUT, prepare, sqlite_file

LOG_ERRORS = (OSError, ImportError, sqlite3.Error, SQLAlchemyError, mlflow.MlflowException)
# As in "(sqlite3.OperationalError) database or disk is full".
_DRIVER = re.compile(r"\((?:sqlite3|psycopg|psycopg2)\.[\w.]+\) (.+)")


class _Client(mlflow.MlflowClient):
    """MLflow's, which asks for minutes where no log answers; this one says what it waits for."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name.startswith("_") or not callable(value):
            return value

        @wraps(value)
        def call(*args: Any, **kwargs: Any) -> Any:
            with waiting(self.tracking_uri):
                return value(*args, **kwargs)

        return call


def connect(uri: str, *, mend: bool = False, gone: Container[str] = ()) -> mlflow.MlflowClient:
    """Client of a log and of its registry.

    Parameters
    ----------
    uri : str
        MLflow's tracking URI. A SQLite file is made where it is missing; many processes may do so
        at once.
    mend : bool
        Whether the paths in a log that was moved are mended: see `ser.tracking.database.prepare`.
    gone : container of str
        Runs that are known to be under way no more.

    Raises
    ------
    SerError
        If the log cannot be made, read or reached, is of a newer MLflow, or its name is no UTF-8.
    """
    file = sqlite_file(uri)
    if not is_text(uri):
        raise SerError(
            f"The log {uri} has bytes in its name that are no UTF-8, as MLflow needs. Rename its "
            "folder, or name another log by tracking.uri or MLFLOW_TRACKING_URI."
        )
    try:
        with waiting(uri):
            if file is not None:
                prepare(file, mend=mend, gone=gone)
            return client_of(uri)
    except LOG_ERRORS as error:
        raise unusable(uri, error) from error


def client_of(uri: str) -> mlflow.MlflowClient:
    """Client of a log that has been looked at."""
    return _Client(tracking_uri=uri, registry_uri=uri)


def waiting(uri: str) -> AbstractContextManager[None]:
    """Say that the log is waited for, where the block takes longer than a moment."""

    def what() -> str:
        file = sqlite_file(uri)
        why = writers(file) if file else "it is slow, or does not answer: is it up?"
        limit = f"for at most {BUSY_TIMEOUT:.0f} s" if file else mlflow_compat.patience(uri)
        return f"the log {without_secrets(uri)}, {limit}: {why}"

    return told(what)


def unusable(uri: str, error: Exception) -> SerError:
    """What to say of a log that cannot be used."""
    file = sqlite_file(uri)
    if file and is_locked(error):
        return SerError(
            f"The log {file} cannot be used now: {writers(file)} Run this again when that has "
            "ended."
        )
    return SerError(
        f"The log {without_secrets(uri)} cannot be used: {reason_of(error)}. Free "
        "space, permissions or a server that is down may be at fault: python -m ser.doctor looks; "
        "or set tracking.uri (or MLFLOW_TRACKING_URI) to a log that can be reached and written."
    )


def is_locked(error: BaseException) -> bool:
    """Whether a SQLite file cannot be used as another process has it."""
    return "database is locked" in str(error)


def reason_of(error: Exception) -> str:
    """The driver's own words, without the statement and its parameters, nor a password."""
    return without_secrets(_reason(error))


def _reason(error: Exception) -> str:
    if match := _DRIVER.search(str(error)):
        return match[1]
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error).strip().partition("\n")[0].rstrip(".")
