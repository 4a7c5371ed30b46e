"""What a log must look like, read without ser's own doctor."""

import json
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
import numpy as np
import pandas as pd

from ser.models.trained import load_model

NUMBERS = ("test_accuracy", "test_uar", "test_log_loss", "n_development_clips")


def runs(uri):
    client = mlflow.MlflowClient(uri)
    experiments = [e.experiment_id for e in client.search_experiments()]
    found, token = [], None
    while True:
        page = client.search_runs(experiments, max_results=1000, page_token=token)
        found += page
        if not (token := page.token):
            return found


def folder(uri):
    return Path(unquote(urlsplit(uri).path))


_whole = set()  # what is FINISHED stays as it is: each run is looked at once


def check(uri):
    """Whatever is FINISHED is whole; return the runs by status."""
    client = mlflow.MlflowClient(uri)
    by_status = {}
    for run in runs(uri):
        by_status.setdefault(run.info.status, []).append(run)
        if run.info.status == "FINISHED" and run.info.run_id not in _whole:
            files = folder(run.info.artifact_uri)
            manifest = json.loads((files / "manifest.json").read_text())
            for name, known in manifest["files"].items():
                data = (files / name).read_bytes()
                assert (len(data), sha256(data).hexdigest()) == tuple(known.values()), name
            assert set(manifest["metrics"]) <= set(run.data.metrics)
            if "split" in run.data.tags and "kind" not in run.data.tags:
                check_trained(client, run, files)
            _whole.add(run.info.run_id)
    return by_status


def model_folder(client, model_id):
    """Where a model's own files are; it must be ready."""
    model = client.get_logged_model(model_id)
    assert model.status == "READY"
    return folder(model.artifact_location) / "artifacts"


def check_trained(client, run, files):
    """The numbers of a run of ser.train are those of its predictions, and its model makes them."""
    assert set(NUMBERS) <= set(run.data.metrics)
    test = pd.read_csv(files / "tables" / "predictions.csv").query("part == 'test'")
    accuracy = (test["true"] == test["predicted"]).mean()
    assert run.data.metrics["test_accuracy"] == accuracy
    (output,) = run.outputs.model_outputs
    loaded = load_model(model_folder(client, output.model_id))
    assert loaded.emotions == tuple(c.removeprefix("p_") for c in test.filter(regex="^p_"))
    vector = np.ones((1, len(loaded.feature_set.names)), np.float32)
    assert np.isfinite(loaded.probabilities(vector)).all()
