"""Is the log whole? Runs that died, runs that lack something, files that nothing refers to.

Whatever says FINISHED must have what its manifest lists (`ser.doctor.whole`); whatever says RUNNING
must have a process (`ser.core.process`). A run whose process is gone is closed: that is the one
thing that is changed unasked.
"""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import mlflow
from mlflow.entities import Experiment, LoggedModelStatus, ViewType
from mlflow.entities import Run as MlflowRun

from ser.core.errors import SerError
from ser.core.locks import writers
from ser.core.process import host_of, is_alive
from ser.core.redact import without_secrets
from ser.doctor.listing import all_runs, all_versions, local_folder
from ser.doctor.system import Finding
from ser.doctor.whole import fault_of_model, faults_of_run
from ser.features.store_file import is_damage
from ser.tracking.artifacts import located
from ser.tracking.client import LOG_ERRORS, connect, is_locked, reason_of, unusable
from ser.tracking.database import is_log, is_old, sqlite_file
from ser.tracking.manifest import some_of
from ser.tracking.models import model_id_of
from ser.tracking.run import PROCESS

GONE = "its process ended without a word"


def examine_log(uri: str, *, close: bool = True, fast: bool = False) -> Iterator[Finding]:
    """Look at a log's database, runs, models and files.

    Parameters
    ----------
    uri : str
        MLflow's tracking URI.
    close : bool
        Whether runs whose process is gone are marked FAILED.
    fast : bool
        Whether files are compared by their sizes only.
    """
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        yield Finding("log", f"{file} is not there yet")
        return
    damage = ""
    try:
        if file is not None and is_log(file):
            damage = damage_of(file)
            yield _check_database(file, damage)
        yield from _examine(uri, close=close, fast=fast)
    except (SerError, *LOG_ERRORS) as error:
        advice = "free space on its disk, mend its permissions, start its server, or name another"
        if file is not None and is_locked(error.__cause__ or error):
            yield Finding("log", f"{file} is locked: {writers(file)}", "then run this again")
        else:
            yield Finding("log", reason_of(error), "" if damage else advice)
    except Exception as error:
        if not damage:
            raise
        yield Finding("log", f"what it holds cannot be read to its end ({type(error).__name__})")


def _examine(uri: str, *, close: bool, fast: bool) -> Iterator[Finding]:
    file = sqlite_file(uri)
    if not close and file is not None and is_old(file):
        advice = "without --look it is brought up to date; the old file stays as a backup"
        yield Finding("log", f"{file} is an older MLflow's", advice)
        return
    client = connect(uri, mend=close)
    experiments = client.search_experiments(view_type=ViewType.ALL)
    if file is None:
        yield Finding("log", f"{without_secrets(uri)} answers")
    yield from _places(experiments, client)
    n_finished, n_unlisted = 0, 0
    models: dict[str, str] = {}
    for run in all_runs(client, experiments):
        status = run.info.status
        if status == "RUNNING":
            yield from _running(client, run, close=close)
        elif status == "FINISHED":
            n_finished += 1
            found = faults_of_run(client, run, fast=fast)
            n_unlisted += found is None
            faults, looked_at = found or ([], {})
            models |= looked_at
            if faults:
                yield Finding(
                    "runs",
                    f"{_title(run)} is FINISHED but not whole: {some_of(faults)}",
                    f"{run.data.tags.get('command', 'its command')} makes it again",
                )
    older = f", {n_unlisted} without a local manifest" if n_unlisted else ""
    yield Finding("runs", f"{n_finished} finished runs looked at{older}")
    yield from _registry(client, models)


def close_runs(uri: str, run_ids: Sequence[str]) -> Iterator[Finding]:
    """Mark runs FAILED, whoever they are of.

    Raises
    ------
    SerError
        If there is no such run, or it is not RUNNING.
    """
    client = connect(uri, gone=run_ids)
    for run_id in run_ids:
        try:
            run = client.get_run(run_id)
        except mlflow.MlflowException as error:
            raise SerError(f"There is no run {run_id} in {without_secrets(uri)}.") from error
        if run.info.status != "RUNNING":
            raise SerError(f"{_title(run)} is not RUNNING, but {run.info.status}.")
        yield _close(client, run, "closed by hand")


def damage_of(file: Path) -> str:
    """What SQLite says is wrong with a log's file; empty where it is whole.

    Raises
    ------
    SerError
        If that cannot be told, as another process has locked it, or it cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True)) as connection:
            answer = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except UnicodeDecodeError as error:
        answer = str(error)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise unusable(f"sqlite:///{file}", error) from error
        answer = str(error)
    return "" if answer == "ok" else answer.strip("* ").replace("\n", ", ")


def _check_database(file: Path, damage: str) -> Finding:
    if not damage:
        return Finding("log", f"{file} is whole, {file.stat().st_size / 1e6:.0f} MB")
    backups = ", ".join(map(str, sorted(file.parent.glob(f"{file.name}.*.backup"))))
    advice = f"restore {backups or 'a backup of yours'}; what is beside it, in artifacts, is kept"
    return Finding("log", f"{file} is damaged, or no database: {damage}", advice)


def _places(experiments: Sequence[Experiment], client: mlflow.MlflowClient) -> Iterator[Finding]:
    """Experiments whose files are not where the log says."""
    for experiment in experiments:
        place = local_folder(located(client.tracking_uri, experiment.artifact_location))
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
        where = f"on host {host}" if elsewhere else "in another container or by another program"
        yield Finding(
            "runs",
            f"{_title(run)}: {since} {where}, so whether it lives cannot be told here",
            f"run ser.doctor there, or: python -m ser.doctor --close {run.info.run_id}",
        )
    elif close:
        try:
            yield _close(client, run, GONE)
        except LOG_ERRORS as error:  # a full disk: the other runs are looked at all the same
            reason = reason_of(error)
            advice = "free space or mend permissions there, and run ser.doctor again"
            yield Finding("runs", f"{_title(run)}: {since}, {GONE}; not closed: {reason}", advice)
    else:
        yield Finding("runs", f"{_title(run)}: {since}, {GONE}", "python -m ser.doctor closes it")


def _close(client: mlflow.MlflowClient, run: MlflowRun, why: str) -> Finding:
    client.set_tag(run.info.run_id, "error", why)
    filter_string = f"source_run_id = '{run.info.run_id}'"
    for model in client.search_logged_models([run.info.experiment_id], filter_string):
        if model.status == LoggedModelStatus.PENDING:
            client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)
    client.set_terminated(run.info.run_id, "FAILED")
    return Finding("runs", f"closed {_title(run)}: {why}; it is marked FAILED")


def _registry(client: mlflow.MlflowClient, looked_at: Mapping[str, str]) -> Iterator[Finding]:
    """Versions whose model is not whole; what was looked at with its run is known."""
    versions = list(all_versions(client))
    for version in versions:
        if not (model_id := model_id_of(version)):
            continue
        known = looked_at.get(model_id)
        fault = fault_of_model(client, model_id) if known is None else known
        if fault:
            yield Finding(
                "registry",
                f"models:/{version.name}/{version.version}: {fault}",
                f"register a run again (python -m ser.register RUN {version.name}), and delete it",
            )
    if versions:
        yield Finding("registry", f"{len(versions)} versions looked at")


def _title(run: MlflowRun) -> str:
    return f"run {run.info.run_id[:8]} ({run.info.run_name})"
