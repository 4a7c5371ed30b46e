"""The way to MLflow: its settings, which it reads when it is imported, and a client of a log."""

from __future__ import annotations

import atexit
import logging
import os
import re
import sqlite3

# Nothing is sent to anybody, and no bar is drawn for a copy.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Its migrations and advice about itself would bury the run's own words.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
logging.getLogger("alembic").setLevel(logging.ERROR)
# It logs a traceback of what it then raises.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

import mlflow as mlflow  # noqa: E402  others import it from here, after its settings
from mlflow.tracking import fluent  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

from ser.errors import SerError  # noqa: E402
from ser.log_database import prepare, sqlite_file  # noqa: E402
from ser.secret import without_password  # noqa: E402

# When a process exits, MLflow marks whatever run is still open as FINISHED. What is open then is
# not finished: it could not even be marked as failed.
atexit.unregister(fluent._safe_end_run)

LOG_ERRORS = (OSError, sqlite3.Error, SQLAlchemyError, mlflow.MlflowException)
# As in "(sqlite3.OperationalError) database or disk is full".
_DRIVER = re.compile(r"\((?:sqlite3|psycopg|psycopg2)\.[\w.]+\) (.+)")


def connect(uri: str) -> mlflow.MlflowClient:
    """Client of a log, which is MLflow's for this process from now on.

    Parameters
    ----------
    uri : str
        MLflow's tracking URI. A SQLite file is made where it is missing; many processes may do so
        at once.

    Raises
    ------
    SerError
        If the log cannot be made, read or reached, or is of a newer MLflow.
    """
    file = sqlite_file(uri)
    try:
        if file is not None:
            prepare(file)
        mlflow.set_tracking_uri(uri)
        return mlflow.MlflowClient()
    except LOG_ERRORS as error:
        raise unusable(uri, error) from error


def unusable(uri: str, error: Exception) -> SerError:
    """What to say of a log that cannot be used."""
    return SerError(
        f"The log {without_password(uri)} cannot be used: {without_password(_reason(error))}. Free "
        "space, permissions or a server that is down may be at fault: python -m ser.doctor looks; "
        "or set tracking.uri (or MLFLOW_TRACKING_URI) to a log that can be reached and written."
    )


def _reason(error: Exception) -> str:
    """The driver's own words, without the statement and its parameters that come along."""
    if found := _DRIVER.search(str(error)):
        return found[1]
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error).strip().partition("\n")[0].rstrip(".")
