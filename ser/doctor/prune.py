"""What can go from a log for good: runs that were deleted, with their files and models.

A folder goes only if it lies where MLflow put the run's or model's files, below the log's own
artifacts, and under its id. Nothing goes where another log may know the same files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Experiment, ViewType

from ser.core.databases import has_tables
from ser.core.errors import SerError
from ser.core.process import maker_of
from ser.core.redact import without_secrets
from ser.doctor.listing import all_models, all_runs, all_versions, local_folder
from ser.doctor.log import damage_of
from ser.features.store_layout import has_mark
from ser.tracking.artifacts import located
from ser.tracking.client import connect
from ser.tracking.database import ARTIFACTS, is_log, moved, sqlite_file
from ser.tracking.models import model_id_of

# MLflow's command, its options from the environment too: others see a command line, and a URI may
# have a password.
_MLFLOW = "from mlflow.cli import cli; cli(auto_envvar_prefix='MLFLOW')"
PORTION = 1000  # runs that MLflow is asked to remove at once


@dataclass(frozen=True)
class Prunable:
    """What can be removed for good.

    Attributes
    ----------
    runs, models : tuple of str
        Ids of runs that were deleted, and of their models that the registry does not name.
    folders : tuple of Path
        Their files.
    kept : tuple of str
        What looks like it, and stays: sentences.
    """

    runs: tuple[str, ...]
    models: tuple[str, ...]
    folders: tuple[Path, ...]
    kept: tuple[str, ...]

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
    """Runs that were deleted in the UI, and their models.

    A deleted run's model that a version in the registry names stays, and whatever has its files
    elsewhere than below the log's own artifacts.

    Raises
    ------
    SerError
        If there is no log, it is damaged, or another one lies beside it.
    """
    file = sqlite_file(uri)
    if file is not None:
        _check_alone(file)
    client = connect(uri)
    experiments = client.search_experiments(view_type=ViewType.ALL)
    location = {experiment.experiment_id: experiment for experiment in experiments}
    deleted = list(all_runs(client, experiments, ViewType.DELETED_ONLY))
    registered = {model_id_of(version) for version in all_versions(client)}
    runs, models, folders, kept = [], [], [], []
    for run in deleted:
        place = _Place(
            uri, run.info.artifact_uri, location[run.info.experiment_id], run.info.run_id
        )
        if place.is_owned_by(file):
            runs.append(run.info.run_id)
            folders.append(place.folder)
        else:
            kept.append(f"deleted run {run.info.run_id} stays: its files are elsewhere, at {place}")
    owned = set(runs)
    for model in all_models(client, experiments):
        if model.source_run_id not in owned or model.model_id in registered:
            continue
        place = _Place(uri, model.artifact_location, location[model.experiment_id], model.model_id)
        if place.is_owned_by(file):
            models.append(model.model_id)
            folders.append(place.folder)
    found = tuple(folder for folder in folders if folder is not None and folder.is_dir())
    return Prunable(tuple(sorted(runs)), tuple(models), found, tuple(kept))


@dataclass(frozen=True)
class _Place:
    """Where the log says that the files of a run or model are."""

    log: str
    uri: str
    experiment: Experiment
    id: str

    def __str__(self) -> str:
        return self.uri

    @property
    def folder(self) -> Path | None:
        """On this machine, around its ``artifacts``; None where a server keeps it."""
        folder = local_folder(located(self.log, self.uri))
        return folder.parent if folder is not None else None

    def is_owned_by(self, file: Path | None) -> bool:
        """Whether MLflow laid it there for this log, whose SQLite file this is if it has one."""
        location = self.experiment.artifact_location.rstrip("/")
        if self.uri not in (f"{location}/{i}/artifacts" for i in (self.id, f"models/{self.id}")):
            return False
        if file is None or self.folder is None:
            return True
        # Resolved, but for its own name: a link there may lead to another run's.
        real = self.folder.parent.resolve() / self.folder.name
        own = file.parent / ARTIFACTS
        if own.is_symlink() or real != real.resolve():  # it may lead to another log's
            return False
        return any(own.samefile(folder) for folder in real.parents if folder.is_dir())


def _check_alone(file: Path) -> None:
    """Refuse to prune where another log may know the same files."""
    if not file.exists():
        raise SerError(f"There is no log {file}: name one by --uri.")
    if is_log(file) and (damage := damage_of(file)):
        raise SerError(f"Nothing was removed: {file} is damaged, or no database: {damage}.")
    for other in sorted(file.parent.iterdir()):
        # What `ser.tracking.database` makes of this log: backups, and files under way.
        names = (f"{file.name}.*.backup", f".{file.name}.*.part")  # the latter by an older ser
        is_its_own = maker_of(other.name) or any(map(other.match, names))
        if other != file and not is_its_own and other.is_file() and _may_be_log(other):
            raise SerError(
                f"Nothing was removed: {other} lies beside the log {file}, and may know the same "
                "files. Give each log a folder of its own, with its artifacts."
            )


def _may_be_log(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            if opened.read(16) != b"SQLite format 3\0" or has_mark(file):
                return False
    except OSError:
        return True  # nobody can tell
    return has_tables(file, "experiments")


def remove(uri: str, unused: Prunable) -> None:
    """Remove for good what `prunable` lists, by MLflow's own ``gc``; then the folders left.

    Raises
    ------
    SerError
        If a run may be under way that knows the log under another path, or MLflow fails.
    """
    client = connect(uri, mend=True)  # MLflow goes by the paths that the log has
    if (file := sqlite_file(uri)) and moved(file):
        raise SerError(
            f"Nothing was removed: {file} was moved, or is seen under another path, and a run of "
            "it may be under way. Run this again when that has ended; ser.doctor names it."
        )
    for model in unused.models:
        client.delete_logged_model(model)
    # Without ids of runs MLflow would remove every deleted run; a command's word has 128 KiB.
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "MLFLOW_GC_BACKEND_STORE_URI": uri}
    n_portions = -(-len(unused.runs) // PORTION)
    for k in range(n_portions):
        command = [sys.executable, "-c", _MLFLOW, "gc"]
        command += ["--run-ids", ",".join(unused.runs[k::n_portions])]
        if models := unused.models[k::n_portions]:
            command += ["--logged-model-ids", ",".join(models)]
        result = subprocess.run(command, capture_output=True, text=True, env=environment)
        if result.returncode:
            last = without_secrets(result.stderr.strip().rpartition("\n")[2])
            raise SerError(f"MLflow could not remove what was deleted: {last}")
    for folder in unused.folders:
        shutil.rmtree(folder, ignore_errors=True)
