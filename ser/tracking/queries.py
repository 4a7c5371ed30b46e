"""Runs that the log holds: found by id, by score or by query, and their files read.

Every function says which log it means; none depends on the process's own.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import yaml
from mlflow.entities import Run as MlflowRun

from ser.core.comparable import is_synthetic, kind_of
from ser.core.errors import SerError
from ser.core.process import temporary_folder
from ser.tracking.artifacts import fetch, send
from ser.tracking.client import client_of, connect
from ser.tracking.manifest import changed, differences, differing_metrics, manifest_of
from ser.tracking.tables import read_table, reading

log = logging.getLogger(__name__)

NEWEST = ["attributes.start_time DESC"]  # first


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
    uri : str
        MLflow's tracking URI of the log that holds it.
    """

    id: str
    name: str
    experiment: str
    started: datetime
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    uri: str = field(repr=False)  # it may have a password

    def test_predictions(self) -> pd.DataFrame:
        """Test rows of its predictions table.

        Raises
        ------
        SerError
            If the run has none, or it is damaged or has changed since.
        """
        with temporary_folder() as folder:
            try:
                file = self._fetch("tables/predictions.csv", folder)
            except (OSError, mlflow.MlflowException) as error:
                raise SerError(f"Run {self.id} ({self.name}) has no predictions table.") from error
            with reading(self.id, "tables/predictions.csv"):
                table = read_table(file)
                table = table[table["part"] == "test"]
        return table

    def config(self) -> dict[str, Any]:
        """Its config; empty where it has none.

        Raises
        ------
        SerError
            If it is damaged or has changed since.
        """
        with temporary_folder() as folder:
            try:
                file = self._fetch("config.yaml", folder)
            except (OSError, mlflow.MlflowException):
                return {}
            with reading(self.id, "config.yaml"):
                return yaml.safe_load(file.read_text(encoding="utf-8")) or {}

    def download(self, folder: str | Path) -> None:
        """Copy its artifacts into a folder; the model is not among them.

        Raises
        ------
        SerError
            If they are not where the log says, or they, or the metrics, have changed since.
        """
        try:
            self._fetch("", folder)
        except (OSError, mlflow.MlflowException) as error:
            raise SerError(
                f"The artifacts of run {self.id} ({self.name}) cannot be read: {error}"
            ) from error

    def add(self, file: str | Path) -> None:
        """Put one more file among its artifacts."""
        artifact_uri = client_of(self.uri).get_run(self.id).info.artifact_uri
        send(self.uri, artifact_uri, Path(file))

    def _fetch(self, path: str, folder: str | Path) -> Path:
        """One of its files, or all, which are as they were logged."""
        run = client_of(self.uri).get_run(self.id)
        fetched = fetch(self.uri, run.info.artifact_uri, path, folder)
        if manifest := manifest_of(self.uri, run):
            listed = {name: known for name, known in manifest.files.items() if path in ("", name)}
            faults = differences(listed, Path(folder), fast=False)
            if not path:
                faults += differing_metrics(manifest.metrics, self.metrics)
            if faults:
                raise changed(run, faults)
        return fetched


def logged_run(run: MlflowRun, *, experiment: str, uri: str) -> LoggedRun:
    """MLflow's run, without what is not looked at here."""
    return LoggedRun(
        id=run.info.run_id,
        name=run.info.run_name,
        experiment=experiment,
        started=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        tags=run.data.tags,
        metrics=run.data.metrics,
        uri=uri,
    )


def find_run(
    uri: str, wanted: str, experiment: str | None = None, *, with_model: bool = False
) -> LoggedRun:
    """The finished run with this id.

    Parameters
    ----------
    uri : str
        MLflow's tracking URI.
    wanted : str
        Its id, or the first characters of it, or ``latest``: with `with_model` the newest whose
        model was trained on people, if there is one.
    experiment : str, optional
        Where to look; everywhere unless given.
    with_model : bool
        Whether to pass over runs that evaluated no model: explorations, comparisons, trials.

    Raises
    ------
    SerError
        If there is no such run, or several.
    """
    client = connect(uri)
    names = _experiment_names(client, experiment)
    if not names:
        raise SerError(f"No experiment {experiment!r} in {uri}. Give --experiment NAME or --uri.")
    where = f"experiment {experiment!r}" if experiment else uri
    query = "attributes.status = 'FINISHED'"
    query += " and metrics.n_development_clips > 0" if with_model else ""
    if wanted != "latest":
        query += f" and attributes.run_id LIKE '{_id_start(wanted)}%'"
    runs = client.search_runs(list(names), query, max_results=2, order_by=NEWEST)
    if not runs and wanted == "latest":
        raise SerError(f"There is no finished run in {where}: python -m ser.train makes one.")
    if wanted != "latest" and len(runs) != 1:
        raise SerError(
            f"{len(runs) or 'No'} finished runs in {where} have an id that starts with "
            f"{wanted!r}. Ids are in the UI (ser-ui) and at the end of a run's output; "
            "a run of another experiment needs --experiment NAME."
        )
    run = runs[0]
    if wanted == "latest" and with_model and is_synthetic(run.data.tags):
        run = _of_people(client, list(names), query) or run
    return logged_run(run, experiment=names[run.info.experiment_id], uri=uri)


def best_run(
    uri: str, metric: str, tags: Mapping[str, str], kind: str, *, highest: bool
) -> LoggedRun:
    """The finished run with the best value of a metric among those with these tags.

    Parameters
    ----------
    uri : str
        MLflow's tracking URI.
    metric : str
        ``test_uar``, ...
    tags : mapping of str to str
        What the runs must have in common, so that their numbers can be compared.
    kind : str
        Of their numbers: see `ser.core.comparable`.
    highest : bool
        Whether more of the metric is better; of a loss or an error less is.

    Raises
    ------
    SerError
        If no run fits.
    """
    client = connect(uri)
    names = _experiment_names(client)
    query = f"metrics.`{metric}` > -1e9"
    for key, value in tags.items():
        quote = '"' if "'" in value else "'"
        query += f" and tags.{key} = {quote}{value}{quote}"
    order = [f"metrics.`{metric}` {'DESC' if highest else 'ASC'}"]
    page = None
    while page != "":
        runs = _matches(client, list(names), query, order_by=order, page_token=page)
        for run in runs:
            if kind_of(run.data.tags) == kind:
                return logged_run(run, experiment=names[run.info.experiment_id], uri=uri)
        page = runs.token or ""
    raise SerError(
        f"No finished {kind} run in {uri} has {metric} and "
        f"{', '.join(f'{key} {value}' for key, value in tags.items())}. Train one, or choose "
        "among others with --best-corpus, --best-split, --best-transductive, --best-pretrained."
    )


def finished_runs(
    uri: str, experiment: str | None, run_ids: Sequence[str], query: str | None
) -> list[LoggedRun]:
    """Runs by id (or its first characters), in the order given; or by an MLflow query.

    Parameters
    ----------
    uri : str
        MLflow's tracking URI.
    experiment : str or None
        Name of the experiment that is searched; None: all for ids, and ravdess for a query.
    run_ids : sequence of str
    query : str or None
        MLflow's search string; its runs follow those named, the oldest first.

    Raises
    ------
    SerError
        If there is no such experiment or run, an id's start fits several, or the query is wrong.
    """
    client = connect(uri)
    runs = [find_run(uri, wanted, experiment) for wanted in run_ids]
    if query:
        experiment = experiment or "ravdess"
        known = client.get_experiment_by_name(experiment)
        if known is None:
            raise SerError(
                f"No experiment {experiment!r} in {uri}. Give --experiment NAME or --uri."
            )
        matches = _matches(
            client, [known.experiment_id], query, max_results=1000, order_by=["start_time"]
        )
        runs += [logged_run(run, experiment=experiment, uri=uri) for run in matches]
    return runs


def runs_by_id(uri: str, run_ids: Sequence[str]) -> dict[str, LoggedRun]:
    """Runs whose full ids are known, of whatever experiment."""
    client = connect(uri)
    runs = [client.get_run(run_id) for run_id in run_ids]
    names = {i: client.get_experiment(i).name for i in {run.info.experiment_id for run in runs}}
    return {
        run.info.run_id: logged_run(run, experiment=names[run.info.experiment_id], uri=uri)
        for run in runs
    }


def finished_with_key(uri: str, experiment: str, key: str) -> LoggedRun | None:
    """The newest FINISHED run with this ``resume_key`` tag, or None."""
    client = connect(uri)
    known = client.get_experiment_by_name(experiment)
    if known is None:
        return None
    query = f"attributes.status = 'FINISHED' and tags.resume_key = '{key}'"
    runs = client.search_runs([known.experiment_id], query, max_results=1)
    return logged_run(runs[0], experiment=experiment, uri=uri) if runs else None


def run_of_model(folder: Path, uri: str) -> LoggedRun | None:
    """The run that made a model, if the log still has it."""
    import yaml

    client = connect(uri)
    run_id = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8")).get("run_id")
    try:
        run = client.get_run(run_id)
        name = client.get_experiment(run.info.experiment_id).name
    except mlflow.MlflowException:
        return None
    return logged_run(run, experiment=name, uri=uri)


def _matches(
    client: mlflow.MlflowClient, experiments: list[str], query: str, **options: Any
) -> Any:
    """A page of finished runs that MLflow finds by a query of the user's."""
    query_of_finished = f"attributes.status = 'FINISHED' and {query}"
    try:
        return client.search_runs(experiments, query_of_finished, **options)
    except mlflow.MlflowException as error:
        raise SerError(f"MLflow cannot search by {query!r}: {error.message}") from error


def _of_people(client: mlflow.MlflowClient, experiments: list[str], query: str) -> MlflowRun | None:
    """The newest run of a query whose model was not trained on synthetic voices."""
    page = None
    while page != "":
        runs = client.search_runs(experiments, query, order_by=NEWEST, page_token=page)
        for run in runs:
            if not is_synthetic(run.data.tags):
                log.warning("Newer runs are passed over: synthetic voices trained their models.")
                return run
        page = runs.token or ""
    return None


def _experiment_names(client: mlflow.MlflowClient, experiment: str | None = None) -> dict[str, str]:
    """Name of each active experiment by id, or of that one alone."""
    known = client.search_experiments()
    return {e.experiment_id: e.name for e in known if experiment in (None, e.name)}


def _id_start(wanted: str) -> str:
    if set(wanted.lower()) <= set("0123456789abcdef"):
        return wanted.lower()
    raise SerError(f"{wanted!r} is no run id: give its hexadecimal digits, or 'latest'.")
