"""Every row of a log, page by page, and where its files are on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
from mlflow.entities import Experiment, LoggedModel, ViewType
from mlflow.entities import Run as MlflowRun
from mlflow.entities.model_registry import ModelVersion

from ser.core.paths import path_of

PAGE = 1000  # rows asked for at once


def all_runs(
    client: mlflow.MlflowClient,
    experiments: Sequence[Experiment],
    view: int = ViewType.ACTIVE_ONLY,
) -> Iterator[MlflowRun]:
    """Runs of the experiments, that are active unless the view says otherwise."""
    ids, token = [experiment.experiment_id for experiment in experiments], None
    while ids:
        page = client.search_runs(ids, run_view_type=view, max_results=PAGE, page_token=token)
        yield from page
        if not (token := page.token):
            return


def all_models(
    client: mlflow.MlflowClient, experiments: Sequence[Experiment]
) -> Iterator[LoggedModel]:
    """Logged models of the experiments."""
    ids, token = [experiment.experiment_id for experiment in experiments], None
    while ids:
        page = client.search_logged_models(ids, page_token=token)
        yield from page
        if not (token := page.token):
            return


def all_versions(client: mlflow.MlflowClient) -> Iterator[ModelVersion]:
    """Versions of all registered models."""
    token = None
    while True:
        page = client.search_model_versions(max_results=PAGE, page_token=token)
        yield from page
        if not (token := page.token):
            return


def local_folder(uri: str) -> Path | None:
    """Folder of a URI on this machine; None for another."""
    return Path(path_of(uri)) if urlsplit(uri).scheme in ("", "file") else None
