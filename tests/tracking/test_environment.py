"""What the environment says of MLFLOW: the log where the config does not say, and nothing else."""

import json

import pytest

from ser.tracking.queries import find_run
from ser.tracking.registry import find_model, register


@pytest.fixture
def misled(client, tmp_path):
    """Variables that a notebook or a scheduler may have set, and the finished run they name."""
    other = client.create_experiment("other")
    finished = client.create_run(other, run_name="finished").info.run_id
    client.set_terminated(finished, "FINISHED")
    variables = {
        "MLFLOW_RUN_ID": finished,
        "MLFLOW_PARENT_RUN_ID": finished,
        "MLFLOW_RUN_NAME": "misnamed",
        "MLFLOW_EXPERIMENT_ID": other,
        "MLFLOW_EXPERIMENT_NAME": "other",
        "MLFLOW_ACTIVE_MODEL_ID": "m-0123456789abcdef0123456789abcdef",
        "MLFLOW_RUN_CONTEXT": json.dumps({"mlflow.source.name": "elsewhere"}),
        "MLFLOW_ENABLE_ASYNC_LOGGING": "true",
        "MLFLOW_REGISTRY_URI": f"sqlite:///{tmp_path}/elsewhere.db",
    }
    before = client.get_run(finished).to_dictionary()
    yield variables
    assert client.get_run(finished).to_dictionary() == before
    assert [run.info.run_id for run in client.search_runs([other])] == [finished]
    assert not list(tmp_path.glob("elsewhere*"))


TRAIN = ("data=demo", "data.speakers=4", "cv.n_splits=2", "curves=none", "model=naive_bayes")


def test_a_run_is_where_the_config_says(misled, run_here, client, tmp_path, monkeypatch, demo_root):
    for name, value in misled.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/elsewhere.db")
    outcome = run_here(*TRAIN, f"data.root={demo_root}")
    run = find_run(client.tracking_uri, outcome.run_id)
    assert (run.experiment, run.name.split()[0]) == ("demo", "naive_bayes-random-demo")
    assert "mlflow.parentRunId" not in run.tags
    assert run.metrics["test_uar"] == outcome.metrics["test_uar"]
    register(outcome.run_id, "voices", uri=client.tracking_uri)
    assert find_model("models:/voices@champion", uri=client.tracking_uri).run.id == run.id


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "n_runs"),
    [
        (("ser.train", *TRAIN), 1),
        (("ser.train", "-m", *TRAIN, "seed=1,2"), 3),
        (("ser.train", *TRAIN, "variants={title: x, runs: {one: ['seed=1']}}"), 2),
        (("ser.tune", *TRAIN, "tuner.n_trials=2"), 4),
        (("ser.explore", "data=demo", "data.speakers=4", "explore.max_clips=60"), 1),
    ],
)
def test_commands_leave_the_environments_run_alone(
    misled, launcher, ser_environment, client, demo_root, tmp_path, command, n_runs
):
    place = "sweep" if "-m" in command else "run"
    arguments = [*command, f"hydra.{place}.dir={tmp_path}/hydra", f"data.root={demo_root}"]
    if "ser.tune" in command:
        arguments.append(f"tuner.storage={tmp_path}/studies.journal")
    job = launcher.start(*arguments, env=ser_environment | misled)
    assert job.wait(600.0) == 0, job.said
    demo = client.get_experiment_by_name("demo").experiment_id
    runs = client.search_runs([demo])
    assert [run.info.status for run in runs] == ["FINISHED"] * n_runs
    assert "misnamed" not in {run.info.run_name for run in runs}
