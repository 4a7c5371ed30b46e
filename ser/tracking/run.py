"""The research log: one MLflow run per evaluated config. The only module that logs to MLflow.

Everything a run has to say is collected and sent in few calls, as MLflow spends its time per call.
A run is FINISHED only by `Run.finish`, which comes last; an exception on the way marks it FAILED.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TypeGuard
from unittest import mock

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.utils import requirements_utils

from ser.core import paths
from ser.core.errors import SerError
from ser.core.redact import without_password
from ser.models.trained import TrainedModel, save_model
from ser.tracking.client import LOG_ERRORS, connect, unusable
from ser.tracking.database import artifact_location, locked, sqlite_file
from ser.tracking.process import identity
from ser.tracking.queries import LoggedRun, read
from ser.tracking.registry import CARD

# What a loaded model needs; ser itself travels inside the model.
MODEL_PACKAGES = (
    "mlflow",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "skops",
    "soundfile",
    "threadpoolctl",
)
PARAM_LIMIT = 6000  # characters of a parameter's value that MLflow takes
MANIFEST = "manifest.json"  # artifact of a finished run: what else it must have
PROCESS = "process"  # tag: whose run it is (ser.tracking.process)
# Of a disk, not of a program: full, over its quota, read-only.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Run:
    """A run under way. Numbers and tags wait here until `finish`; files are written at once."""

    def __init__(
        self,
        client: mlflow.MlflowClient,
        active: mlflow.entities.Run,
        experiment: str,
        tags: Mapping[str, str],
    ) -> None:
        self.id = active.info.run_id
        self.experiment = experiment
        self._logged = replace(read(active, experiment), tags=tags)
        self._client = client
        self._metrics: list[Metric] = []
        self._tags: list[RunTag] = []
        self._model_id: str | None = None
        self._folder = tempfile.TemporaryDirectory(prefix=f"ser-run-{os.getpid()}-")

    def params(self, values: Mapping[str, object]) -> None:
        """Log parameters, now, so that a run that fails shows what it was."""
        params = [
            Param(key, without_password(str(value))[:PARAM_LIMIT]) for key, value in values.items()
        ]
        for i in range(0, len(params), 100):  # as many as one request may carry
            self._client.log_batch(self.id, params=params[i : i + 100])

    def metrics(self, values: Mapping[str, float]) -> None:
        """Log one value for each key."""
        for key, value in values.items():
            self.steps(key, [value])

    def steps(self, key: str, values: Sequence[float], *, first: int = 0) -> None:
        """Log a series under one key, one step for each value: folds, or epochs."""
        now = int(time.time() * 1000)
        self._metrics += [
            # A millisecond apart: the UI first draws over time, where one moment is one line.
            Metric(key, float(value), now + step, step)
            for step, value in enumerate(values, start=first)
        ]

    def tags(self, values: Mapping[str, object]) -> None:
        """Log tags: what the UI filters and sorts by."""
        self._tags += [RunTag(key, without_password(str(value))) for key, value in values.items()]

    def figure(self, figure: Figure, name: str) -> None:
        """Keep a figure as ``figures/NAME.png``."""
        # The strongest compression takes as long as the drawing, for a tenth of the size.
        path = self._path(f"figures/{name}.png")
        figure.savefig(path, dpi=110, pil_kwargs={"compress_level": 3})

    def table(self, table: pd.DataFrame, name: str) -> None:
        """Keep a table as ``tables/NAME.csv``."""
        table.to_csv(self._path(f"tables/{name}.csv"), index=False)

    def text(self, text: str, name: str) -> None:
        """Keep a text file under its name."""
        self._path(name).write_text(without_password(text), encoding="utf-8")

    def dataset(
        self, *, name: str, fingerprint: str, source: str, profile: str, context: str
    ) -> None:
        """Say which clips went in: MLflow's dataset, whose digest is the clips' fingerprint."""
        source = without_password(source)
        dataset = Dataset(name, fingerprint, "local", source, profile=profile)
        inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])]
        for last in (False, False, True):
            try:
                return self._client.log_inputs(self.id, inputs)
            except mlflow.MlflowException as error:
                # Of two runs that log the same clips at once MLflow lets one fail: the dataset's
                # row is the other's, and is found the next time.
                if last or "unique" not in str(error).lower():
                    raise

    def model(self, model: TrainedModel, card: str) -> None:
        """Log the whole way from audio (and a speaker) to probabilities, with its model card."""
        # MLflow checks the requirements below, which are what is installed, against a map of every
        # module of every package: half a second.
        no_map: AbstractContextManager[object] = mock.patch.object(
            requirements_utils, "_MODULES_TO_PACKAGES", {}
        )
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), no_map:
            warnings.simplefilter("ignore")  # an input example would be a recording of somebody
            pipeline_file, features_file = save_model(model, Path(folder))
            card_file = Path(folder, CARD)
            card_file.write_text(card, encoding="utf-8")
            package = paths.PACKAGE
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(package / "tracking" / "pyfunc.py"),
                artifacts={
                    "pipeline": str(pipeline_file),
                    "features": str(features_file),
                    "card": str(card_file),
                },
                code_paths=[str(package)],
                signature=_signature(model),
                pip_requirements=[f"{name}=={version(name)}" for name in MODEL_PACKAGES],
            )
            self._model_id = logged.model_id

    @property
    def folder(self) -> Path:
        """What will be the run's artifacts, until they are sent."""
        return Path(self._folder.name)

    def so_far(self) -> LoggedRun:
        """The run as the log will have it; of a series, the last value."""
        return replace(
            self._logged,
            tags={**self._logged.tags, **{tag.key: tag.value for tag in self._tags}},
            metrics={metric.key: metric.value for metric in self._metrics},
        )

    @property
    def artifacts(self) -> str:
        """Where they will be: a folder of this machine, or a URI."""
        return self._client.get_run(self.id).info.artifact_uri.removeprefix("file://")

    def finish(self) -> None:
        """Send what waits, then mark the run FINISHED: it is the last thing that happens."""
        self.text(self._manifest(), MANIFEST)
        self._send()
        mlflow.end_run("FINISHED")

    def fail(self, error: BaseException) -> None:
        """Send what there is, and mark the run FAILED (KILLED where the user stopped it)."""
        status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        self.tags({"error": f"{type(error).__name__}: {error}"[:PARAM_LIMIT]})
        try:  # a full disk may let pass one of these, and not another
            with suppress(OSError):
                self.text("".join(traceback.format_exception(error)), "error.txt")
            self._send()
        finally:
            mlflow.end_run(status)

    def _manifest(self) -> str:
        """What the run must have to be whole: files with their sizes, metrics, the model."""
        files = sorted(file for file in self.folder.rglob("*") if file.is_file())
        sizes = {str(file.relative_to(self.folder)): file.stat().st_size for file in files}
        metrics = sorted({metric.key for metric in self._metrics})
        return json.dumps({"files": sizes, "metrics": metrics, "model": self._model_id}, indent=1)

    def _path(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _send(self) -> None:
        self._client.log_artifacts(self.id, self._folder.name)
        for i in range(0, len(self._metrics), 1000):  # as many as one request may carry
            self._client.log_batch(self.id, metrics=self._metrics[i : i + 1000])
        self._client.log_batch(self.id, tags=self._tags)
        self._metrics, self._tags = [], []
        self._folder.cleanup()


@contextmanager
def start_run(
    *,
    uri: str,
    experiment: str,
    name: str,
    tags: Mapping[str, object],
    description: str,
    parent: Run | None = None,
) -> Iterator[Run]:
    """Start a run; the block's end finishes it, an exception in the block marks it FAILED.

    Parameters
    ----------
    uri : str
        MLflow's tracking URI. A SQLite file is made where it is missing, with its artifacts in
        ``artifacts/`` beside it; many processes may do so at once.
    experiment, name : str
    tags : mapping
    description : str
        Markdown, shown on top of the run's page.
    parent : Run, optional
        The UI folds this run under it; without one, the sweep that this process is part of.

    Raises
    ------
    SerError
        If the store cannot be made or reached.
    """
    client = connect(uri)
    # A job's first run belongs to the sweep's.
    parent_id = parent.id if parent else os.environ.get("SER_PARENT_RUN")
    said = {**tags, PROCESS: identity(), "mlflow.note.content": description}
    all_tags = {key: without_password(str(value)) for key, value in said.items()}
    try:
        active = mlflow.start_run(
            experiment_id=_experiment(client, uri, experiment),
            run_name=name,
            tags=all_tags,
            parent_run_id=parent_id,
            nested=parent_id is not None,
        )
    except LOG_ERRORS as error:
        raise unusable(uri, error) from error
    run = Run(client, active, experiment, all_tags)
    try:
        yield run
        run.finish()
    except BaseException as error:
        with suppress(Exception):  # a log that is gone must not hide why the run failed
            run.fail(error)
        if _is_of_the_log(error):
            raise SerError(
                f"Run {run.id} ({name}) is not whole, nor marked FINISHED. {unusable(uri, error)}"
            ) from error
        raise


def _is_of_the_log(error: BaseException) -> TypeGuard[Exception]:
    if isinstance(error, OSError):
        return error.errno in _DISK
    return isinstance(error, LOG_ERRORS)


def _experiment(client: mlflow.MlflowClient, uri: str, name: str) -> str:
    """Id of an experiment, made where it is missing: in a log on disk by one process at a time."""
    file = sqlite_file(uri)
    known = client.get_experiment_by_name(name)
    if known is not None and known.lifecycle_stage == "active":
        return known.experiment_id
    with locked(file.with_suffix(".lock")) if file else nullcontext():
        known = client.get_experiment_by_name(name)
        if known is not None:
            if known.lifecycle_stage == "deleted":
                client.restore_experiment(known.experiment_id)
            return known.experiment_id
        place = artifact_location(file, name) if file else None
        # The UI then opens on the runs; by default it takes every experiment for a chat bot.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        try:
            return client.create_experiment(name, artifact_location=place, tags=kind)
        except mlflow.MlflowException:  # on a server another process may have been faster
            known = client.get_experiment_by_name(name)
            if known is None:
                raise
            return known.experiment_id


def _signature(model: TrainedModel) -> ModelSignature:
    """What the model answers; without inputs, as MLflow would drop a field it does not know."""
    outputs: list[ColSpec | TensorSpec] = [ColSpec("string", "emotion")]
    outputs += [ColSpec("double", f"p_{emotion}") for emotion in model.emotions]
    return ModelSignature(outputs=Schema(outputs))
