"""Is the log whole? Runs that died, runs that lack something, files that nothing refers to.

Whatever says FINISHED must have what its manifest lists (`ser.tracking.run`); whatever says RUNNING
must have a process (`ser.core.process`). A run whose process is gone is closed: that is the one
thing that is changed unasked.
"""

from __future__ import annotations

import json
import platform
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime

import mlflow
from mlflow.entities import Experiment, LoggedModelStatus, ViewType
from mlflow.entities import Run as MlflowRun

from ser.core.errors import SerError
from ser.core.process import host_of, is_alive
from ser.core.redact import without_secrets
from ser.doctor.listing import all_runs, all_versions, local_folder
from ser.doctor.system import Finding
from ser.tracking.client import LOG_ERRORS, connect
from ser.tracking.database import sqlite_file
from ser.tracking.models import model_id_of
from ser.tracking.run import MANIFEST, PROCESS

GONE = "its process ended without a word"


def examine_log(uri: str, *, close: bool = True) -> Iterator[Finding]:
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
    yield from _check_database(uri)
    yield from _places(experiments, client)
    n_finished, n_unlisted = 0, 0
    for run in all_runs(client, experiments):
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
                    f"{_title(run)} is FINISHED but lacks {missing}",
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
        raise SerError(f"There is no run {run_id} in {without_secrets(uri)}.") from error
    if run.info.status != "RUNNING":
        raise SerError(f"{_title(run)} is not RUNNING, but {run.info.status}.")
    return _close(client, run, "closed by hand")


def _check_database(uri: str) -> Iterator[Finding]:
    file = sqlite_file(uri)
    if file is None:
        yield Finding("log", f"{without_secrets(uri)} answers")
        return
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True)) as connection:
        answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    backups = sorted(file.parent.glob(f"{file.name}.*.backup"))
    if answer == "ok":
        yield Finding("log", f"{file} is whole, {file.stat().st_size / 1e6:.0f} MB")
    else:
        advice = f"restore {', '.join(map(str, backups)) or 'a backup of yours'}"
        yield Finding("log", f"{file} is damaged: {answer}", advice)


def _places(experiments: Sequence[Experiment], client: mlflow.MlflowClient) -> Iterator[Finding]:
    """Experiments whose files are not where the log says."""
    for experiment in experiments:
        place = local_folder(experiment.artifact_location)
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
        yield Finding("runs", f"{_title(run)} is under way, {since}")
    elif alive is None:
        host = host_of(process) if process else platform.node()
        elsewhere = host != platform.node()
        where = f"on host {host}" if elsewhere else "in another container or by an older ser"
        yield Finding(
            "runs",
            f"{_title(run)}: {since} {where}, so whether it lives cannot be told here",
            f"run ser.doctor there, or: python -m ser.doctor --close {run.info.run_id}",
        )
    elif close:
        yield _close(client, run, GONE)
    else:
        yield Finding("runs", f"{_title(run)}: {since}, {GONE}", "ser.doctor closes it")


def _close(client: mlflow.MlflowClient, run: MlflowRun, why: str) -> Finding:
    client.set_tag(run.info.run_id, "error", why)
    filter_string = f"source_run_id = '{run.info.run_id}'"
    for model in client.search_logged_models([run.info.experiment_id], filter_string):
        if model.status == LoggedModelStatus.PENDING:
            client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)
    client.set_terminated(run.info.run_id, "FAILED")
    return Finding("runs", f"closed {_title(run)}: {why}; it is marked FAILED")


def _manifest(run: MlflowRun) -> dict | None:
    folder = local_folder(run.info.artifact_uri)
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
    folder = local_folder(run.info.artifact_uri)
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
    folder = local_folder(model.artifact_location)
    ready = model.status == LoggedModelStatus.READY
    return ready and (folder is None or (folder / "MLmodel").is_file())


def _registry(client: mlflow.MlflowClient) -> Iterator[Finding]:
    versions = list(all_versions(client))
    for version in versions:
        if (model_id := model_id_of(version)) and not _has_files(client, model_id):
            yield Finding(
                "registry",
                f"models:/{version.name}/{version.version} has no files",
                f"register a run again (python -m ser.register RUN {version.name}), and delete it",
            )
    if versions:
        yield Finding("registry", f"{len(versions)} versions looked at")


def _title(run: MlflowRun) -> str:
    return f"run {run.info.run_id[:8]} ({run.info.run_name})"
