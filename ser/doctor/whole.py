"""Whether a finished run has what its manifest lists, and a model what it was logged with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import mlflow
import yaml
from mlflow.entities import LoggedModelStatus
from mlflow.entities import Run as MlflowRun

from ser.doctor.listing import local_folder
from ser.tracking.artifacts import located
from ser.tracking.manifest import (
    MANIFEST,
    Listed,
    differences,
    differing_metrics,
    read_manifest,
    some_of,
)
from ser.tracking.run import PROCESS


def faults_of_run(
    client: mlflow.MlflowClient, run: MlflowRun, *, fast: bool
) -> tuple[list[str], dict[str, str]] | None:
    """What a run and its model lack, in words.

    Parameters
    ----------
    client : MlflowClient
    run : mlflow.entities.Run
        FINISHED.
    fast : bool
        Whether files are compared by their sizes only.

    Returns
    -------
    faults : list of str
        Empty where the run is whole.
    models : dict of str to str
        Id of its model -> what that lacks (`fault_of_model`).

        None where nothing can be compared: a server keeps the files, or an older ser has written
        no manifest.
    """
    folder = local_folder(located(client.tracking_uri, run.info.artifact_uri))
    if folder is None:  # to ask a server for every run's files takes too long
        return None
    try:
        manifest = read_manifest(folder)
    except OSError as error:
        # Whoever writes down the process writes a manifest too.
        is_older = PROCESS not in run.data.tags
        return None if is_older else ([f"{MANIFEST} cannot be read ({error.strerror})"], {})
    except ValueError:
        return [f"{MANIFEST} is damaged"], {}
    faults = differences(manifest.files, folder, fast=fast)
    faults += differing_metrics(manifest.metrics, run.data.metrics)
    if manifest.model is None:
        return faults, {}
    fault = fault_of_model(client, manifest.model, manifest.model_files, fast=fast)
    return faults + ([fault] if fault else []), {manifest.model: fault}


def fault_of_model(
    client: mlflow.MlflowClient,
    model_id: str,
    files: Mapping[str, Listed] | None = None,
    *,
    fast: bool = False,
) -> str:
    """What a model lacks, in words; empty where it is whole.

    Parameters
    ----------
    client : MlflowClient
    model_id : str
    files : mapping of str to Listed, optional
        What it was logged with; where that is not known, what its ``MLmodel`` names.
    fast : bool
        Whether files are compared by their sizes only.
    """
    try:
        model = client.get_logged_model(model_id)
    except mlflow.MlflowException:
        return "its model is not in the log"
    if model.status != LoggedModelStatus.READY:
        return f"its model is {model.status}"
    folder = local_folder(located(client.tracking_uri, model.artifact_location))
    if folder is None:
        return ""
    if files:
        faults = differences(files, folder, fast=fast)
    else:
        faults = [f"{n} is missing" for n in _described(folder) if not (folder / n).is_file()]
    return f"of its model {some_of(faults)}" if faults else ""


def _described(folder: Path) -> list[str]:
    """Files that a model's ``MLmodel`` says it has."""
    try:
        flavors = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]
        parts = flavors.get("python_function", {}).get("artifacts", {})
        return ["MLmodel", *(str(part["path"]) for part in parts.values())]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError):
        return ["MLmodel"]
