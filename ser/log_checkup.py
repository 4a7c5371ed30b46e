"""Is the log whole? Runs that died, runs that lack something, files that nothing refers to.

Whatever says FINISHED must have what its manifest lists (`ser.tracking`); whatever says RUNNING
must have a process (`ser.process`). A run whose process is gone is closed: that is the one thing
that is changed unasked.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow.entities import Experiment, LoggedModel, LoggedModelStatus, ViewType
from mlflow.entities import Run as MlflowRun
from mlflow.entities.model_registry import ModelVersion

from ser.checkup import Finding
from ser.errors import SerError
from ser.log_client import LOG_ERRORS, connect, mlflow
from ser.log_database import ARTIFACTS, sqlite_file
from ser.process import host_of, is_alive
from ser.secret import without_password
from ser.tracking import MANIFEST, PROCESS

GONE = "its process ended without a word"
PAGE = 1000  # rows asked for at once
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


def examine(uri: str, *, close: bool = True) -> Iterator[Finding]:
    """Look at a log's database, runs, models and files.

    Parameters
    ----------
    uri : str
        MLflow's tracking URI.
    close : bool
        Whether runs whose process is gone are marked FAILED.
    """
    try:
        client = connect(uri)
        experiments = client.search_experiments(view_type=ViewType.ALL)
    except (SerError, *LOG_ERRORS) as error:
        advice = "start its server, mend its permissions, or name another by MLFLOW_TRACKING_URI"
        yield Finding("log", str(error), advice)
        return
    yield from _database(uri)
    yield from _places(experiments, client)
    n_finished, n_unlisted = 0, 0
    for run in _runs(client, experiments):
        status = run.info.status
        if status == "RUNNING":
            yield from _running(client, run, close=close)
        elif status == "FINISHED":
            n_finished += 1
            manifest = _manifest(run)
            n_unlisted += manifest is None
            if manifest and (missing := _missing(client, run, manifest)):
                yield Finding(
                    "runs",
                    f"{_named(run)} is FINISHED but lacks {missing}",
                    f"{run.data.tags.get('command', 'its command')} makes it again",
                )
    older = f", {n_unlisted} without a local manifest" if n_unlisted else ""
    yield Finding("runs", f"{n_finished} finished runs looked at{older}")
    yield from _registry(client)


def close_run(uri: str, run_id: str) -> Finding:
    """Mark a run FAILED, whoever it is of.

    Raises
    ------
    SerError
        If there is no such run, or it is not RUNNING.
    """
    client = connect(uri)
    try:
        run = client.get_run(run_id)
    except mlflow.MlflowException as error:
        raise SerError(f"There is no run {run_id} in {without_password(uri)}.") from error
    if run.info.status != "RUNNING":
        raise SerError(f"{_named(run)} is not RUNNING, but {run.info.status}.")
    return _close(client, run, "closed by hand")


def prunable(uri: str) -> Prunable:
    """Runs that were deleted in the UI, and folders that no run of the log refers to.

    A deleted run's model that a version in the registry names stays.
    """
    client = connect(uri)
    experiments = client.search_experiments(view_type=ViewType.ALL)
    deleted = list(_runs(client, experiments, ViewType.DELETED_ONLY))
    ids = {run.info.run_id for run in deleted}
    registered = {_model_id(version) for version in _versions(client)}
    models = [
        model
        for model in _models(client, experiments)
        if model.source_run_id in ids and model.model_id not in registered
    ]
    folders = [_local(run.info.artifact_uri) for run in deleted]
    folders += [_local(model.artifact_location) for model in models]
    known = {run.info.run_id for run in _runs(client, experiments, ViewType.ALL)}
    if file := sqlite_file(uri):
        for folder in (file.parent / ARTIFACTS).glob("*/*"):
            if _RUN_FOLDER.fullmatch(folder.name) and folder.name not in known:
                folders.append(folder)
    return Prunable(
        runs=tuple(sorted(ids)),
        models=tuple(model.model_id for model in models),
        folders=tuple(_whole(one) for one in folders if one is not None and one.is_dir()),
    )


def prune(uri: str, found: Prunable) -> None:
    """Remove for good what `prunable` found, by MLflow's own ``gc``; then the folders left.

    Raises
    ------
    SerError
        If MLflow does not remove it.
    """
    import shutil

    client = connect(uri)
    for model in found.models:
        client.delete_logged_model(model)
    wanted = []
    if found.runs:
        wanted += ["--run-ids", ",".join(found.runs)]
    if found.models:
        wanted += ["--logged-model-ids", ",".join(found.models)]
    if wanted:
        command = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", uri]
        command += ["--tracking-uri", uri, *wanted]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            last = without_password(done.stderr.strip().rpartition("\n")[2])
            raise SerError(f"MLflow could not remove what was deleted: {last}")
    for folder in found.folders:
        shutil.rmtree(folder, ignore_errors=True)


def _whole(folder: Path) -> Path:
    """A run's or model's folder around its ``artifacts``, which MLflow leaves empty."""
    return folder.parent if folder.name == ARTIFACTS else folder


def _database(uri: str) -> Iterator[Finding]:
    file = sqlite_file(uri)
    if file is None:
        yield Finding("log", f"{without_password(uri)} answers")
        return
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True)) as connection:
        said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    backups = sorted(file.parent.glob(f"{file.name}.*.backup"))
    if said == "ok":
        yield Finding("log", f"{file} is whole, {file.stat().st_size / 1e6:.0f} MB")
    else:
        advice = f"restore {', '.join(map(str, backups)) or 'a backup of yours'}"
        yield Finding("log", f"{file} is damaged: {said}", advice)


def _places(experiments: Sequence[Experiment], client: mlflow.MlflowClient) -> Iterator[Finding]:
    """Experiments whose files are not where the log says."""
    for experiment in experiments:
        place = _local(experiment.artifact_location)
        if place is None or place.is_dir() or experiment.lifecycle_stage != "active":
            continue
        if client.search_runs([experiment.experiment_id], "status = 'FINISHED'", max_results=1):
            yield Finding(
                "artifacts",
                f"the files of experiment {experiment.name!r} are not at {place}",
                "move them there, or put the log beside its folder of artifacts again",
            )


def _running(client: mlflow.MlflowClient, run: MlflowRun, *, close: bool) -> Iterator[Finding]:
    process = run.data.tags.get(PROCESS)
    started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    since = f"RUNNING since {started:%Y-%m-%d %H:%M} UTC"
    alive = is_alive(process) if process else None
    if alive:
        yield Finding("runs", f"{_named(run)} is under way, {since}")
    elif alive is None:
        where = f"on host {host_of(process)}" if process else "by an older ser"
        yield Finding(
            "runs",
            f"{_named(run)}: {since} {where}, so whether it lives cannot be told here",
            f"run ser.doctor there, or: python -m ser.doctor --close {run.info.run_id}",
        )
    elif close:
        yield _close(client, run, GONE)
    else:
        yield Finding("runs", f"{_named(run)}: {since}, {GONE}", "ser.doctor closes it")


def _close(client: mlflow.MlflowClient, run: MlflowRun, why: str) -> Finding:
    client.set_tag(run.info.run_id, "error", why)
    filter_string = f"source_run_id = '{run.info.run_id}'"
    for model in client.search_logged_models([run.info.experiment_id], filter_string):
        if model.status == LoggedModelStatus.PENDING:
            client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)
    client.set_terminated(run.info.run_id, "FAILED")
    return Finding("runs", f"closed {_named(run)}: {why}; it is marked FAILED")


def _manifest(run: MlflowRun) -> dict | None:
    folder = _local(run.info.artifact_uri)
    if folder is None:  # a server keeps it; to ask for every run's files takes too long
        return None
    try:
        return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # An older ser's run has none; whoever writes down the process writes a manifest too.
        lacks_it: dict = {"files": {MANIFEST: -1}, "metrics": [], "model": None}
        return lacks_it if PROCESS in run.data.tags else None


def _missing(client: mlflow.MlflowClient, run: MlflowRun, manifest: dict) -> str:
    """What a run lacks of its manifest, in words; empty where it is whole."""
    folder = _local(run.info.artifact_uri)
    assert folder is not None
    lacks = [
        name
        for name, size in manifest["files"].items()
        if not (folder / name).is_file() or (folder / name).stat().st_size != size
    ]
    lacks += [f"metric {key}" for key in manifest["metrics"] if key not in run.data.metrics]
    if manifest["model"] and not _has_files(client, manifest["model"]):
        lacks.append("its model")
    return ", ".join(lacks[:5]) + (f" and {len(lacks) - 5} more" if len(lacks) > 5 else "")


def _has_files(client: mlflow.MlflowClient, model_id: str) -> bool:
    try:
        model = client.get_logged_model(model_id)
    except mlflow.MlflowException:
        return False
    folder = _local(model.artifact_location)
    ready = model.status == LoggedModelStatus.READY
    return ready and (folder is None or (folder / "MLmodel").is_file())


def _registry(client: mlflow.MlflowClient) -> Iterator[Finding]:
    versions = list(_versions(client))
    for one in versions:
        if (model_id := _model_id(one)) and not _has_files(client, model_id):
            yield Finding(
                "registry",
                f"models:/{one.name}/{one.version} has no files",
                f"register a run again (python -m ser.register RUN {one.name}), and delete it",
            )
    if versions:
        yield Finding("registry", f"{len(versions)} versions looked at")


def _model_id(version: ModelVersion) -> str | None:
    """Of the logged model that a version is of: ``models:/ID`` is its source."""
    return version.model_id or (version.source or "").partition("models:/")[2] or None


def _versions(client: mlflow.MlflowClient) -> Iterator[ModelVersion]:
    token = None
    while True:
        page = client.search_model_versions(max_results=PAGE, page_token=token)
        yield from page
        if not (token := page.token):
            return


def _models(
    client: mlflow.MlflowClient, experiments: Sequence[Experiment]
) -> Iterator[LoggedModel]:
    ids, token = [experiment.experiment_id for experiment in experiments], None
    while ids:
        page = client.search_logged_models(ids, page_token=token)
        yield from page
        if not (token := page.token):
            return


def _runs(
    client: mlflow.MlflowClient,
    experiments: Sequence[Experiment],
    view: int = ViewType.ACTIVE_ONLY,
) -> Iterator[MlflowRun]:
    ids, token = [experiment.experiment_id for experiment in experiments], None
    while ids:
        page = client.search_runs(ids, run_view_type=view, max_results=PAGE, page_token=token)
        yield from page
        if not (token := page.token):
            return


def _named(run: MlflowRun) -> str:
    return f"run {run.info.run_id[:8]} ({run.info.run_name})"


def _local(uri: str) -> Path | None:
    """Folder of a URI on this machine; None for another."""
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        return None
    return Path(unquote(parts.path))
