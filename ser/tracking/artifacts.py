"""A log's files, sent and fetched: beside the log's file, wherever that is seen from here.

MLflow writes down where files lie as absolute paths. A log that was moved, or that a container sees
under a path of its own, has them beside it nevertheless; a run under way elsewhere keeps its paths.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from ser.core.process import temporary_folder
from ser.tracking import mlflow_compat
from ser.tracking.client import waiting
from ser.tracking.database import artifact_location, moved, sqlite_file

_COPIES: list[TemporaryDirectory] = []  # removed when the process ends


def located(uri: str, artifact_uri: str) -> str:
    """Where files lie that the log says are at `artifact_uri`, as a URI.

    Parameters
    ----------
    uri : str
        MLflow's tracking URI.
    artifact_uri : str
        Of a run, a model or an experiment in it.
    """
    file = sqlite_file(uri)
    if file is None:
        return artifact_uri
    for name, old in moved(file).items():
        if artifact_uri == old or artifact_uri.startswith(f"{old}/"):
            return artifact_location(file, name) + artifact_uri.removeprefix(old)
    return artifact_uri


def send(uri: str, artifact_uri: str, what: Path) -> None:
    """Copy a folder's content, or one file, to where a run's or a model's files lie."""
    with waiting(uri):
        repository = _repository(uri, artifact_uri)
        (repository.log_artifacts if what.is_dir() else repository.log_artifact)(str(what))


def fetch(uri: str, artifact_uri: str, path: str = "", folder: str | Path | None = None) -> Path:
    """Files of a run or a model as a folder or file of this machine.

    Parameters
    ----------
    uri, artifact_uri : str
    path : str
        Of one of them; all unless given.
    folder : path, optional
        Where they are copied to; unless given, files of this machine stay where they are, and of
        others a copy is there until the process ends.
    """
    if folder is None and urlsplit(artifact_uri).scheme not in ("", "file"):
        _COPIES.append(temporary_folder())
        folder = _COPIES[-1].name
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
    with waiting(uri):
        to = None if folder is None else str(folder)
        return Path(_repository(uri, artifact_uri).download_artifacts(path, to))


def _repository(uri: str, artifact_uri: str) -> Any:
    return mlflow_compat.artifact_repository(located(uri, artifact_uri), uri)
