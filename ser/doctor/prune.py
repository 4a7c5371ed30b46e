"""What can go from a log for good: runs that were deleted, and files that no run refers to."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import ViewType

from ser.core.errors import SerError
from ser.core.redact import without_secrets
from ser.doctor.listing import all_models, all_runs, all_versions, local_folder
from ser.tracking.client import connect
from ser.tracking.database import ARTIFACTS, sqlite_file
from ser.tracking.models import model_id_of

_RUN_FOLDER = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class Prunable:
    """What can be removed for good.

    Attributes
    ----------
    runs, models : tuple of str
        Ids of runs that were deleted, and of their models that the registry does not name.
    folders : tuple of Path
        Their files, and those of runs that the log does not know.
    """

    runs: tuple[str, ...]
    models: tuple[str, ...]
    folders: tuple[Path, ...]

    @property
    def n_bytes(self) -> int:
        """Size of all files."""
        return sum(
            file.stat().st_size
            for folder in self.folders
            for file in folder.rglob("*")
            if file.is_file()
        )


def prunable(uri: str) -> Prunable:
    """Runs that were deleted in the UI, and folders that no run of the log refers to.

    A deleted run's model that a version in the registry names stays.
    """
    client = connect(uri)
    experiments = client.search_experiments(view_type=ViewType.ALL)
    deleted = list(all_runs(client, experiments, ViewType.DELETED_ONLY))
    ids = {run.info.run_id for run in deleted}
    registered = {model_id_of(version) for version in all_versions(client)}
    models = [
        model
        for model in all_models(client, experiments)
        if model.source_run_id in ids and model.model_id not in registered
    ]
    folders = [local_folder(run.info.artifact_uri) for run in deleted]
    folders += [local_folder(model.artifact_location) for model in models]
    known = {run.info.run_id for run in all_runs(client, experiments, ViewType.ALL)}
    if file := sqlite_file(uri):
        for folder in (file.parent / ARTIFACTS).glob("*/*"):
            if _RUN_FOLDER.fullmatch(folder.name) and folder.name not in known:
                folders.append(folder)
    return Prunable(
        runs=tuple(sorted(ids)),
        models=tuple(model.model_id for model in models),
        folders=tuple(
            _whole(folder) for folder in folders if folder is not None and folder.is_dir()
        ),
    )


def remove(uri: str, unused: Prunable) -> None:
    """Remove for good what `prunable` lists, by MLflow's own ``gc``; then the folders left.

    Raises
    ------
    SerError
        If MLflow does not remove it.
    """
    client = connect(uri)
    for model in unused.models:
        client.delete_logged_model(model)
    wanted = []
    if unused.runs:
        wanted += ["--run-ids", ",".join(unused.runs)]
    if unused.models:
        wanted += ["--logged-model-ids", ",".join(unused.models)]
    if wanted:
        command = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", uri]
        command += ["--tracking-uri", uri, *wanted]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            last = without_secrets(result.stderr.strip().rpartition("\n")[2])
            raise SerError(f"MLflow could not remove what was deleted: {last}")
    for folder in unused.folders:
        shutil.rmtree(folder, ignore_errors=True)


def _whole(folder: Path) -> Path:
    """A run's or model's folder around its ``artifacts``, which MLflow leaves empty."""
    return folder.parent if folder.name == ARTIFACTS else folder
