"""Labels hard to write, through whole runs; copies in a corpus; what is looked at first."""

import json
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
from composing import experiment
from hydra.utils import instantiate
from sklearn.dummy import DummyClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from undrawn import draw_nothing

import ser
from ser.core.errors import SerError
from ser.data.dataset import Dataset
from ser.models.pipeline import build_pipeline
from ser.report import figures
from ser.tracking import queries
from ser.tracking.keys import legal_key
from ser.train import build
from ser.train.dry import check_clips, check_run

LABELS = [
    *("happy (excited)", "don't know", "glücklich, froh", "a//b", "खुशी", "มีความสุข", "😀"),
    *("x" * 300, "..", ".", "/a", "a/", "a=b", "a b", r"$\frac$", r"a_b^c\d", "macro", "<b>|`"),
    *("None", "NA"),
]


@pytest.fixture
def corpus(tmp_path):
    """Write a table of noise, two speakers and two clips of each label; return the run's keys."""

    def write(labels, rows=lambda table: table):
        draw = np.random.default_rng(0)
        table = pd.DataFrame(
            [(f"{i}-{s}-{k}.wav", label, f"{s:02d}")
             for i, label in enumerate(labels) for s in (1, 2) for k in (0, 1)],
            columns=["path", "emotion", "speaker"],
        )  # fmt: skip
        for path in table["path"]:
            soundfile.write(tmp_path / path, draw.normal(0, 0.1, 2400), 16_000)
        rows(table).to_csv(tmp_path / "clips.csv", index=False)
        return (
            *("data=table", f"data.table={tmp_path}/clips.csv", "data.min_clips=2"),
            *("model=dummy", "curves=none", "features.n_mels=8", "features.n_mfcc=2"),
            *(f"store={tmp_path}/store.sqlite", "compute.n_jobs=1"),
            f"tracking.uri=sqlite:///{tmp_path}/mlruns/mlflow.db",
        )

    return write


@pytest.mark.slow
def test_a_run_takes_any_label(corpus, client, tmp_path):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Glyph|constrained_layout")
        outcome = experiment(*corpus(LABELS), "split=loso").run()
    keys = [k for k in client.get_run(outcome.run_id).data.metrics if k.startswith("test_recall")]
    assert len(keys) == len(LABELS) + 3  # the macro recall, and its mean and deviation over folds
    predictions = outcome.logged.test_predictions()
    assert set(predictions["true"]) == set(LABELS)
    assert {f"p_{label}" for label in LABELS} <= set(predictions.columns)
    assert set(predictions["actor"]) == {"01", "02"}
    page = (next(tmp_path.glob("mlruns/artifacts/clips/*/artifacts/report.html"))).read_text()
    card = next(tmp_path.glob("mlruns/artifacts/clips/*/artifacts/model_card.md")).read_text()
    assert card.count(r"\<b\>\|\`") == 2 and "<b>" not in card  # the list, and its row
    assert "&lt;b&gt;|`" in page and "<b>|`" not in page and r"$\frac$" in page
    model = ser.load_model(outcome.run_id, uri=outcome.logged.uri)
    answer = model.predict(str(tmp_path / "0-1-0.wav"))
    assert set(model.emotions) == set(LABELS) and f"p_{LABELS[4]}" in answer


def test_keys_of_labels_are_legal_and_never_one():
    from mlflow.utils.validation import _validate_metric_name

    labels = [*LABELS, "a/b", "a:b", "a b ", "a_b", *map(legal_key, LABELS)]
    keys = {label: legal_key(label) for label in labels}
    for key in keys.values():
        _validate_metric_name(key)
        assert len(key) <= 250
    assert len(set(keys.values())) == len(set(labels))


def test_labels_and_counts_of_a_data_set_do_not_mix():
    from ser.tracking.inputs import counts

    clips = pd.DataFrame({"emotion": ["clips", "actors", "clips"], "actor": [1, 1, 1]})
    known = json.loads(counts(clips))
    assert known == {"clips": 3, "actors": 1, "emotions": {"clips": 2, "actors": 1}}


def test_figures_draw_names_to_the_letter(tmp_path):
    labels = [r"$\frac$", "a_$b$", "plain"]
    figure = figures.plot_confusion_matrix(
        np.eye(3, dtype=int), labels, of="test clips", about=r"$\frac{$"
    )
    figure.savefig(tmp_path / "figure.png")
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == labels


def test_legends_have_names_that_begin_with_an_underscore():
    proba = [np.array([0.6, 0.4])] * 2
    figure = figures.plot_emotions_over_time([0, 1], proba, ["_tense", "calm"], title="a")
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == [" _tense", "calm"]


def test_copies_are_refused_or_kept_with_a_word(corpus, client, tmp_path, monkeypatch):
    def copied(table):
        for path in table["path"]:
            (tmp_path / f"again-{path}").write_bytes((tmp_path / path).read_bytes())
        return pd.concat([table, table.assign(path="again-" + table["path"])])

    draw_nothing(monkeypatch)
    keys = (*corpus(["happy", "sad"], copied), "split=random", "cv.n_splits=2")
    with pytest.raises(SerError, match=r"8 of 16 clips hold the same sound as another"):
        experiment(*keys).run()
    run = experiment(*keys, "data.duplicates=keep").run().logged
    assert run.tags["duplicates"] == "kept" and "8 of 16 clips hold" in run.tags["warning"]
    kept = next(tmp_path.glob(f"mlruns/artifacts/*/{run.id}/artifacts"))
    for file in ("report.html", "model_card.md"):
        assert "8 of 16 clips hold the same sound" in (kept / file).read_text()
    assert queries.find_run(run.uri, run.id).tags["duplicates"] == "kept"
    data = ser.load("table", tmp_path / "clips.csv", min_clips=2, duplicates="drop")
    data = ser.extract(data, store=tmp_path / "other.sqlite", n_jobs=1)
    assert len(data) == 8 and not data.clips["path"].str.contains("again").any()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("register=a/b", "cannot be registered as 'a/b'"),
        ("register='..'", r"cannot be registered as '\.\.'"),
        ("data.duplicates=ignore", r"data\.duplicates='ignore' is not known"),
        ("tracking.uri=sqlite:////proc/log/mlflow.db", r"/proc/log/mlflow\.db cannot be used"),
    ],
)
def test_what_would_fail_at_the_end_fails_first(override, message):
    cfg = experiment("data=demo", "model=dummy", override).cfg
    with pytest.raises(SerError, match=message):
        check_run(cfg, build.model_pipeline(cfg)[0])


def test_what_cannot_be_done_with_the_clips_is_said_before_extraction(corpus):
    cfg = experiment(*corpus(["happy", "sad"]), "scaler=speaker").cfg
    data, _ = build.load(cfg)
    with pytest.raises(SerError, match="Speaker 01 has 4 clips; scaling"):
        check_clips(cfg, data, instantiate(cfg.split, data.clips))


def test_track_looks_for_room_first(clips, tmp_path, monkeypatch):
    few = clips[clips["actor"] < 3].reset_index(drop=True)
    data = Dataset(few, np.zeros((len(few), 1), np.float32))
    evaluation = ser.evaluate(Pipeline([("classifier", DummyClassifier())]), data, ser.split(data))
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=1_000_000))
    with pytest.raises(SerError, match=r"has 1\.0 MB free, and a run needs 20 MB"):
        ser.track(evaluation, uri=f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    assert not (tmp_path / "mlruns").exists()


def test_a_validation_curve_is_of_a_parameter_of_the_model():
    cfg = experiment("data=demo", "model=svm", "curves=all").cfg
    check_run(cfg, build.model_pipeline(cfg)[0])  # though a temperature is around its SVC
    with pytest.raises(SerError, match=r"model\.validation_curve names classifier"):
        check_run(cfg, build_pipeline({"other": GaussianNB()}, seed=1))
