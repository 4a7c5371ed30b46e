"""What MLflow does not promise to keep: its private names, and those of its server, stand here.

Everything else in `ser` keeps to MLflow's documented functions. Each function here says why there
is no other way; the versions of MLflow between which they are tested are in ``pyproject.toml``, and
``.ci/oldest`` tests the oldest.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import Any
from unittest import mock

import mlflow

# Variables that MLflow's scoring server sets, whichever way it is started: nothing public tells a
# model whether it is being served.
SERVING_VARIABLES = ("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "__pyfunc_model_path__")

# Every migration is logged, and errors of the database are, with a traceback, before being raised.
logging.getLogger("alembic").setLevel(logging.ERROR)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
# Each of MLflow's retries; that a server does not answer is said once (`ser.core.locks.told`).
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

_patching = Lock()
# Alembic keeps the migration under way for the whole process: two threads would mix theirs.
migrating = Lock()


def patience(uri: str) -> str:
    """How long MLflow asks a server, or a database, that does not answer; in words."""
    from mlflow import environment_variables as of
    from mlflow.store.db.utils import MAX_RETRY_COUNT

    if not uri.startswith("http"):
        seconds = sum(0.1 * (2**attempt - 1) for attempt in range(1, MAX_RETRY_COUNT))
        return f"which is asked {MAX_RETRY_COUNT} times, for {seconds:.0f} s where it refuses"
    retries = of.MLFLOW_HTTP_REQUEST_MAX_RETRIES.get()
    pauses = (of.MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR.get() * 2**n for n in range(retries))
    longest = (retries + 1) * of.MLFLOW_HTTP_REQUEST_TIMEOUT.get()
    longest += sum(min(pause, 120) for pause in pauses)  # urllib3's bound
    return f"for at most {longest / 60:.0f} minutes"


def make_database(file: Path, artifacts: str) -> None:
    """Make a log's tables, with MLflow's default experiment.

    A client would make them too, but with the default experiment's files in the working folder.

    Parameters
    ----------
    file : Path
        SQLite file that is not there yet.
    artifacts : str
        URI of the folder of artifacts.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with migrating:
        store = SqlAlchemyStore(f"sqlite:///{file}", artifacts)
        store.engine.dispose()


def artifact_repository(artifact_uri: str, uri: str) -> Any:
    """What sends and fetches files: a client would, but only where the log says that they lie.

    Parameters
    ----------
    artifact_uri : str
        Where they lie.
    uri : str
        MLflow's tracking URI, of a server that may keep them.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(artifact_uri, tracking_uri=uri)


@cache
def newest_revision() -> str:
    """Revision of the schema that this MLflow writes. Nothing public says it."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    return _get_latest_schema_revision()  # reads all migrations: longer than all else at a start


def knows_revision(revision: str) -> bool:
    """Whether this MLflow has a schema's revision among its migrations. Nothing public says it."""
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError
    from mlflow.store.db.utils import _get_alembic_config

    migrations = ScriptDirectory.from_config(_get_alembic_config(""))
    try:
        return migrations.get_revision(revision) is not None
    except CommandError:
        return False


@contextmanager
def unchecked_requirements() -> Iterator[None]:
    """Let a model be saved without a look at each package's modules, which takes half a second.

    MLflow checks requirements that are what is installed against a map of every module of every
    package; no argument turns that off.
    """
    from mlflow.utils import requirements_utils

    with _patching, mock.patch.object(requirements_utils, "_MODULES_TO_PACKAGES", {}):
        yield


@contextmanager
def registering(uri: str) -> Iterator[None]:
    """Let a model of this log be registered, whatever log is MLflow's default.

    MLflow's registry in a database looks a version's model up in the default log (a TODO there
    says so). Its other way to name a model, by the place of its files, loses the link to it.
    """
    from mlflow.store.model_registry import sqlalchemy_store

    client = partial(mlflow.MlflowClient, tracking_uri=uri, registry_uri=uri)
    with _patching, mock.patch.object(sqlalchemy_store, "MlflowClient", client):
        yield


def ui() -> Any:
    """The web application of MLflow's server: its pages, and what they ask for."""
    from mlflow.server.fastapi_app import app

    return app


def is_served() -> bool:
    """Whether this process is MLflow's scoring server."""
    return any(name in os.environ for name in SERVING_VARIABLES)


def limit_server(middleware: Any) -> None:
    """Put a middleware into the web application that MLflow's scoring server is about to make.

    The server loads the model and then makes its application, the next one of this process; there
    is no place where a model could give it one.
    """
    from fastapi import FastAPI

    make = FastAPI.__init__

    def make_limited(app: FastAPI, *arguments: Any, **options: Any) -> None:
        FastAPI.__init__ = make  # type: ignore[method-assign]
        make(app, *arguments, **options)
        app.add_middleware(middleware)

    FastAPI.__init__ = make_limited  # type: ignore[assignment, method-assign]
