"""Models in the log: how one is written, and where its files are by whatever name."""

from __future__ import annotations

import shutil
import warnings
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mlflow
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

from ser.core import paths
from ser.core.errors import SerError
from ser.core.process import temporary_folder
from ser.features import classes_in, settings
from ser.models.lean_skops import skops_io
from ser.models.trained import CARD, PIPELINE_FILE, TrainedModel, save_model
from ser.tracking import origin
from ser.tracking.artifacts import fetch, send
from ser.tracking.client import connect
from ser.tracking.database import PROCESS
from ser.tracking.manifest import Listed, changed, differences, listed, manifest_of, some_of
from ser.tracking.mlflow_compat import unchecked_requirements
from ser.tracking.queries import LoggedRun

MODEL = "model"  # name under which a run logs its model
# What a loaded model needs; ser itself travels inside the model.
MODEL_PACKAGES = (
    "mlflow",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "skops",
    "soundfile",
    "soxr",
    "threadpoolctl",
)
# Module of a class in a model -> what it computes with besides.
PACKAGES_OF = {
    "ser.features.opensmile": ("opensmile",),
    "ser.features.speech_model": ("torch", "transformers"),
    "ser.models.networks.classifier": ("skorch", "torch"),
    "ser.models.networks.fine_tuning": ("skorch", "torch", "transformers"),
}


def log_model(
    client: mlflow.MlflowClient, run: LoggedRun, model: TrainedModel, card: str
) -> tuple[str, dict[str, Listed]]:
    """Log a model, from audio (and a speaker) to probabilities, as a run's.

    MLflow's ``log_model`` does the same, but in the log that is the process's own.

    Parameters
    ----------
    client : MlflowClient
        Of the run's log.
    run : LoggedRun
        As far as it has come: the model gets its tags, and knows its corpus, protocol and score.
    model : TrainedModel
    card : str
        Its model card, in Markdown.

    Returns
    -------
    model_id : str
        Of the logged model, which is READY.
    files : dict of str to Listed
        What it has, by paths in its folder.
    """
    known = client.get_run(run.id)
    logged = client.create_logged_model(
        known.info.experiment_id,
        name=MODEL,
        source_run_id=run.id,
        params=known.data.params,
        tags={k: v for k, v in run.tags.items() if k != PROCESS and not k.startswith("mlflow.")},
    )
    try:
        client.log_outputs(run.id, [LoggedModelOutput(logged.model_id, step=0)])
        description = Model(
            artifact_path=logged.artifact_location,
            run_id=run.id,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
            metadata=origin.record(run),
        )
        with temporary_folder() as folder:
            path = _save(model, card, description, Path(folder))
            files = listed(path)
            send(client.tracking_uri, logged.artifact_location, path)
        client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    except BaseException:
        with suppress(Exception):  # the reason is what is raised
            client.finalize_logged_model(logged.model_id, LoggedModelStatus.FAILED)
        raise
    return logged.model_id, files


def download_model(uri: str, model_uri: str) -> Path:
    """A folder with what MLflow holds of a model.

    Parameters
    ----------
    uri : str
        MLflow's tracking URI.
    model_uri : str
        ``runs:/RUN_ID/model``, ``models:/NAME@ALIAS``, ``models:/NAME/VERSION`` or ``models:/ID``.

    Returns
    -------
    Path
        Of a log on this machine, its own folder: not to be written. Of another, a copy, which is
        there until the process ends.

    Raises
    ------
    SerError
        If it cannot be had, or has changed since it was logged.
    """
    client = connect(uri)
    try:
        location, run_id = _model_location(client, model_uri)
        folder = fetch(uri, location)
    except (OSError, mlflow.MlflowException) as error:
        raise SerError(f"The model {model_uri} cannot be had from {uri}: {error}") from error
    try:
        run = client.get_run(run_id)
    except mlflow.MlflowException:  # removed for good: the registry still names its model
        return folder
    manifest = manifest_of(uri, run)
    is_listed = manifest is not None and manifest.model in location.split("/")
    files = manifest.model_files if manifest and is_listed else {}
    if faults := differences(files, folder, fast=False):
        raise changed(run, [f"of its model in {folder} {some_of(faults)}"])
    return folder


def model_of_run(client: mlflow.MlflowClient, run_id: str) -> LoggedModel | None:
    """The model that a run logged last; None if it logged none, as the runs of MLflow 2."""
    experiments = [client.get_run(run_id).info.experiment_id]
    query = f"source_run_id = '{run_id}' and name = '{MODEL}'"
    newest = [{"field_name": "creation_timestamp", "ascending": False}]
    models = client.search_logged_models(experiments, query, max_results=1, order_by=newest)
    return models[0] if models else None


def model_id_of(version: ModelVersion) -> str | None:
    """Of the logged model that a version is of: ``models:/ID`` is its source."""
    return version.model_id or (version.source or "").partition("models:/")[2] or None


def _model_location(client: mlflow.MlflowClient, model_uri: str) -> tuple[str, str]:
    """URI of a model's files, and its run's id.

    MLflow's own resolves ``models:/`` in the process's log alone.
    """
    scheme, _, name = model_uri.partition(":/")
    if scheme == "runs":
        run_id, _, path = name.partition("/")
        if path == MODEL and (model := model_of_run(client, run_id)):
            return model.artifact_location, run_id
        return f"{client.get_run(run_id).info.artifact_uri}/{path}", run_id
    if "@" in name:
        version = client.get_model_version_by_alias(*name.rsplit("@", 1))
    elif "/" in name:
        registered, number = name.rsplit("/", 1)
        version = client.get_model_version(registered, number)
    else:
        model = client.get_logged_model(name)
        return model.artifact_location, model.source_run_id or ""
    if model_id := model_id_of(version):
        model = client.get_logged_model(model_id)
        return model.artifact_location, model.source_run_id or ""
    uri = client.get_model_version_download_uri(version.name, version.version)
    return uri, version.run_id or ""


def _save(model: TrainedModel, card: str, description: Model, folder: Path) -> Path:
    """Write a model as MLflow keeps it into a folder; return where in it."""
    path, package = folder / "mlflow", paths.PACKAGE
    files = save_model(model, folder)
    files.append(folder / CARD)
    files[-1].write_text(card, encoding="utf-8")
    with warnings.catch_warnings(), unchecked_requirements():
        warnings.simplefilter("ignore")  # an input example would be a recording of somebody
        mlflow.pyfunc.save_model(
            path,
            mlflow_model=description,
            python_model=str(package / "tracking" / "pyfunc.py"),
            artifacts={file.stem: str(file) for file in files},
            code_paths=[str(package)],
            signature=_signature(model),
            pip_requirements=_requirements(model, (folder / PIPELINE_FILE).read_bytes()),
        )
    for cache in list(path.rglob("__pycache__")):  # of the code that MLflow has run to check it
        shutil.rmtree(cache, ignore_errors=True)
    return path


def _requirements(model: TrainedModel, pipeline: bytes) -> list[str]:
    """``name==version`` of each package that answers need; torch's ``+cpu`` is on no index."""
    names, types = {*MODEL_PACKAGES}, skops_io().get_untrusted_types(data=pipeline)
    for name in (*classes_in(settings(model.feature_set)), *types):
        names.update(PACKAGES_OF.get(name.rpartition(".")[0], ()))
    lines = []
    for name in sorted(names):
        with suppress(PackageNotFoundError):  # of a set whose vectors were all in the store
            lines.append(f"{name}=={version(name).partition('+')[0]}")
    return lines


def _signature(model: TrainedModel) -> ModelSignature:
    """What the model answers; without inputs, as MLflow would drop a field it does not know."""
    outputs: list[ColSpec | TensorSpec] = [ColSpec("string", "emotion")]
    outputs += [ColSpec("double", f"p_{emotion}") for emotion in model.emotions]
    outputs += [
        ColSpec("boolean", "unfamiliar", required=False),
        ColSpec("double", "resampled_from", required=False),
    ]
    return ModelSignature(outputs=Schema(outputs))
