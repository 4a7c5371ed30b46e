"""The research log: one MLflow run per evaluated config. The only module that logs to MLflow.

Everything a run has to say is collected and sent in few calls, as MLflow spends its time per call.
A run is FINISHED only by `Run.finish`, which comes last; an exception on the way marks it FAILED.
Nothing goes through MLflow's fluent functions, which mean one log and one run for the process, and
reopen the run that the environment names.
"""

from __future__ import annotations

import errno
import getpass
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import mlflow
import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunInfo, RunTag

from ser.core import interrupts, jobs, paths, process
from ser.core.errors import SerError
from ser.core.printable import file_name, printable
from ser.models.trained import TrainedModel
from ser.tracking.artifacts import located, send
from ser.tracking.client import LOG_ERRORS, connect, unusable
from ser.tracking.database import PROCESS, artifact_location, sqlite_file, writing_alone
from ser.tracking.keys import legal_key
from ser.tracking.manifest import MANIFEST, Listed, Manifest, listed
from ser.tracking.models import log_model
from ser.tracking.queries import LoggedRun, logged_run
from ser.tracking.tables import write_table

log = logging.getLogger(__name__)

_SAID: set[tuple[int | None, str]] = set()  # what was printed, of each job of a sweep

PARAM_LIMIT = 6000  # characters of a parameter's value that MLflow takes
# Of a disk, not of a program: full, over its quota, read-only.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Drawn(Protocol):
    """A picture: a `ser.report.style.Figure`."""

    def png(self) -> bytes:
        """As a PNG file."""


class Run:
    """A run under way. Numbers and tags wait here until `finish`; files are written at once."""

    def __init__(self, client: mlflow.MlflowClient, logged: LoggedRun) -> None:
        self.id = logged.id
        self.experiment = logged.experiment
        self._logged = logged
        self._client = client
        self._metrics: list[Metric] = []
        self._tags: dict[str, str] = {}
        self._warnings: list[str] = []
        self._left_out: list[str] = []
        self._meant: dict[str, None] = {}  # files, by their paths among the artifacts
        self._model: tuple[str | None, Mapping[str, Listed]] = (None, {})
        self._dataset: dict[str, Any] = {}  # what MLflow knows the clips by
        self._folder = process.temporary_folder()

    def params(self, values: Mapping[str, object]) -> None:
        """Log parameters, now, so that a run that fails shows what it was."""
        params = [
            Param(legal_key(key), printable(str(value))[:PARAM_LIMIT])
            for key, value in values.items()
        ]
        for i in range(0, len(params), 100):  # as many as one request may carry
            self._client.log_batch(self.id, params=params[i : i + 100])

    def metrics(self, values: Mapping[str, float]) -> None:
        """Log one value for each key."""
        for key, value in values.items():
            self.steps(key, [value])

    def steps(self, key: str, values: Sequence[float], *, first: int = 0) -> None:
        """Log a series under one key, one step for each value: folds, or epochs.

        MLflow's tables show the last step of it, so the key has ``fold`` or ``epoch`` in it.
        """
        now = int(time.time() * 1000)
        self._metrics += [
            # A millisecond apart: the UI first draws over time, where one moment is one line.
            Metric(legal_key(key), float(value), now + step, step)
            for step, value in enumerate(values, start=first)
        ]

    def tags(self, values: Mapping[str, object]) -> None:
        """Log tags: what the UI filters and sorts by."""
        self._tags |= {key: printable(str(value)) for key, value in values.items()}

    def warn(self, text: str) -> None:
        """Say on the terminal, and keep as the tag `warning`, what makes the numbers doubtful."""
        if (jobs.number(), text) not in _SAID:  # a search's folds meet the same clips
            _SAID.add((jobs.number(), text))
            log.warning(printable(text))
        self._warnings = list(dict.fromkeys([*self._warnings, text]))
        self.tags({"warning": "\n".join(self._warnings)})

    @contextmanager
    def decoration(self, name: str) -> Iterator[None]:
        """Leave out, with a word, what fails in the block: it shows results and is none.

        Parameters
        ----------
        name : str
            Of what the block makes: a picture, a page, a model card.
        """
        try:
            yield
        except Exception as error:
            if _is_of_the_log(error):
                raise
            log.warning(printable(f"{name} is left out: {type(error).__name__}: {error}"))
            self._left_out.append(name)
            self.tags({"left_out": ", ".join(self._left_out)})

    def figure(self, draw: Callable[[], Drawn], name: str) -> None:
        """Keep what is drawn as ``figures/NAME.png``; one that cannot be drawn is left out."""
        file = f"figures/{file_name(name)}.png"
        with self.decoration(file):
            self._path(file).write_bytes(draw().png())

    def table(self, table: pd.DataFrame, name: str) -> None:
        """Keep a table as ``tables/NAME.csv``."""
        write_table(table, self._path(f"tables/{file_name(name)}.csv"))

    def text(self, text: str, name: str) -> None:
        """Keep a text file under its name."""
        self._path(name).write_text(printable(text), encoding="utf-8")

    def dataset(
        self, *, name: str, fingerprint: str, source: str, profile: str, context: str
    ) -> None:
        """Say which clips went in: MLflow's dataset, whose digest is the clips' fingerprint."""
        name, source = printable(name), printable(source)
        dataset = Dataset(name, fingerprint, "local", source, profile=profile)
        self._dataset = {"dataset_name": name, "dataset_digest": fingerprint}
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
        self._model = log_model(self._client, self.so_far(), model, card)

    @property
    def folder(self) -> Path:
        """What will be the run's artifacts, until they are sent."""
        return Path(self._folder.name)

    def so_far(self) -> LoggedRun:
        """The run as the log will have it; of a series, the last value."""
        return replace(
            self._logged,
            tags={**self._logged.tags, **self._tags},
            metrics={metric.key: metric.value for metric in self._metrics},
        )

    @property
    def artifacts(self) -> str:
        """Where they will be: a folder of this machine, or a URI."""
        return paths.path_of(located(self.uri, self.info.artifact_uri))

    @property
    def uri(self) -> str:
        """MLflow's tracking URI; it may have a password."""
        return self._logged.uri

    @cached_property
    def info(self) -> RunInfo:
        """What MLflow says of it: its experiment's id, where its files go."""
        return self._client.get_run(self.id).info

    def finish(self) -> None:
        """Send what waits, then mark the run FINISHED: it is the last thing that happens."""
        manifest = self._manifest().text()
        self._path(MANIFEST).write_text(manifest, encoding="utf-8")  # nothing masked: it must fit
        self._send()
        interrupts.check()
        self._end("FINISHED")

    def fail(self, error: BaseException) -> None:
        """Send what there is, and mark the run FAILED (KILLED where the user stopped it)."""
        status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        self.tags({"error": printable(f"{type(error).__name__}: {error}")[:PARAM_LIMIT]})
        try:  # a full disk may let pass one of these, and not another
            with suppress(OSError):
                self.text("".join(traceback.format_exception(error)), "error.txt")
            self._send()
        finally:
            self._end(status)

    def _end(self, status: str) -> None:
        self._client.set_terminated(self.id, status)
        if self.id in interrupts.began:
            interrupts.began[self.id] = status

    def _manifest(self) -> Manifest:
        """What the run must have to be whole: files with their hashes, metrics, the model.

        Raises
        ------
        SerError
            If a file is gone before it could be sent.
        """
        files = listed(self.folder)
        gone = [name for name in self._meant if name not in files and name not in self._left_out]
        if gone:
            raise SerError(
                f"{', '.join(gone)} of run {self.id} vanished from {self.folder} before the end: "
                "something removes files from there. Set TMPDIR to a folder that nothing cleans."
            )
        # MLflow's order: of the last step, or moment, it shows the value.
        in_order = sorted(self._metrics, key=lambda m: (m.key, m.step, m.timestamp, m.value))
        return Manifest(files, {m.key: m.value for m in in_order}, *self._model)

    def _path(self, name: str) -> Path:
        self._meant[name] = None
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _send(self) -> None:
        send(self.uri, self.info.artifact_uri, self.folder)
        of = {"model_id": self._model[0], **self._dataset}  # by which MLflow ranks models
        metrics = [Metric(m.key, m.value, m.timestamp, m.step, **of) for m in self._metrics]
        for i in range(0, len(metrics), 1000):  # as many as one request may carry
            self._client.log_batch(self.id, metrics=metrics[i : i + 1000])
        tags = [RunTag(key, value) for key, value in self._tags.items()]
        self._client.log_batch(self.id, tags=tags)
        self._metrics, self._tags = [], {}
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

    See `create_run` for the parameters.

    Raises
    ------
    SerError
        If the log cannot be made or reached, or not all of the run could be written to it.
    """
    run = create_run(
        uri=uri,
        experiment=experiment,
        name=name,
        tags=tags,
        description=description,
        parent=parent,
    )
    with finishing(run):
        yield run


def create_run(
    *,
    uri: str,
    experiment: str,
    name: str,
    tags: Mapping[str, object],
    description: str,
    parent: Run | None = None,
) -> Run:
    """Start a run, which stays RUNNING until its `finish` or `fail`.

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
        The UI folds this run under it; without one, under the sweep that this process is part of.

    Raises
    ------
    SerError
        If the log cannot be made or reached.
    """
    if not isinstance(experiment, str) or not experiment.strip():
        raise SerError(
            f"tracking.experiment={experiment!r} is no name of an MLflow experiment: give a text."
        )
    client = connect(uri, mend=True)
    if parent is None and jobs.number() is None:
        _SAID.clear()  # of the run before, in a script or a notebook
    parent_id = parent.id if parent else jobs.sweep_run_id()
    values = {
        **_origin(),
        **tags,
        PROCESS: process.identity(),
        "mlflow.note.content": description,
        **({"mlflow.parentRunId": parent_id} if parent_id else {}),
    }
    texts = {key: printable(str(value)) for key, value in values.items()}
    name = printable(name)
    try:
        created = client.create_run(_experiment(client, uri, experiment), run_name=name, tags=texts)
    except LOG_ERRORS as error:
        raise unusable(uri, error) from error
    if parent is None:
        interrupts.began[created.info.run_id] = "RUNNING"
    logged = logged_run(created, experiment=experiment, uri=uri)
    return Run(client, replace(logged, tags=texts))


@contextmanager
def finishing(run: Run) -> Iterator[None]:
    """Finish a run at the block's end; an exception in the block marks it FAILED.

    Raises
    ------
    SerError
        If not all of the run could be written to the log.
    """
    try:
        yield
        run.finish()
    except BaseException as error:
        with suppress(Exception):  # a log that is gone must not hide why the run failed
            run.fail(error)
        if _is_of_the_log(error):
            logged = run.so_far()
            raise SerError(
                f"Run {run.id} ({logged.name}) is not whole, nor marked FINISHED. "
                f"{unusable(logged.uri, error)}"
            ) from error
        raise


def _origin() -> dict[str, str]:
    """Who started the run, and by what: MLflow's own tags, which the runs table shows."""
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container's user has no name
        user = "unknown"
    return {"mlflow.user": user, "mlflow.source.name": sys.argv[0], "mlflow.source.type": "LOCAL"}


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
    with writing_alone(file) if file else nullcontext():
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
