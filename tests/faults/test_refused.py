"""Places, names and damaged files that are refused in a sentence, and signals that are not lost."""

import os
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

from ser import predict
from ser.core import command, interrupts, ports
from ser.core.errors import SerError
from ser.doctor.store import check_store
from ser.evaluation.significance import check_comparable
from ser.features.store_file import open_store
from ser.report.run_page import render_run_page
from ser.tracking import queries
from ser.tracking.client import connect
from ser.tracking.queries import LoggedRun
from ser.tracking.run import create_run, start_run
from ser.tracking.serving import RefusedError, as_table
from ser.tune.storage import open_study


@pytest.fixture
def uri(tmp_path, empty_database):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "mlflow.db").write_bytes(empty_database.read_bytes())
    return f"sqlite+pysqlite:///{tmp_path}/log/mlflow.db"


@pytest.fixture
def noted():
    """SIGTERM as in a command."""
    before = signal.signal(signal.SIGTERM, interrupts.noting())
    yield
    signal.signal(signal.SIGTERM, before)
    interrupts.forget()


class Dropping:
    """Python prints and drops what is raised here."""

    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_run_whose_signal_python_drops_is_killed(uri, noted):
    a_run = {"uri": uri, "experiment": "demo", "name": "a", "tags": {}, "description": ""}
    with pytest.raises(KeyboardInterrupt), start_run(**a_run) as run:
        Dropping()
    assert connect(uri).get_run(run.id).info.status == "KILLED"
    assert interrupts.began[run.id] == "KILLED"
    assert Path(uri.partition(":///")[2]).with_name("artifacts").is_dir()  # beside it, as of sqlite


@pytest.mark.parametrize(
    ("state", "registered", "said"),
    [
        (None, False, "there is no run yet."),
        ("KILLED", False, "run r1 is marked KILLED."),
        ("RUNNING", False, "run r1 could not be closed: python -m ser.doctor does it."),
        ("FINISHED", True, "run r1 is marked FINISHED."),
        (
            "FINISHED",
            False,
            "run r1 is marked FINISHED. It is not registered: python -m ser.register r1 'my model' "
            "does it.",
        ),
    ],
)
def test_an_interrupted_command_says_what_became_of_its_run(monkeypatch, state, registered, said):
    monkeypatch.setattr(interrupts, "began", {"r1": state} if state else {})
    text = command._interrupted(OmegaConf.create({"register": "my model"}), registered=registered)
    assert text == f"Interrupted. What is extracted is kept; {said}"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("sqlite://", "in memory"),
        ("sqlite:///", "in memory"),
        ("sqlite+pysqlite:///:memory:", "in memory"),
        ("", "tracking.uri .* is ''"),
        (None, "tracking.uri .* is None"),
        ("sqlite:////dev/null", "is no file"),
    ],
)
def test_a_log_that_would_be_lost_is_refused(uri, reason):
    with pytest.raises(SerError, match=reason):
        connect(uri)


@pytest.mark.parametrize("name", [None, "", " ", 7])
def test_an_experiment_without_a_name_is_refused(uri, name):
    with pytest.raises(SerError, match="is no name of an MLflow experiment"):
        create_run(uri=uri, experiment=name, name="a", tags={}, description="")


@pytest.mark.parametrize("value", ["de'mo", 'de"mo', "a b", "'\""])
def test_odd_names_of_the_best_run_are_a_sentence(uri, value):
    for metric, corpus in (("test_uar", value), (value, "demo"), ("`", "demo")):
        with pytest.raises(SerError):
            queries.best_run(uri, metric, {"corpus": corpus}, "inductive", highest=True)


PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tables/predictions.csv", b""),
        ("tables/predictions.csv", b"\xff\xfe\x80\n1,2\n"),
        ("tables/predictions.csv", b'part,clip\n"cv,a'),
        ("tables/confusion_matrix.csv", b"parts,true,predicted_sad\ntest,sad,1\n"),
        ("tables/per_class.csv", b"emotion,recalls\nsad,1\n"),
        ("tables/breakdown.csv", b"factors,level\nsex,1\n"),
        ("config.yaml", b"{bad"),
        ("config.yaml", b"data: 3"),
        ("environment.txt", b"\xff"),
        ("figures/calibration.png", b""),
        ("figures/calibration.png", PNG),
    ],
)
def test_a_page_of_damaged_files_names_run_and_file(tmp_path, name, content):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    run = LoggedRun("r1", "svm", "demo", datetime.now(UTC), {}, {}, "")
    with pytest.raises(SerError, match="of run r1 is damaged") as refused:
        render_run_page(run, tmp_path)
    assert file.name in str(refused.value)


def test_runs_whose_predictions_lack_a_column_are_not_compared():
    table = pd.DataFrame(columns=["part", "fold", "clip", "actor", "true"])
    with pytest.raises(SerError, match="predictions of a have no column predicted"):
        check_comparable({"a": table, "b": table}, {"a": {}, "b": {}})


def test_a_port_in_use_is_a_sentence():
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(SerError, match=rf"127\.0\.0\.1:{port}: Address already in use"):
            ports.check_free("127.0.0.1", port)
    ports.check_free("127.0.0.1", "five")  # for the server to refuse


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda file: file.symlink_to(os.devnull)])
def test_a_store_is_a_file(make, tmp_path):
    make(tmp_path / "store")
    with pytest.raises(SerError, match="store is no file"), open_store(tmp_path / "store"):
        pass
    (found,) = check_store(tmp_path / "store")
    assert "store is no file" in found.text


def test_pictures_of_long_names_have_names(tmp_path):
    names = [f"{'ä' * 120}{n}.wav" for n in range(2)]
    pictures = predict._pictures(names, tmp_path)
    assert len(set(pictures.values())) == 2
    for file in pictures.values():
        file.touch()


def test_an_interrupted_sweep_says_how_it_goes_on(monkeypatch):
    monkeypatch.setattr(command.jobs, "under_way", lambda: True)
    train, other = OmegaConf.create({"sweep": {"resume": False}}), OmegaConf.create({})
    assert "sweep.resume=true does" in command._interrupted(train, registered=False)
    assert "sweep.resume" not in command._interrupted(other, registered=False)


@pytest.mark.parametrize("place", ["link", "pipe", "folder"])
def test_only_a_file_is_an_output(tmp_path, place):
    out = tmp_path / "answers.csv"
    {
        "link": lambda: out.symlink_to("nowhere"),
        "pipe": lambda: os.mkfifo(out),
        "folder": out.mkdir,
    }[place]()
    with pytest.raises(SerError, match="is there and is no file"):
        predict.journal.check_free(out)


def test_a_users_file_among_workers_stays(tmp_path):
    theirs = tmp_path / "X.log.workers" / f"{7:032x}"
    theirs.parent.mkdir()
    theirs.write_text("mine")
    dead = theirs.with_name(f"{8:032x}")
    dead.touch()
    with open_study(str(tmp_path / "X.log"), "mine", question={}):
        assert theirs.read_text() == "mine" and not dead.exists()


@pytest.mark.parametrize("field", ["params", "client_request_id"])
def test_a_request_with_an_unknown_field_is_refused(field):
    body = b'{"dataframe_records": [{"path": "a"}], "%s": 1}' % field.encode()
    with pytest.raises(RefusedError, match=f"Unknown field {field}") as error:
        as_table(body, {b"content-type": b"application/json"})
    assert error.value.status == 400
