"""End to end, as a user runs it: the command, what it prints, what MLflow holds."""

import re
import shutil
import subprocess
import sys

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import ser
from ser.compare import compare
from ser.core.errors import SerError
from ser.data.audio import AudioError
from ser.features.notebook import NotebookFeatures
from ser.features.store import extract
from ser.tracking.models import download_model


def runs(client):
    ids = [e.experiment_id for e in client.search_experiments()]
    return client.search_runs(ids)


def table(client, run, name):
    return pd.read_csv(client.download_artifacts(run.info.run_id, f"tables/{name}.csv"))


def demo(root, *more):
    folds = () if any(key.startswith("cv.") for key in more) else ("cv.n_splits=3",)
    return ["data=demo", f"data.root={root}", "data.speakers=4", *folds, *more]


def test_train_svm_on_demo_is_all_there(run_cli, demo_root, client):
    printed = run_cli("ser.train", *demo(demo_root), "model=svm", draw=True).stdout
    (run,) = runs(client)
    assert run.info.status == "FINISHED"
    assert run.info.run_id in printed
    assert "demo" in run.info.run_name
    assert client.get_experiment(run.info.experiment_id).name == "demo"

    metrics = run.data.metrics
    for part in ("train_{}", "cv_{}_mean", "cv_{}_std", "test_{}"):
        for name in ("accuracy", "uar", "precision_macro", "recall_macro", "f1_macro", "log_loss"):
            assert np.isfinite(metrics[part.format(name)]), (part, name)
    assert {"fit_seconds", "predict_seconds", "test_auc_macro", "test_recall_angry"} <= set(metrics)
    folds = client.get_metric_history(run.info.run_id, "cv_fold_accuracy")
    assert [f.step for f in folds] == [0, 1, 2]
    assert np.mean([f.value for f in folds]) == pytest.approx(metrics["cv_accuracy_mean"])

    # The numbers can be made again from the predictions alone.
    predictions = table(client, run, "predictions")
    test = predictions[predictions["part"] == "test"]
    assert len(test) == 48
    assert len(predictions) == 48 + 192
    assert (test["true"] == test["predicted"]).mean() == pytest.approx(metrics["test_accuracy"])
    assert test["clip"].is_unique
    np.testing.assert_allclose(test.filter(regex="^p_").sum(axis=1), 1)
    confusions = table(client, run, "confusion_matrix")
    assert confusions[confusions["part"] == "test"].filter(like="predicted_").to_numpy().sum() == 48

    (model,) = client.search_logged_models(
        [run.info.experiment_id], order_by=[{"field_name": "metrics.test_uar"}]
    )
    assert {metric.key: metric.value for metric in model.metrics} == metrics
    dataset = run.inputs.dataset_inputs[0].dataset
    assert {metric.dataset_digest for metric in model.metrics} == {dataset.digest}
    assert model.tags["scored"] == "this model"
    assert (model.tags["corpus"], model.tags["synthetic"]) == ("demo", "true")

    assert run.data.params["model.classifier.C"] == "10.0"
    assert run.data.tags["split"] == "random"
    assert '"clips": 240' in dataset.profile
    names = {
        a.path for folder in ("", "figures") for a in client.list_artifacts(run.info.run_id, folder)
    }
    assert {"config.yaml", "environment.txt"} <= names
    assert {
        f"figures/{name}.png"
        for name in (
            "confusion_matrix_test",
            "confusion_matrix_cv",
            "roc",
            "precision_recall",
            "reliability",
            "breakdown",
            "class_balance",
            "learning_curve",
        )
    } <= names


def test_train_speaker_keeps_actors_apart(run_here, demo_root, client):
    run_here(*demo(demo_root), "model=naive_bayes", "split=speaker", "cv.n_splits=2")
    predictions = table(client, runs(client)[0], "predictions")
    actors = predictions.groupby("part")["actor"].unique()
    assert not set(actors["cv"]) & set(actors["test"])
    assert predictions[predictions["part"] == "cv"].groupby("actor")["fold"].nunique().max() == 1


@pytest.mark.slow
def test_train_mlp_logs_its_loss_by_epoch(run_here, demo_root, client):
    run_here(*demo(demo_root), "model=mlp_default", "curves=none")
    (run,) = runs(client)
    loss = client.get_metric_history(run.info.run_id, "epoch_train_loss")
    assert [point.step for point in loss] == list(range(1, len(loss) + 1))
    assert loss[-1].value < loss[0].value
    figures = [a.path for a in client.list_artifacts(run.info.run_id, "figures")]
    assert "figures/loss_curve.png" in figures
    assert "figures/learning_curve.png" not in figures


LOAD = """
import sys, mlflow, pandas as pd
for folder in sys.argv[1:4]:
    answers = mlflow.pyfunc.load_model(folder).predict(pd.DataFrame({"path": sys.argv[4:]}))
    answers.to_csv(folder + ".csv", index=False)
"""


@pytest.mark.slow
def test_train_loaded_models_predict_what_the_fitted_ones_did(
    run_here, demo_root, client, tmp_path
):
    fitted = {}
    for model in ("svm", "random_forest", "mlp_default"):
        fast = ["model.classifier.n_estimators=20"] if model == "random_forest" else []
        outcome = run_here(*demo(demo_root), f"model={model}", "curves=none", *fast)
        source = download_model(client.tracking_uri, f"runs:/{outcome.run_id}/model")
        folder = shutil.copytree(source, tmp_path / model)
        predictions = table(client, client.get_run(outcome.run_id), "predictions")
        fitted[str(folder)] = predictions[predictions["part"] == "test"].head(5)
        assert not list((tmp_path / model).rglob("*.pkl"))
    clips = next(iter(fitted.values()))["clip"]
    paths = [f"{demo_root}/Actor_{clip[-6:-4]}/{clip}" for clip in clips]
    # Away from the checkout: only the run's own copy of ser can serve.
    command = [sys.executable, "-c", LOAD, *fitted, *paths]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    for folder, expected in fitted.items():
        loaded = pd.read_csv(f"{folder}.csv")
        assert loaded["emotion"].tolist() == expected["predicted"].tolist()
        columns = [c for c in loaded if c.startswith("p_")]
        np.testing.assert_allclose(loaded[columns], expected[columns], atol=1e-6)


def test_train_failed_run_says_failed_and_why(run_here, demo_root, client):
    with pytest.raises(SerError, match="'C' parameter of SVC"):
        run_here(*demo(demo_root), "model.classifier.C=-1")
    (run,) = runs(client)
    assert run.info.status == "FAILED"
    assert "'C'" in run.data.tags["error"]
    assert "test_accuracy" not in run.data.metrics
    assert run.data.params["model.classifier.C"] == "-1"


def test_train_bad_clip_raises_or_is_skipped_and_listed(
    run_here, demo_root, client, tmp_path, capsys
):
    root = tmp_path / "table"
    shutil.copytree(demo_root, root, ignore=lambda *_: ["Actor_03", "Actor_04"])
    clips = sorted(root.glob("Actor_*/*.wav"))
    table_file = root / "clips.csv"
    pd.DataFrame(
        {
            "path": [str(c.relative_to(root)) for c in clips],
            "emotion": [c.stem.split("-")[2] for c in clips],
            "speaker": [c.stem[-2:] for c in clips],
        }
    ).to_csv(table_file, index=False)
    clips[7].write_bytes(clips[7].read_bytes()[:100])
    arguments = [
        "data=table",
        f"data.table={table_file}",
        "data.min_clips=2",
        "cv.n_splits=2",
        "curves=none",
    ]
    with pytest.raises(AudioError, match=clips[7].name):
        run_here(*arguments)
    run_here(*arguments, "data.on_error=skip")
    assert "1 of 120 clips skipped" in capsys.readouterr().out
    run = runs(client)[0]
    assert run.data.metrics["n_skipped_clips"] == 1
    assert table(client, run, "skipped_clips")["path"].tolist() == [str(clips[7])]


def test_train_many_processes_create_one_store(tmp_path, demo_root, launcher, ser_environment):
    uri = f"sqlite:///{tmp_path}/fresh/mlflow.db"
    env = ser_environment | {"MLFLOW_TRACKING_URI": uri}
    arguments = [*demo(demo_root), "model=dummy", "curves=none"]
    jobs = [
        launcher.start("ser.train", *arguments, f"hydra.run.dir={tmp_path}/hydra/{i}", env=env)
        for i in range(3)
    ]
    assert [job.wait() for job in jobs] == [0] * 3, [job.said for job in jobs]
    assert [run.info.status for run in runs(mlflow.MlflowClient(uri))] == ["FINISHED"] * 3


def test_train_help_shows_groups_choices_and_examples(run_cli):
    text = run_cli("ser.train", "--help").stdout
    for word in ("random_forest", "speaker", "demo", "python -m ser.train -m"):
        assert word in text


@pytest.mark.slow
def test_train_every_curve_that_the_model_names(run_here, demo_root, client):
    values = "model.validation_curve.classifier={n_neighbors:[1,5,100]}"
    run_here(*demo(demo_root), "model=knn", "curves=all", values)
    (run,) = runs(client)
    curve = table(client, run, "validation_curve_classifier.n_neighbors")
    assert curve.groupby("classifier.n_neighbors").size().to_dict() == {1: 3, 5: 3, 100: 3}
    one_neighbour = curve[curve["classifier.n_neighbors"] == 1]
    assert (one_neighbour["train_accuracy"] == 1).all()


def test_train_transductive_says_so_and_its_model_asks_for_speakers(run_here, demo_root, client):
    outcome = run_here(*demo(demo_root), "model=svm", "split=loso", "scaler=speaker", "curves=none")
    assert "TRANSDUCTIVE" in outcome.text
    (run,) = runs(client)
    assert run.data.tags["transductive"] == "true"
    assert "transductive " in run.info.run_name
    folder = download_model(client.tracking_uri, f"runs:/{run.info.run_id}/model")
    model = mlflow.pyfunc.load_model(str(folder))
    paths = sorted(map(str, (demo_root / "Actor_01").glob("*.wav")))[:20]
    with pytest.raises(mlflow.MlflowException, match="speaker"):
        model.predict(pd.DataFrame({"path": paths}))
    answer = model.predict(pd.DataFrame({"path": paths, "speaker": "1"}))
    np.testing.assert_allclose(answer.filter(regex="^p_").sum(axis=1), 1)


def test_train_variants_and_compare(run_cli, demo_root, client):
    printed = run_cli(
        "ser.train", "experiment=protocols", *demo(demo_root, "cv.n_splits=2"), "model=naive_bayes"
    ).stdout
    everything = {run.info.run_name.split()[0]: run for run in runs(client)}
    parent = everything.pop("protocols-demo")
    assert len(everything) == 5
    assert {run.data.tags["mlflow.parentRunId"] for run in everything.values()} == {
        parent.info.run_id
    }
    compared = table(client, parent, "variants")
    assert compared["kind"].tolist() == ["inductive"] * 4 + ["transductive"]
    for row in compared.to_dict("records"):
        run = client.get_run(row["run_id"])
        assert row["test_uar"] == pytest.approx(run.data.metrics["test_uar"])
        assert row["test_uar_low"] <= row["test_uar"] <= row["test_uar_high"]
    assert "transductive: each speaker's test clips" in printed

    loso = everything["naive_bayes-loso-demo"].info.run_id
    run_cli("ser.train", *demo(demo_root, "cv.n_splits=2"), "model=dummy", "split=loso")
    (dummy,) = (run for run in runs(client) if run.data.tags.get("model") == "dummy")
    printed = run_cli("ser.compare", loso, dummy.info.run_id[:12], "--experiment", "demo").stdout
    (comparison,) = (run for run in runs(client) if run.info.run_name == "compare-2-runs")
    assert comparison.info.run_id in printed
    tested = table(client, comparison, "comparison").set_index("metric")
    for metric in ("uar", "accuracy"):
        by_actor = table(client, comparison, f"{metric}_by_actor")
        assert len(by_actor) == 4
        assert tested["difference"][metric] == pytest.approx(
            (by_actor.iloc[:, 2] - by_actor.iloc[:, 1]).mean()
        )
        assert tested["p"][metric] == 2 / 2**4  # of four actors, all better with one of the two
    for others, message in (
        ("naive_bayes-random-demo", "split=loso and .* split=random"),
        ("naive_bayes-loso-demo-transductive", "is transductive"),
    ):
        with pytest.raises(SerError, match=message):
            compare(
                [loso, everything[others].info.run_id],
                None,
                experiment="demo",
                uri=client.tracking_uri,
            )
    refused = run_cli("ser.compare", "zz", "--experiment=demo", check=False)
    assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
    assert "'zz' is no run id" in refused.stderr


@pytest.mark.ravdess
@pytest.mark.parametrize(
    ("overrides", "bounds"),
    [
        (["model=svm"], {"test_accuracy": (0.64, 0.69), "cv_accuracy_mean": (0.61, 0.66)}),
        (["model=svm", "scaler=none"], {"test_accuracy": (0.507, 0.527)}),
        (["model=knn_weighted"], {"test_accuracy": (0.58, 0.62)}),
        (["model=svm", "split=loso"], {"test_uar": (0.37, 0.42)}),
        (["model=svm", "split=emobox6"], {"test_uar": (0.34, 0.42)}),
        (["model=svm", "split=luna5"], {"test_uar": (0.34, 0.42)}),
        (["model=svm", "split=loso", "scaler=speaker"], {"test_uar": (0.47, 0.53)}),
        (["experiment=permutation"], {"permuted_uar_mean": (0.115, 0.135)}),
        (["model=mlp"], {"test_accuracy": (0.61, 0.67), "cv_accuracy_mean": (0.58, 0.64)}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_train_on_ravdess_lands_where_it_must(run_cli, ravdess_root, client, overrides, bounds):
    printed = run_cli("ser.train", *overrides, "curves=none").stdout
    (run,) = runs(client)
    assert re.search(r"1440 clips, 24 actors, 8 emotions", printed)
    for name, (low, high) in bounds.items():
        assert low <= run.data.metrics[name] <= high, name


@pytest.mark.ravdess
def test_svm_on_emodb_is_plain_scikit_learns(emodb_root, tmp_path):
    """Leave one speaker out, with the speaker and the emotion read from the file names."""
    store = tmp_path / "features.sqlite"
    data = ser.extract(ser.load("emodb", emodb_root), store=store)
    evaluation = ser.evaluate(ser.make_pipeline("svm"), data, ser.split(data, "loso"))
    uar = evaluation.metrics["test_uar"]
    files = sorted(emodb_root.rglob("[01]?[ab]???*.*"))
    assert len(files) == 535
    words = {"W": "angry", "L": "boredom", "E": "disgust", "A": "fearful", "F": "happy"}
    words |= {"N": "neutral", "T": "sad"}  # a pairwise vote can depend on the classes' order
    speakers = np.array([file.stem[:2] for file in files])
    emotions = np.array([words[file.stem[5]] for file in files])
    assert len(set(speakers)) == 10
    X = extract([str(file) for file in files], NotebookFeatures(), store=store, progress=False).X
    model = make_pipeline(StandardScaler(), SVC(C=10, gamma="auto", break_ties=True))
    folds = LeaveOneGroupOut()
    predicted = cross_val_predict(model, X, emotions, groups=speakers, cv=folds)
    recalls = [(predicted == emotions)[emotions == each].mean() for each in words.values()]
    assert uar == pytest.approx(np.mean(recalls), abs=1e-12)
    assert uar == pytest.approx(0.568, abs=5e-4)
