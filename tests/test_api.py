"""The Python API: an experiment from a plain script, with the numbers that the command gets."""

import doctest
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from undrawn import draw_nothing

import ser
from ser import api
from ser.core.errors import SerError

SCRIPT = """
import json
import ser

data = ser.extract(ser.load("demo", {root!r}, speakers=4), store={store!r}, n_jobs=1)
pipeline = ser.make_pipeline("naive_bayes")
numbers = []
for protocol in ("random", "loso"):
    evaluation = ser.evaluate(pipeline, data, ser.split(data, protocol), n_splits=2, n_jobs=1)
    numbers.append(evaluation.metrics)
run = ser.track(evaluation, uri={uri!r}, experiment="mine", tags={{"who": "a script"}})
numbers[-1] = run.metrics
print(json.dumps(numbers))
"""


@pytest.fixture
def here(monkeypatch, tmp_path, demo_root, demo_store, client):
    """The environment of somebody whose data, store and log are in their places."""
    draw_nothing(monkeypatch)
    monkeypatch.setenv("SER_DEMO_ROOT", str(demo_root))
    monkeypatch.setenv("SER_STORE", str(demo_store))
    uri = f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def test_the_api_is_lazy_and_typed():
    code = "import sys, ser; print([m for m in sys.modules if m.split('.')[0] in {!r}])"
    heavy = ["numpy", "sklearn", "mlflow", "hydra", "pandas", "matplotlib"]
    printed = subprocess.run(
        [sys.executable, "-c", code.format(heavy)], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "[]"
    assert set(ser.__all__) <= set(dir(ser))
    for name in ser.__all__:
        assert getattr(ser, name) is getattr(api, name)
        assert "return" in getattr(api, name).__annotations__


def test_the_examples_of_the_api(here):
    failed, tried = doctest.testmod(api)
    assert tried > 10
    assert not failed


def test_a_script_gets_the_numbers_of_the_command(here, tmp_path, demo_root, demo_store, run_here):
    script = SCRIPT.format(root=str(demo_root), store=str(demo_store), uri=here)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    demo = ["data=demo", f"data.root={demo_root}", "data.speakers=4", "model=naive_bayes"]
    demo += ["cv.n_splits=2", "curves=none"]
    for of_script, protocol in zip(json.loads(done.stdout), ("random", "loso"), strict=True):
        outcome = run_here(*demo, f"split={protocol}")
        of_command = {k: v for k, v in outcome.metrics.items() if "seconds" not in k}
        assert {key: of_script[key] for key in of_command} == of_command
    assert not list(tmp_path.glob("*.lock"))


@pytest.mark.slow
def test_the_experiment_in_the_readme(here, demo_root):
    readme = Path(__file__).resolve().parents[1] / "README.md"
    (script,) = re.findall(r"^```python\n(.*?)^```", readme.read_text(), re.S | re.M)
    for there, small in (
        ('ser.load("demo")', 'ser.load("demo", speakers=4)'),
        ('"data=demo"', '"data=demo", "data.speakers=4", "curves=none"'),
        ("my_recording.wav", str(next(demo_root.rglob("*.wav")))),
    ):
        assert there in script
        script = script.replace(there, small)
    exec(script, names := {})
    assert 0 < names["other"].metrics["test_uar"] < 1
    assert names["run"].metrics["test_uar"] == names["evaluation"].metrics["test_uar"]


def test_an_experiment_runs_from_a_script(here, demo_root):
    experiment = ser.compose(
        "model=naive_bayes", "data=demo", "data.speakers=4", "split=speaker", "curves=none",
        "cv.n_splits=2", "compute.n_jobs=1",
    )  # fmt: skip
    outcome = experiment.run()
    varied = experiment.vary(["model=knn"]).run()
    assert outcome.metrics["test_uar"] != varied.metrics["test_uar"]
    assert len(ser.compare_runs([outcome, varied])) == 1
    model = ser.load_model(outcome.run_id)
    assert model.run.id == outcome.run_id


def test_a_search_runs_from_a_script(here, tmp_path):
    experiment = ser.compose(
        "model=naive_bayes", "data=demo", "data.speakers=4", "split=speaker", "curves=none",
        "cv.n_splits=2", "compute.n_jobs=1",
    )  # fmt: skip
    journal = str(tmp_path / "studies.journal")
    result = ser.search(experiment, n_trials=2, storage=journal)
    again = ser.search(experiment, n_trials=1, storage=journal)
    assert len(result.trials) == 2 and len(again.trials) == 3
    assert 0 < result.metrics["test_uar"] < 1
    assert "model.classifier.var_smoothing" in result.best_params


@pytest.mark.slow
def test_runs_are_compared_by_any_metric(here, demo_root, demo_store):
    data = ser.extract(ser.load("demo", speakers=4), n_jobs=1)
    protocol = ser.split(data, "loso")
    runs = [
        ser.track(ser.evaluate(ser.make_pipeline(model), data, protocol, n_jobs=1))
        for model in ("naive_bayes", "knn")
    ]
    by_uar, by_accuracy = ser.compare_runs(runs), ser.compare_runs(runs, metric="accuracy")
    assert by_uar["actors"].tolist() == [4]
    assert by_uar["difference"].iloc[0] != by_accuracy["difference"].iloc[0]
    with pytest.raises(SerError, match="none of accuracy, uar"):
        ser.compare_runs(runs, metric="f7")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ser.load("ravdes"), "ravdes"),
        (lambda: ser.load("demo", speaker=4), "has no 'speaker'; it has name, about, root"),
        (lambda: ser.make_pipeline("svm", c=3), "has no 'c'"),
        (lambda: ser.make_pipeline("svm", scaler="speaker"), "transductive"),
        (lambda: ser.compose(config="predict"), "train, tune, explore"),
        (lambda: ser.compose("modle=svm"), "modle"),
        (lambda: ser.compose(["model=svm"]), "is no override"),
        (lambda: ser.compose("model.classifier.C=${nope}").cfg.seed, "nope"),
        (lambda: ser.compose(config_dir="/nowhere"), "is no folder"),
        (lambda: ser.load("table"), "data.table"),
        (lambda: ser.load("demo", speakers=4, labels={"hapy": "joy"}), "labels names hapy"),
        (lambda: ser.search(ser.compose(config="explore"), n_trials=1), "nothing to tune"),
    ],
)
def test_what_does_not_fit_is_a_sentence(here, call, says):
    with pytest.raises(SerError, match=says):
        call()


def test_a_search_whose_trials_all_fail_says_why(here, tmp_path):
    experiment = ser.compose(
        "model=knn", "data=demo", "data.speakers=4", "split=speaker", "curves=none",
        "cv.n_splits=2", "compute.n_jobs=1", config="tune",
    )  # fmt: skip
    too_many = {"model.classifier.n_neighbors": {"low": 5000, "high": 6000}}
    experiment.cfg.search_space.parameters = too_many
    with pytest.raises(SerError, match=r"None of the 2 trials .* n_samples_fit"):
        ser.search(experiment, n_trials=2, storage=str(tmp_path / "studies.journal"))


def test_a_split_belongs_to_its_data_set(here):
    every = ser.extract(ser.load("demo", speakers=4), n_jobs=1)
    some = every.select(every.groups <= 2)
    pipeline = ser.make_pipeline("naive_bayes")
    for data, other in ((every, some), (some, every)):
        with pytest.raises(SerError, match="the data set has"):
            ser.evaluate(pipeline, data, ser.split(other, "loso"), n_jobs=1)
    with pytest.raises(SerError, match="no features yet"):
        ser.evaluate(pipeline, ser.load("demo", speakers=4), ser.split(every), n_jobs=1)


def test_inside_of_a_hydra_command_of_ones_own(tmp_path):
    from hydra import compose, initialize_config_dir

    (tmp_path / "mine.yaml").write_text("seed: 3\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert ser.compose("model=knn").cfg.seed == 69
        assert compose("mine").seed == 3
