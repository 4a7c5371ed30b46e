"""``python -m ser.predict``: a tracked model on recordings, however they are given."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml
from sklearn.preprocessing import FunctionTransformer

from ser.core.errors import SerError
from ser.data.recordings import Recording, Windows, find_recordings
from ser.models import known_answers
from ser.models.predictions import DIGITS, Layout, Prediction
from ser.predict import parse, predict
from ser.predict.journal import Journal
from ser.predict.output import opened
from ser.tracking.origin import SYNTHETIC, columns, of_folder, of_run, record
from ser.tracking.queries import LoggedRun, best_run, find_run

EMPTY = ["unfamiliar", "resampled_from", "error"]  # columns that tell of nothing here


@pytest.fixture(scope="module")
def trained(tmp_path_factory, demo_root, demo_store):
    """Tracking URI with an inductive and a transductive run, and their test predictions."""
    place = tmp_path_factory.mktemp("trained")
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlruns/mlflow.db",
        "SER_STORE": str(demo_store),
    }
    small = ["data=demo", f"data.root={demo_root}", "data.speakers=4", "curves=none"]
    small += ["model=svm", "split=loso", f"hydra.run.dir={place}/hydra"]
    runs = {}
    for scaler in ("speaker", "standard"):
        out = subprocess.run(
            [sys.executable, "-m", "ser.train", *small, f"scaler={scaler}"],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        (runs[scaler],) = (line.split()[1] for line in out.splitlines() if line[:4] == "run ")
    return environment, runs


@pytest.fixture
def ser_predict(trained, tmp_path):
    environment, _ = trained

    def run(*arguments, data=None, returncode=0):
        result = subprocess.run(
            [sys.executable, "-m", "ser.predict", *arguments],
            env=environment,
            cwd=tmp_path,
            input=data,
            capture_output=True,
        )
        assert result.returncode == returncode, result.stderr.decode()
        return result.stdout.decode(), result.stderr.decode()

    return run


@pytest.fixture
def model(trained):
    from ser.tracking.registry import find_model

    environment, runs = trained
    return find_model(runs["standard"], uri=environment["MLFLOW_TRACKING_URI"]).trained


@pytest.mark.slow
def test_predict_says_of_clips_what_the_loaded_model_says(
    ser_predict, trained, demo_root, model, monkeypatch
):
    import mlflow

    environment, runs = trained
    monkeypatch.setenv("MLFLOW_TRACKING_URI", environment["MLFLOW_TRACKING_URI"])
    paths = sorted(map(str, (demo_root / "Actor_02").glob("*.wav")))
    served = mlflow.pyfunc.load_model(f"runs:/{runs['standard']}/model")
    expected = served.predict(pd.DataFrame({"path": paths}))
    out, _ = ser_predict(
        *("--run", runs["standard"][:8], f"{demo_root}/Actor_02", "--output", "json")
    )
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["clip"] for row in rows] == paths
    assert [row["emotion"] for row in rows] == expected["emotion"].tolist()
    for row, (_, wanted) in zip(rows, expected.iterrows(), strict=True):
        for emotion in model.emotions:
            assert row[f"p_{emotion}"] == pytest.approx(wanted[f"p_{emotion}"], abs=2e-6)


@pytest.mark.slow
def test_predict_takes_standard_input_odd_names_and_reports_what_is_bad(
    ser_predict, demo_root, tmp_path
):
    clip = next((demo_root / "Actor_01").glob("*.wav"))
    odd = tmp_path / "odd (1), a=b 'c'.wav"
    shutil.copy(clip, odd)
    (tmp_path / "torn.wav").write_bytes(clip.read_bytes()[:200])
    table, messages = ser_predict("-", data=clip.read_bytes())
    line = table.splitlines()[1]
    assert line.endswith("<stdin>")
    assert ser_predict(odd.name)[0].splitlines()[1].split()[:9] == line.split()[:9]
    out, messages = ser_predict("*.wav", "--output", "csv", returncode=3)
    rows = pd.read_csv(pd.io.common.StringIO(out))
    assert rows["clip"].tolist() == [odd.name, "torn.wav"]
    assert rows["emotion"].isna().tolist() == [False, True]
    assert "torn.wav" in messages
    assert "claims" in messages
    refused = ser_predict("nothing-*.wav", returncode=1)[1]
    assert "names no audio" in refused
    assert "Traceback" not in refused
    assert sorted(path.name for path in tmp_path.iterdir()) == [odd.name, "torn.wav"]


@pytest.mark.slow
def test_predict_transductive_needs_speakers_and_then_agrees_with_its_run(
    ser_predict, trained, demo_root, tmp_path
):
    _, runs = trained
    by_speaker = (f"--run={runs['speaker']}", f"{demo_root}/Actor_03")
    refused = ser_predict(*by_speaker, returncode=1)[1]
    assert "must know who speaks" in refused
    by_folder, _ = ser_predict(*by_speaker, "--speaker=folder", "--output=csv")
    table = tmp_path / "table.csv"
    clips = sorted((demo_root / "Actor_03").glob("*.wav"))
    pd.DataFrame({"path": clips, "who": "third"}).to_csv(table, index=False)
    out = tmp_path / "answers" / "a.parquet"
    ser_predict(by_speaker[0], str(table), "--speaker", "who", "--out", str(out))
    answers = pd.read_parquet(out)
    expected = pd.read_csv(pd.io.common.StringIO(by_folder))
    assert answers["speaker"].unique().tolist() == ["third"]
    pd.testing.assert_frame_equal(
        answers.drop(columns=["speaker", *EMPTY]),
        expected.drop(columns=["speaker", *EMPTY]),
        check_dtype=False,
    )


@pytest.mark.slow
def test_predict_adapted_to_a_speaker_agrees_with_the_transductive_answers(
    ser_predict, trained, demo_root, tmp_path
):
    _, runs = trained
    folder = demo_root / "Actor_03"
    by_speaker = (f"--run={runs['speaker']}", str(folder), "--output=csv")
    known, _ = ser_predict(*by_speaker, "--speaker=folder")
    adapted, said = ser_predict(*by_speaker, f"--adapt={folder}")
    assert "Transductive: adapted to one speaker by 60 unlabelled clips" in said
    known, adapted = (pd.read_csv(pd.io.common.StringIO(text)) for text in (known, adapted))
    assert adapted["protocol"].str.contains("; transductive, adapted to 60 clips").all()
    same = ["emotion", *known.filter(regex="^p_")]
    pd.testing.assert_frame_equal(adapted[same], known[same])
    # One clip is answered alone, by what the others tell of its speaker.
    clip = next(folder.glob("*.wav"))
    alone, _ = ser_predict(by_speaker[0], str(clip), "--output=csv", f"--adapt={folder}")
    row = adapted[adapted["clip"] == str(clip)]
    assert pd.read_csv(pd.io.common.StringIO(alone))["emotion"].tolist() == row["emotion"].tolist()
    inductive = (f"--run={runs['standard']}", str(clip))
    assert "train it with scaler=speaker" in ser_predict(
        *inductive, f"--adapt={folder}", returncode=1
    )[1].replace("\n", " ")
    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(clip, few)
    (few / "broken.wav").write_text("no sound")
    refused = ser_predict(by_speaker[0], str(clip), f"--adapt={few}", returncode=1)[1]
    assert "1 clip of the speaker can be used" in refused
    assert "broken.wav: it is not readable as audio" in refused
    missing = ser_predict(by_speaker[0], str(clip), "--adapt=nobody", returncode=1)[1]
    assert "--adapt nobody is no folder" in missing


@pytest.mark.slow
def test_predict_windows_have_times_and_are_clips_of_their_own(
    ser_predict, demo_root, tmp_path, model
):
    clip = next((demo_root / "Actor_01").glob("*.wav"))
    y, sr = soundfile.read(clip, dtype="float32")
    y = np.tile(y, 3)
    y[4 * sr : 6 * sr] = 0
    soundfile.write(tmp_path / "long.wav", y, sr, subtype="FLOAT")
    out, messages = ser_predict(
        *("long.wav", "--window", "2", "--hop", "1", "--output", "json", "--pictures", "drawn"),
        returncode=3,
    )
    rows = [json.loads(line) for line in out.splitlines()]
    assert rows[0]["start"] == 0
    assert rows[0]["end"] == 2
    assert rows[-1]["end"] == pytest.approx(len(y) / sr, abs=1e-3)
    assert rows[4]["error"] == "silent: all samples are zero"
    assert "long.wav from 4.0 s" in messages
    part = y[sr : 3 * sr]
    alone = model.probabilities(model.feature_set(part, sr)[None])[0]
    second = [rows[1][f"p_{emotion}"] for emotion in model.emotions]
    np.testing.assert_allclose(second, alone, atol=2e-6)
    assert (tmp_path / "drawn" / "long-emotions.png").stat().st_size > 10_000


@pytest.mark.parametrize("seconds", [0.5, 3.0, 7.25, 60.0])
def test_windows_cover_the_recording_and_never_leave_it(seconds):
    blocks = np.split(np.zeros(round(seconds * 100)), [20, 333])
    starts, length = [start for start, _ in Windows(3, 1).cut(blocks, 100)], 300
    assert starts[0] == 0
    assert (np.diff(starts) <= 100).all()
    if seconds >= 3:
        assert starts[-1] + length == round(seconds * 100)


@pytest.mark.slow
def test_predict_killed_goes_on_and_loses_nothing(ser_predict, trained, demo_root, tmp_path):
    environment, runs = trained
    arguments = [str(demo_root), "--out", "all.csv", "--run", runs["standard"]]
    command = [sys.executable, "-m", "ser.predict", *arguments, "--n-jobs", "1"]
    part = tmp_path / "all.csv.part"
    killed = subprocess.Popen(
        command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while killed.poll() is None and (not part.exists() or part.stat().st_size < 5_000):
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "all.csv").exists()
    with part.open("a") as file:
        file.write('{"clip": "torn')
    messages = ser_predict(*arguments)[1]
    assert "are in all.csv.part already" in messages
    clips = pd.read_csv(tmp_path / "all.csv")["clip"]
    assert clips.tolist() == sorted(map(str, demo_root.rglob("*.wav")))
    assert "is there already" in ser_predict(*arguments, returncode=1)[1]
    assert [path.name for path in tmp_path.iterdir()] == ["all.csv"]


def test_journal_of_another_model_is_not_continued(tmp_path):
    layout = Layout(("happy", "sad"), windows=False, speakers=False)
    Journal(tmp_path / "a.csv", "csv", layout, {"model": "1"}, {}).close()
    with pytest.raises(SerError, match="another model"):
        Journal(tmp_path / "a.csv", "csv", layout, {"model": "2"}, {})


def _rows(layout, clips):
    proba = np.array([0.25, 0.75])
    windows = [Prediction(clip, start=i, end=i + 1, proba=proba) for clip in clips for i in (0, 1)]
    return [layout.row(prediction, digits=DIGITS) for prediction in windows]


def line_of(row, asked):
    text = json.dumps([asked[row["clip"]], row])
    return f"{crc32(text.encode()):08x} {text}\n"


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
@pytest.mark.parametrize("torn", ["", '{"clip": "c", "sta', "a window"])
def test_journal_goes_on_behind_the_last_whole_clip(tmp_path, kind, torn):
    layout = Layout(("happy", "sad"), windows=True, speakers=False)
    out, part = tmp_path / f"a.{kind}", tmp_path / f"a.{kind}.part"
    rows, asked = _rows(layout, "abc"), dict(zip("abc", "123", strict=True))
    with opened(None, out, layout, {"model": "1"}, asked) as journal:
        journal.write(rows[:4])
    with part.open("a") as file:  # as a kill in the middle of a write leaves it
        file.write(line_of(rows[4], asked) if torn == "a window" else torn)
    with opened(None, out, layout, {"model": "1"}, asked) as journal:
        assert journal.done == ({"a", "b"} if torn == "a window" else {"a"})
        journal.write([row for row in rows if row["clip"] not in journal.done])
        assert journal.finish() == f"{out}: 6 rows"
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}.get(
        kind, lambda file: pd.read_json(file, lines=True)
    )
    pd.testing.assert_frame_equal(
        read(out).drop(columns=EMPTY),
        pd.DataFrame(rows).drop(columns=EMPTY),
        check_dtype=False,
    )
    assert list(tmp_path.iterdir()) == [out]


def test_journal_of_a_transductive_model_is_begun_anew(tmp_path):
    layout = Layout(("happy", "sad"), windows=True, speakers=False)
    for asked, done in (({"a": "1", "b": "2"}, {"a"}), (None, set())):
        with opened(None, tmp_path / "a.csv", layout, {}, asked) as journal:
            journal.write(_rows(layout, "ab"))
        with opened(None, tmp_path / "a.csv", layout, {}, asked) as journal:
            assert journal.done == done


def test_predict_takes_names_as_a_shell_gives_them():
    odd = "odd (1), a=b 'c' [x] {y} $z.wav"
    arguments = parse(["a.wav", "--run", "best", odd, "-", "--", "-x.wav", "--run", "--"])
    assert arguments.recordings == ["a.wav", odd, "-", "-x.wav", "--run", "--"]
    assert arguments.run == "best"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-lead.wav"], "arguments: -lead.wav. Put names that start with '-' behind --."),
        (["a.wav", "--n-jobs", "0"], "give 1 or more, or -1"),
        (["a.wav", "--pictures", "drawn"], "give --window SECONDS too"),
        (["a.wav", "--adapt", "ann", "--speaker", "folder"], "--adapt is of one speaker"),
    ],
)
def test_predict_refuses_arguments_that_it_would_ignore(words, message, capsys):
    with pytest.raises(SystemExit) as refused:
        parse(words)
    assert refused.value.code == 2
    assert message in capsys.readouterr().err


def test_predict_keeps_recordings_of_any_name_apart_in_pictures_and_parquet(tmp_path, monkeypatch):
    def windows_of(recordings, **options):
        for recording in recordings:
            proba = np.array([0.25, 0.75])
            yield [Prediction(recording.name, start=i, end=i + 1, proba=proba) for i in (0, 1)]

    trained = SimpleNamespace(needs_speakers=False, predict=windows_of, sr=None)
    model = SimpleNamespace(emotions=("happy", "sad"), digest="1", trained=trained, origin=None)
    monkeypatch.setattr("ser.predict.chosen_model", lambda arguments: model)
    monkeypatch.chdir(tmp_path)
    names = ["a/x.wav", "b/x.wav", r"p$\frac$.wav", "bad\udcff.wav"]
    written = ["--window", "1", "--pictures", "drawn", "--out", "all.parquet"]
    assert predict(parse([*names, *written])) == 0
    assert {picture.name for picture in (tmp_path / "drawn").iterdir()} == {
        "x-emotions.png",
        "x-emotions-2.png",
        r"p$\frac$-emotions.png",
        "bad\udcff-emotions.png",
    }
    clips = pd.read_parquet("all.parquet")["clip"]
    assert clips.unique().tolist() == [*names[:3], r"bad\xff.wav"]


def test_recordings_of_tables_without_the_column_name_it(tmp_path):
    (tmp_path / "t.csv").write_text("path,actor\na.wav,1\n")
    with pytest.raises(SerError, match="no column who"):
        find_recordings([str(tmp_path / "t.csv")], speaker="who")
    (recording,) = find_recordings([tmp_path / "t.csv"], speaker="actor")
    assert recording == Recording(str(tmp_path / "a.wav"), speaker="1")


def test_recordings_of_a_table_as_other_programs_write_it(tmp_path):
    text = 'actor;path\r\n1;"week 1\\a;b.wav"\r\n2\r\n'
    (tmp_path / "t.csv").write_bytes(text.encode("utf-16"))
    first, short = find_recordings([tmp_path / "t.csv"], speaker="actor")
    assert first == Recording(str(tmp_path / "week 1" / "a;b.wav"), speaker="1")
    assert short == Recording(str(tmp_path), speaker="2")  # refused as what it is: a folder


@pytest.mark.slow
def test_trained_model_keeps_the_order_with_many_workers(model, demo_root):
    wanted = [Recording(str(path)) for path in sorted(demo_root.rglob("*.wav"))]
    wanted.insert(20, Recording(str(demo_root)))
    predictions = [p for batch in model.predict(wanted, n_jobs=2) for p in batch]
    assert [p.name for p in predictions] == [recording.name for recording in wanted]
    assert [p.error for p in predictions if p.error] == ["it is a folder"]


@pytest.mark.slow
def test_model_predicts_into_a_table(ser_predict, trained, demo_root):
    from ser.tracking.registry import find_model

    environment, runs = trained
    uri = environment["MLFLOW_TRACKING_URI"]
    actor, clip = demo_root / "Actor_02", next((demo_root / "Actor_01").glob("*.wav"))
    model = find_model(runs["standard"], uri=uri)
    out, _ = ser_predict(str(actor), "--run", runs["standard"], "--output", "csv")
    expected = pd.read_csv(pd.io.common.StringIO(out)).drop(columns=EMPTY[1:])
    expected = expected.drop(columns=["run", "trained_on", "protocol", "test_uar"])
    table = model.predict(actor)
    pd.testing.assert_frame_equal(table.drop(columns=EMPTY[1:]), expected, atol=1e-6, rtol=0)
    assert table["error"].isna().all()
    (first, second) = model.predict([clip, clip.read_bytes()], n_jobs=1)["p_happy"]
    assert first == second
    windows = model.predict(str(clip), window=1, hop=0.5)
    assert windows["start"].tolist()[:2] == [0, 0.5]
    by_speaker = find_model(runs["speaker"], uri=uri)
    by_folder = by_speaker.predict(actor, speakers="folder")
    pd.testing.assert_frame_equal(
        by_folder.drop(columns="speaker"),
        by_speaker.predict(actor, speakers=["x"] * len(by_folder)).drop(columns="speaker"),
    )
    with pytest.raises(SerError, match="1 speakers for 60 recordings"):
        by_speaker.predict(actor, speakers=["x"])
    with pytest.raises(SerError, match="must know who speaks"):
        by_speaker.predict(actor)


@pytest.mark.parametrize("source", ["nowhere", "models.csv", "champion"])
def test_find_model_says_what_names_a_model(source, tmp_path):
    from ser.tracking.registry import find_model

    with pytest.raises(SerError, match="names no model: give a run's id"):
        find_model(source, uri=f"sqlite:///{tmp_path}/mlflow.db")


def test_best_run_is_the_best_within_one_corpus_protocol_and_kind(client):
    experiment = client.create_experiment("x")
    loso = {"corpus": "ravdess", "split": "loso"}
    for name, uar, loss, tags in (
        ("good", 0.4, 1.5, {"corpus": "ravdess", "split": "loso", "transductive": "false"}),
        ("better", 0.5, 1.6, {"corpus": "ravdess", "split": "loso", "transductive": "false"}),
        ("known", 0.7, 1.0, {"corpus": "ravdess", "split": "random", "transductive": "false"}),
        ("told", 0.6, 1.0, {"corpus": "ravdess", "split": "loso", "transductive": "true"}),
        ("heard", 0.8, 1.0, {**loso, "corpus_in_pretraining": "unknown"}),
        ("unheard", 0.45, 1.55, {**loso, "corpus_in_pretraining": "no"}),
        ("other", 0.9, 1.0, {"corpus": "demo", "split": "loso", "transductive": "false"}),
    ):
        run = client.create_run(experiment, tags=tags, run_name=name)
        client.log_metric(run.info.run_id, "test_uar", uar)
        client.log_metric(run.info.run_id, "test_log_loss", loss)
        client.set_terminated(run.info.run_id, "FINISHED")
    failed = client.create_run(experiment, tags=tags | {"corpus": "ravdess"}, run_name="failed")
    client.log_metric(failed.info.run_id, "test_uar", 1.0)
    client.set_terminated(failed.info.run_id, "FAILED")
    uri, uar = client.tracking_uri, "test_uar"
    assert best_run(uri, uar, loso, "inductive", highest=True).name == "better"
    assert best_run(uri, "test_log_loss", loso, "inductive", highest=False).name == "good"
    assert best_run(uri, uar, loso, "transductive", highest=True).name == "told"
    assert best_run(uri, uar, loso, "pretrained", highest=True).name == "heard"
    with pytest.raises(SerError, match=r"No finished inductive run .* split statement"):
        best_run(uri, uar, loso | {"split": "statement"}, "inductive", highest=True)


def test_latest_run_with_a_model_passes_over_what_has_none(client):
    experiment = client.create_experiment("x")
    for start, name, metric in ((1, "trained", "n_development_clips"), (2, "explored", "n_clips")):
        run = client.create_run(experiment, start_time=start, run_name=name)
        client.log_metric(run.info.run_id, metric, 100)
        client.set_terminated(run.info.run_id, "FINISHED")
    uri = client.tracking_uri
    assert find_run(uri, "latest").name == "explored"
    assert find_run(uri, "latest", with_model=True).name == "trained"


def test_latest_model_is_of_people_if_there_is_one(client, caplog):
    uri, experiment = client.tracking_uri, client.create_experiment("x")
    ages = (("old demo", {"corpus": "demo"}), ("new demo", {"corpus": "x", "synthetic": "true"}))
    for start, (name, tags) in enumerate(ages):
        _finished(client, experiment, 10 + start, name, tags)
    assert find_run(uri, "latest", with_model=True).name == "new demo"
    assert not caplog.text
    _finished(client, experiment, 5, "people", {"corpus": "demo", "synthetic": "false"})
    assert find_run(uri, "latest", with_model=True).name == "people"
    assert "Newer runs are passed over: synthetic voices trained their models." in caplog.text
    assert find_run(uri, "latest").name == "new demo"


def _finished(client, experiment, start, name, tags):
    run = client.create_run(experiment, start_time=start, run_name=name, tags=tags)
    client.log_metric(run.info.run_id, "n_development_clips", 100)
    client.set_terminated(run.info.run_id, "FINISHED")


def test_what_is_said_of_the_model_that_answers(tmp_path):
    tags = {"corpus": "demo-emodb", "test_corpus": "emodb", "split": "cross", "synthetic": "true"}
    tags |= {"transductive": "true", "scored": "the procedure: 2 other models"}
    numbers = {"test_uar": 0.4, "test_uar_low": 0.3512, "test_uar_high": 0.45, "test_ece": 0.1}
    run = LoggedRun("a1b2", "svm", "x", datetime.now(UTC), tags, numbers, uri="")
    said = of_run(run).said(8)
    assert said.startswith(
        "Model svm, run a1b2, trained on demo, tested on emodb. Test UAR 40.0 % (95 % interval "
        "35.1 to 45.0, chance 12.5 %), cross. The score is of the procedure: 2 other models."
    )
    assert "each speaker's test clips" in said
    assert said.endswith(SYNTHETIC)

    described = {"run_id": "a1b2", "metadata": record(run)}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump(described))
    assert of_folder(tmp_path).said(8) == said  # as the log says it
    assert columns(of_folder(tmp_path)) == {
        "run": "a1b2",
        "trained_on": "demo",
        "protocol": "cross",
        "test_uar": 0.4,
    }
    (tmp_path / "MLmodel").write_text("run_id: x\nmetadata: {name: 3, tags: [], metrics: no}")
    assert of_folder(tmp_path) is None
    assert set(columns(None).values()) == {None}


@pytest.mark.slow
def test_predict_refuses_types_that_are_not_trusted_unless_told(trained, tmp_path):
    from ser.models.trained import load_model, save_model
    from ser.tracking.registry import find_model

    environment, runs = trained
    model = find_model(runs["standard"], uri=environment["MLFLOW_TRACKING_URI"]).trained
    model.pipeline.steps.insert(0, ("mine", FunctionTransformer(os.path.basename)))
    save_model(replace(model, training=None), tmp_path)
    for trust in ((), ("posixpath", "sklearn")):
        with pytest.raises(SerError, match=r"not trusted: .*basename.*--trust-everything"):
            load_model(tmp_path, trust=trust)
    assert load_model(tmp_path, trust=["*"]).emotions == model.emotions


def test_a_build_is_no_version_of_its_own(monkeypatch):
    monkeypatch.setattr(known_answers, "installed", lambda: ["torch==2.13.0+cpu", "numpy==2.4.6"])
    assert list(known_answers.differing(["torch==2.13.0", "numpy==2.4.6"])) == []
    assert list(known_answers.differing(["torch==2.13.0+cu130"])) == []
    assert list(known_answers.differing(["torch==2.12.0+cpu", "scipy==1.0"])) == [
        ("torch", "2.12.0+cpu", "2.13.0+cpu"),
        ("scipy", "1.0", "not installed"),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "answers.xlsx"], "give --output csv, json or parquet"),
        (["--output", "parquet"], "give --out FILE.parquet"),
        (["--out", "there.csv"], "there.csv is there already"),
    ],
)
def test_a_wrong_output_is_refused_before_a_model_is_looked_for(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.csv").touch()
    with pytest.raises(SerError, match=said):
        predict(parse(["a.wav", "--model", "no such model", *words]))


@pytest.mark.slow
def test_differing_packages_are_named(trained, tmp_path):
    from ser.tracking.registry import find_model

    environment, runs = trained
    model = find_model(runs["standard"], uri=environment["MLFLOW_TRACKING_URI"])
    assert list(model.differing_packages()) == []
    shutil.copytree(model.folder, tmp_path / "model")
    file = tmp_path / "model" / "requirements.txt"
    file.write_text("scikit-learn==1.0.0\npandas==0.1\n")
    (sentence,) = find_model(tmp_path / "model").differing_packages()
    assert "fitted with scikit-learn 1.0.0" in sentence
