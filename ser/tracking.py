"""The research log: one MLflow run per evaluated config. The only module that logs to MLflow.

Everything a run has to say is collected and sent in few calls, as MLflow spends its time per call.
A run is FINISHED only by `Run.finish`, which comes last; an exception on the way marks it FAILED.
"""

from __future__ import annotations

import fcntl
import io
import logging
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
    redirect_stderr,
    suppress,
)
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from unittest import mock

# Read by MLflow when it is imported. Nothing is sent to anybody, and no bar is drawn for a copy.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Its migrations and advice about itself would bury the run's own words.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
logging.getLogger("alembic").setLevel(logging.ERROR)

import mlflow  # noqa: E402
import pandas as pd  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from mlflow.entities import (  # noqa: E402
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    Param,
    RunTag,
)
from mlflow.models import ModelSignature  # noqa: E402
from mlflow.types import ColSpec, Schema, TensorSpec  # noqa: E402
from mlflow.utils import requirements_utils  # noqa: E402

import ser  # noqa: E402
from ser.errors import SerError  # noqa: E402
from ser.models import CARD  # noqa: E402
from ser.persistence import TrainedModel, save_model  # noqa: E402

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
LOWER_IS_BETTER = ("log_loss", "ece", "seconds")
PARAM_LIMIT = 6000  # characters of a parameter's value that MLflow takes


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
        self._logged = replace(_read(active, experiment), tags=tags)
        self._client = client
        self._metrics: list[Metric] = []
        self._tags: list[RunTag] = []
        self._folder = tempfile.TemporaryDirectory(prefix="ser-run-")

    def params(self, values: Mapping[str, object]) -> None:
        """Log parameters, now, so that a run that fails shows what it was."""
        params = [Param(key, str(value)[:PARAM_LIMIT]) for key, value in values.items()]
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
        self._tags += [RunTag(key, str(value)) for key, value in values.items()]

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
        self._path(name).write_text(text, encoding="utf-8")

    def dataset(
        self, *, name: str, fingerprint: str, source: str, profile: str, context: str
    ) -> None:
        """Say which clips went in: MLflow's dataset, whose digest is the clips' fingerprint."""
        dataset = Dataset(name, fingerprint, "local", source, profile=profile)
        inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])]
        self._client.log_inputs(self.id, inputs)

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
            package = Path(ser.__file__).parent
            mlflow.pyfunc.log_model(
                name="model",
                python_model=str(package / "serving.py"),
                artifacts={
                    "pipeline": str(pipeline_file),
                    "features": str(features_file),
                    "card": str(card_file),
                },
                code_paths=[str(package)],
                signature=_signature(model),
                pip_requirements=[f"{name}=={version(name)}" for name in MODEL_PACKAGES],
            )

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
        self._send()
        mlflow.end_run("FINISHED")

    def fail(self, error: BaseException) -> None:
        """Send what there is, and mark the run FAILED (KILLED where the user stopped it)."""
        status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        self.tags({"error": f"{type(error).__name__}: {error}"[:PARAM_LIMIT]})
        self.text("".join(traceback.format_exception(error)), "error.txt")
        try:
            self._send()
        finally:
            mlflow.end_run(status)

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


@dataclass(frozen=True)
class LoggedRun:
    """What the log holds of a run, but for its files.

    Attributes
    ----------
    id, name : str
    experiment : str
        Name of its MLflow experiment.
    started : datetime
        UTC.
    tags : mapping of str to str
    metrics : mapping of str to float
        Of a series, the last value.
    """

    id: str
    name: str
    experiment: str
    started: datetime
    tags: Mapping[str, str]
    metrics: Mapping[str, float]

    def test_predictions(self) -> pd.DataFrame:
        """Test rows of its predictions table.

        Raises
        ------
        SerError
            If the run has none.
        """
        with tempfile.TemporaryDirectory() as folder:
            try:
                file = mlflow.artifacts.download_artifacts(
                    run_id=self.id, artifact_path="tables/predictions.csv", dst_path=folder
                )
            except (OSError, mlflow.MlflowException) as error:
                raise SerError(f"Run {self.id} ({self.name}) has no predictions table.") from error
            table = pd.read_csv(file)
        return table[table["part"] == "test"]

    def download(self, folder: str | Path) -> None:
        """Copy its artifacts into a folder; the model is not among them.

        Raises
        ------
        SerError
            If they are not where the log says.
        """
        try:
            mlflow.artifacts.download_artifacts(run_id=self.id, dst_path=str(folder))
        except (OSError, mlflow.MlflowException) as error:
            raise SerError(
                f"The artifacts of run {self.id} ({self.name}) cannot be read: {error}"
            ) from error

    def add(self, file: str | Path) -> None:
        """Put one more file among its artifacts."""
        mlflow.MlflowClient().log_artifact(self.id, str(file))


def find_run(
    uri: str, wanted: str, experiment: str | None = None, *, with_model: bool = False
) -> LoggedRun:
    """The finished run with this id.

    Parameters
    ----------
    uri : str
        MLflow's tracking URI.
    wanted : str
        Its id, or the first characters of it, or ``latest``.
    experiment : str, optional
        Where to look; everywhere unless given.
    with_model : bool
        Whether to pass over runs that evaluated no model: explorations, comparisons, trials.

    Raises
    ------
    SerError
        If there is no such run, or several.
    """
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    everywhere = client.search_experiments()
    places = {e.experiment_id: e.name for e in everywhere if experiment in (None, e.name)}
    if not places:
        raise SerError(f"No experiment {experiment!r} in {uri}. Give --experiment NAME or --uri.")
    where = f"experiment {experiment!r}" if experiment else uri
    query = "attributes.status = 'FINISHED'"
    query += " and metrics.n_development_clips > 0" if with_model else ""
    if wanted != "latest":
        query += f" and attributes.run_id LIKE '{_id_start(wanted)}%'"
    found = client.search_runs(
        list(places), query, max_results=2, order_by=["attributes.start_time DESC"]
    )
    if not found and wanted == "latest":
        raise SerError(f"There is no finished run in {where}: python -m ser.train makes one.")
    if wanted != "latest" and len(found) != 1:
        raise SerError(
            f"{len(found) or 'No'} finished runs in {where} have an id that starts with "
            f"{wanted!r}. Ids are in the UI (ser-ui) and at the end of a run's output."
        )
    return _read(found[0], places[found[0].info.experiment_id])


def best_run(uri: str, metric: str, tags: Mapping[str, str]) -> LoggedRun:
    """The finished run with the best value of a metric among those with these tags.

    Parameters
    ----------
    uri : str
        MLflow's tracking URI.
    metric : str
        ``test_uar``, ...; of losses and errors (`LOWER_IS_BETTER`) the lowest is the best.
    tags : mapping of str to str
        What the runs must have in common, so that their numbers can be compared.

    Raises
    ------
    SerError
        If no run fits.
    """
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    places = {e.experiment_id: e.name for e in client.search_experiments()}
    same = " and ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
    order = "ASC" if metric.endswith(LOWER_IS_BETTER) else "DESC"
    found = client.search_runs(
        list(places),
        f"attributes.status = 'FINISHED' and metrics.{metric} > -1e9 and {same}",
        max_results=1,
        order_by=[f"metrics.{metric} {order}"],
    )
    if not found:
        raise SerError(
            f"No finished run in {uri} has {metric} and "
            f"{', '.join(f'{key} {value}' for key, value in tags.items())}. Train one, or choose "
            "among others with best.corpus=, best.split=, best.transductive=."
        )
    return _read(found[0], places[found[0].info.experiment_id])


def download_model(uri: str, model_uri: str) -> Path:
    """A folder with what MLflow holds of a model: ``runs:/ID/model`` or ``models:/NAME@ALIAS``.

    Raises
    ------
    SerError
        If it cannot be had.
    """
    mlflow.set_tracking_uri(uri)
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=model_uri))
    except (OSError, mlflow.MlflowException) as error:
        raise SerError(f"The model {model_uri} cannot be had from {uri}: {error}") from error


def run_of_model(folder: Path, uri: str) -> LoggedRun | None:
    """The run that made a model, if the log still has it."""
    import yaml

    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    run_id = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8")).get("run_id")
    try:
        run = client.get_run(run_id)
        return _read(run, client.get_experiment(run.info.experiment_id).name)
    except mlflow.MlflowException:
        return None


def register(uri: str, run_id: str, name: str, alias: str, description: str) -> str:
    """Put a run's model in MLflow's registry, under an alias.

    Parameters
    ----------
    uri : str
        MLflow's tracking URI.
    run_id : str
    name, alias : str
        ``models:/NAME@ALIAS`` is the model from then on.
    description : str
        Markdown, shown with the version: its model card.

    Returns
    -------
    str
        What happened, in a line.

    Raises
    ------
    SerError
        If the run has no model, or the registry does not take the name or the alias.
    """
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    try:
        with redirect_stderr(io.StringIO()):  # MLflow says there what is said below
            version = mlflow.register_model(f"runs:/{run_id}/model", name).version
        client.update_model_version(name, version, description=description)
        before = client.get_registered_model(name).aliases.get(alias)
        client.set_registered_model_alias(name, alias, version)  # last: it is whole by now
    except (OSError, mlflow.MlflowException) as error:
        raise SerError(f"Run {run_id} cannot be registered as {name}@{alias}: {error}") from error
    return f"models:/{name}@{alias} is version {version}" + (
        f", and was version {before}" if before else ""
    )


def finished_runs(
    uri: str, experiment: str, run_ids: Sequence[str], query: str | None
) -> list[LoggedRun]:
    """Runs by id (or its first characters), in the order given; or by an MLflow query.

    Parameters
    ----------
    uri : str
        MLflow's tracking URI.
    experiment : str
        Name of the experiment that is searched.
    run_ids : sequence of str
    query : str or None
        MLflow's search string; its runs follow those named, the oldest first.

    Raises
    ------
    SerError
        If there is no such experiment or run, an id's start fits several, or the query is wrong.
    """
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    known = client.get_experiment_by_name(experiment)
    if known is None:
        raise SerError(f"No experiment {experiment!r} in {uri}. Give --experiment NAME or --uri.")
    found = [find_run(uri, wanted, experiment) for wanted in run_ids]
    if query:
        try:
            matches = client.search_runs(
                [known.experiment_id],
                f"attributes.status = 'FINISHED' and {query}",
                max_results=1000,
                order_by=["start_time"],
            )
        except mlflow.MlflowException as error:
            raise SerError(f"MLflow cannot search by {query!r}: {error.message}") from error
        found += [_read(run, experiment) for run in matches]
    return found


def runs_by_id(uri: str, run_ids: Sequence[str]) -> dict[str, LoggedRun]:
    """Runs whose full ids are known, of whatever experiment."""
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    runs = [client.get_run(run_id) for run_id in run_ids]
    names = {i: client.get_experiment(i).name for i in {run.info.experiment_id for run in runs}}
    return {run.info.run_id: _read(run, names[run.info.experiment_id]) for run in runs}


def finished_before(uri: str, experiment: str, key: str) -> LoggedRun | None:
    """The newest FINISHED run with this ``resume_key`` tag, or None."""
    client, experiment_id = _open(uri, experiment)
    query = f"attributes.status = 'FINISHED' and tags.resume_key = '{key}'"
    runs = client.search_runs([experiment_id], query, max_results=1)
    return _read(runs[0], experiment) if runs else None


def _id_start(wanted: str) -> str:
    if set(wanted.lower()) <= set("0123456789abcdef"):
        return wanted.lower()
    raise SerError(f"{wanted!r} is no run id: give its hexadecimal digits, or 'latest'.")


def _read(run: mlflow.entities.Run, experiment: str) -> LoggedRun:
    started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    data = run.data
    return LoggedRun(
        run.info.run_id, run.info.run_name, experiment, started, data.tags, data.metrics
    )


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
    client, experiment_id = _open(uri, experiment)
    # A job's first run belongs to the sweep's.
    parent_id = parent.id if parent else os.environ.get("SER_PARENT_RUN")
    all_tags = {k: str(v) for k, v in {**tags, "mlflow.note.content": description}.items()}
    active = mlflow.start_run(
        experiment_id=experiment_id,
        run_name=name,
        tags=all_tags,
        parent_run_id=parent_id,
        nested=parent_id is not None,
    )
    run = Run(client, active, experiment, all_tags)
    try:
        yield run
        run.finish()
    except BaseException as error:
        with suppress(Exception):  # a store that is gone must not hide why the run failed
            run.fail(error)
        raise


def _open(uri: str, experiment: str) -> tuple[mlflow.MlflowClient, str]:
    """Client and id of the experiment, made where it is missing."""
    file = _sqlite_file(uri)
    try:
        # Processes that create the tables of one fresh store at once crash each other.
        with _locked(file.with_suffix(".lock")) if file else nullcontext():
            mlflow.set_tracking_uri(uri)
            client = mlflow.MlflowClient()
            known = client.get_experiment_by_name(experiment)
            if known is not None and known.lifecycle_stage == "deleted":
                client.restore_experiment(known.experiment_id)
            if known is not None:
                return client, known.experiment_id
            place = (file.parent / "artifacts" / experiment).as_uri() if file else None
            # The UI then opens on the runs; by default it takes every experiment for a chat bot.
            kind = {"mlflow.experimentKind": "custom_model_development"}
            return client, client.create_experiment(experiment, artifact_location=place, tags=kind)
    except (OSError, mlflow.MlflowException) as error:
        raise SerError(
            f"The tracking store {uri} cannot be used: {error}. Set tracking.uri (or "
            "MLFLOW_TRACKING_URI) to a store that can be reached and written."
        ) from error


def _sqlite_file(uri: str) -> Path | None:
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)).absolute() if uri.startswith(prefix) else None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released by the system if this process dies
        yield


def _signature(model: TrainedModel) -> ModelSignature:
    """What the model answers; without inputs, as MLflow would drop a field it does not know."""
    outputs: list[ColSpec | TensorSpec] = [ColSpec("string", "emotion")]
    outputs += [ColSpec("double", f"p_{emotion}") for emotion in model.emotions]
    return ModelSignature(outputs=Schema(outputs))
