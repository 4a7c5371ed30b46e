"""Files that version 0.1.0 wrote (tests/v0.1.0) open, and give the same answers."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ser.features.augmentation import Augmentation
from ser.features.notebook import NotebookFeatures
from ser.features.prosody import ProsodyFeatures
from ser.features.store import extract
from ser.models.trained import MOVED, load_model

OLD = Path(__file__).parent / "v0.1.0"
EXPECTED = json.loads((OLD / "expected.json").read_text(encoding="utf-8"))
CLIPS = [str(OLD / clip["path"]) for clip in EXPECTED["clips"]]
SPEAKERS = [clip["speaker"] for clip in EXPECTED["clips"]]
# Classifiers in single precision round otherwise when clips come one by one, as they do here.
TOLERANCE = 1e-6


def unpacked(name, place):
    with tarfile.open(OLD / f"{name}.tar.xz") as archive:
        archive.extractall(place, filter="data")
    return place / name


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return unpacked("models", tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """URI of the log, which lies elsewhere than where it was written."""
    pytest.importorskip("mlflow", minversion="3.17")  # which has made its tables
    folder = unpacked("mlruns", tmp_path_factory.mktemp("moved"))
    return f"sqlite:///{folder}/mlflow.db"


def probabilities(table, emotions):
    assert table["error"].isna().all(), table["error"].tolist()
    assert table["clip"].tolist() == CLIPS
    return table[[f"p_{emotion}" for emotion in emotions]].to_numpy()


@pytest.mark.parametrize("name", EXPECTED["models"])
def test_old_model_gives_the_same_answers(models, name):
    from ser.tracking.registry import find_model

    if name == "cnn":
        pytest.importorskip("skorch")
    expected = EXPECTED["models"][name]
    model = find_model(models / name)
    assert list(model.emotions) == expected["emotions"]
    assert model.trained.scale_by_speaker == expected["scale_by_speaker"]
    assert len(model.trained.feature_set.names) == expected["n_features"]
    table = model.predict(CLIPS, speakers=SPEAKERS)
    np.testing.assert_allclose(
        probabilities(table, model.emotions), expected["probabilities"], rtol=0, atol=TOLERANCE
    )


def test_old_models_hold_every_class_that_has_moved(models):
    written = set()
    for file in models.rglob("*.skops"):
        with zipfile.ZipFile(file) as archive:
            for line in archive.read("schema.json").decode().split("{"):
                pair = dict(re.findall(r'"__(class|module)__": "([^"]+)"', line))
                written.add(f"{pair.get('module')}.{pair.get('class')}")
    assert {name for name in written if name.startswith("ser.")} == MOVED.keys()


def test_a_moved_name_is_checked_as_what_it_is_now(models, monkeypatch):
    from ser.core.errors import SerError
    from ser.models import trained

    monkeypatch.setitem(trained.MOVED, "ser.calibration.TemperatureScaling", "os.system")
    with pytest.raises(SerError, match=r"not trusted: os\.system"):
        load_model(models / "svm")


def test_old_store_is_read_and_nothing_extracted(tmp_path):
    store = shutil.copy(OLD / "features.sqlite", tmp_path)
    prosody = ProsodyFeatures()
    (faster,) = Augmentation(copies=1, speed=(0.9, 1.1), seed=69).of(prosody)
    feature_sets = {"notebook": NotebookFeatures(), "prosody": prosody}
    assert extract(CLIPS, faster, store=store, n_jobs=1, progress=False).n_extracted == len(CLIPS)
    for name, feature_set in feature_sets.items():
        expected = EXPECTED["store"]["sets"][name]
        stored = extract(CLIPS, feature_set, store=store, n_jobs=1, progress=False)
        assert stored.n_extracted == 0, name
        assert stored.content.tolist() == EXPECTED["store"]["content"]
        assert (stored.recordings["sr"] > 0).all()
        columns = expected["columns"]
        assert list(stored.names[: len(columns)]) == columns
        assert len(stored.names) == expected["n_columns"]
        X = np.array(expected["X"], dtype=np.float32)
        np.testing.assert_array_equal(stored.X[:, : len(columns)], X)
        sums = stored.X.sum(axis=1, dtype=np.float64)
        np.testing.assert_allclose(sums, expected["row_sums"], rtol=1e-12)
        anew = extract(CLIPS, feature_set, store=tmp_path / "new.sqlite", n_jobs=1, progress=False)
        np.testing.assert_allclose(anew.X, stored.X, rtol=1e-5, atol=1e-5)


def test_old_study_opens_and_goes_on(tmp_path):
    from optuna import load_study
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    from ser.tune.storage import QUESTION, open_study
    from ser.tune.trials import best_trial, value_of

    journal = shutil.copy(OLD / "optuna.journal", tmp_path)
    shutil.copytree(OLD / "optuna.workers", tmp_path / "optuna.workers")
    expected = EXPECTED["study"]
    old = JournalStorage(JournalFileBackend(str(journal)))  # with no question it is refused
    load_study(study_name=expected["name"], storage=old).set_user_attr(QUESTION, {})
    with open_study(str(journal), expected["name"], question={}) as (study, worker):
        assert worker.number == expected["n_workers_before"]
        assert study.direction.name == expected["direction"]
        trials = study.get_trials()
        assert [trial.state.name for trial in trials] == expected["states"]
        assert [trial.value for trial in trials] == expected["values"]
        best = best_trial(study)
        assert (best.number, best.params) == (expected["best_trial"], expected["best_params"])
        assert value_of(best) == expected["best_value"]
        study.optimize(lambda trial: 1.0, n_trials=1)
        assert best_trial(study).number == expected["n_trials"]


def test_old_log_opens_where_it_was_moved_to(log, tmp_path):
    from ser.doctor.log import examine_log
    from ser.tracking.queries import find_run
    from ser.tracking.registry import find_model

    expected = EXPECTED["log"]
    run = find_run(log, "latest", with_model=True)
    assert (run.id, run.name, run.experiment) == (
        expected["run_id"],
        expected["name"],
        expected["experiment"],
    )
    assert run.metrics == expected["metrics"]
    test = run.test_predictions()
    accuracy = (test["true"] == test["predicted"]).mean()
    assert accuracy == pytest.approx(expected["metrics"]["test_accuracy"])
    run.download(tmp_path)
    lines = (tmp_path / "tables" / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == expected["predictions"]["n_rows"] + 1
    assert lines[:4] == expected["predictions"]["first_lines"]
    registered = expected["registered"]
    for source in ("latest", run.id[:8], f"models:/{registered['name']}@{registered['alias']}"):
        model = find_model(source, uri=log)
        assert model.digest == expected["digest"]
        assert model.run.id == run.id
        table = model.predict(CLIPS)
        np.testing.assert_allclose(
            probabilities(table, model.emotions),
            expected["model"]["probabilities"],
            rtol=0,
            atol=TOLERANCE,
        )
    assert [finding.text for finding in examine_log(log) if finding.advice] == []


SERVED = """
import sys, mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
table = model.predict(pd.DataFrame({"path": sys.argv[3:]}))
import ser
print(ser.__file__)
print(table.drop(columns="emotion").to_json(orient="values", double_precision=15))
"""


@pytest.mark.slow
def test_old_model_is_served_by_the_code_that_it_brings_along(log, tmp_path):
    from ser.tracking.client import connect

    connect(log, mend=True)  # as a run, ser-ui or the doctor does
    uri = f"runs:/{EXPECTED['log']['run_id']}/model"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # In a process that has not imported today's ser.
    served = subprocess.run(
        [sys.executable, "-c", SERVED, log, uri, *CLIPS],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert served.returncode == 0, served.stderr
    module, answers = served.stdout.splitlines()[-2:]
    assert module.endswith("/code/ser/__init__.py")
    np.testing.assert_allclose(
        json.loads(answers), EXPECTED["log"]["model"]["probabilities"], rtol=0, atol=TOLERANCE
    )
