"""Runs and models that are checked: findings, suites, erasure, new speakers, and the whole."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from undrawn import draw_nothing

from ser.check.findings import Finding, counts, findings_table
from ser.check.new_speaker import learn_voices
from ser.check.run import Options, check
from ser.check.speaker import Eraser
from ser.check.suite import read_suite
from ser.core.errors import SerError
from ser.evaluation.uncertainty import jackknife
from ser.report import captions


def finding(value, low, high, **settings):
    return Finding(part="p", check="c", measure="m", value=value, low=low, high=high, **settings)


@pytest.mark.parametrize(
    ("low", "high", "at_least", "verdict"),
    [
        (0.1, 0.2, False, "pass"),
        (0.1, 0.4, False, "cannot tell"),
        (0.4, 0.5, False, "fail"),
        (0.4, 0.5, True, "pass"),
        (0.2, 0.4, True, "cannot tell"),
        (0.1, 0.2, True, "fail"),
        (np.nan, np.nan, True, "cannot tell"),
    ],
)
def test_the_interval_decides(low, high, at_least, verdict):
    found = finding(0.3, low, high, limit=0.3, at_least=at_least)
    assert found.verdict == verdict
    assert counts([found])[verdict] == 1
    assert findings_table([found])["verdict"].tolist() == [verdict]


def test_a_suite_changes_what_it_names(tmp_path):
    file = tmp_path / "suite.yaml"
    file.write_text("robustness: {alterations: {noise: [5], mp3: 32}}\nspeaker: null\n")
    suite = read_suite(file)
    assert suite.robustness["alterations"] == {"noise": [5], "mp3": [32]}
    assert suite.robustness["limits"] == read_suite().robustness["limits"]
    assert suite.speaker is None
    assert suite.fairness == read_suite().fairness


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("robustnes: null", "no key robustnes. Did you mean robustness"),
        ("fairness: {limits: {uar_gap: much}}", "fairness.limits.uar_gap is 'much'"),
        ("fairness: {limits: {uar_gap: 10}}", "is 10: give a share from 0 to 1, such as 0.1"),
        ("confidence: {limits: {ece: .nan}}", "is nan: give a share from 0 to 1"),
        ("confidence: {level: 90}", "confidence.level is 90: give a share between 0 and 1"),
        ("confidence: {level: 0}", "confidence.level is 0: give a share between"),
        ("new_speaker: {clips: [-1]}", "give numbers of clips from 0"),
        ("new_speaker: {clips: []}", "give numbers of clips from 0"),
        ("new_speaker: {draws: 0}", "give a whole number from 1, such as 5"),
        ("robustness: {alterations: {echo: [1]}}", "echo is not known"),
        ("[1]", "the file is no mapping"),
        ("a: [", "cannot be read as a suite"),
    ],
)
def test_a_suite_at_fault_is_refused_in_a_sentence(tmp_path, text, message):
    file = tmp_path / "suite.yaml"
    file.write_text(text)
    with pytest.raises(SerError, match=message):
        read_suite(file)


def test_the_jackknife_of_a_mean_is_students_t():
    units = np.repeat(np.arange(6), 10)
    hit = np.random.default_rng(0).random(60) < units / 6
    value, low, high = jackknife(lambda rows: hit[rows].mean(), units)
    means = hit.reshape(6, 10).mean(axis=1)
    half = 2.5706 * means.std(ddof=1) / np.sqrt(6)
    assert (value, high - value) == pytest.approx((hit.mean(), half), rel=1e-4)
    assert value - low == pytest.approx(half, rel=1e-4)
    assert np.isnan(jackknife(lambda rows: 1.0, np.zeros(3))[1])


@pytest.mark.parametrize("n_columns", [8, 120])
def test_erasure_leaves_a_linear_model_nothing_and_the_rest_alone(n_columns):
    rng = np.random.default_rng(0)
    speaker, emotion = np.repeat(np.arange(4), 25), rng.integers(0, 2, 100)
    X = rng.normal(size=(100, n_columns)) * np.linspace(1, 50, n_columns)
    X[:, 0] += 9 * speaker
    X[:, 1] += 40 * emotion
    erased = Eraser().fit(X, speaker).transform(X)
    one_hot = (speaker[:, None] == np.arange(4)) - 0.25
    scale = np.abs(X.T @ one_hot).max()
    assert np.abs((erased - erased.mean(axis=0)).T @ one_hot).max() < 1e-6 * scale
    if n_columns == 8:
        model = LogisticRegression(max_iter=1000)
        assert model.fit(X[:, :1], speaker).score(X[:, :1], speaker) > 0.8
        assert (
            model.fit(erased / X.std(axis=0), emotion).score(erased / X.std(axis=0), emotion) > 0.7
        )
        twice = Eraser().fit(erased, speaker).transform(erased)
        assert np.abs(twice - erased).max() < 1e-6 * scale


def test_few_clips_of_a_speaker_are_blended_with_what_speakers_are_like():
    rng = np.random.default_rng(0)
    actors = np.repeat(np.arange(50), 20)
    X = 10 + 3 * rng.normal(size=(50, 1))[actors] + 2 * rng.normal(size=(1000, 1))
    voices = learn_voices(X, actors)
    assert voices.variance == pytest.approx([4], rel=0.15)
    assert voices.between == pytest.approx([9], rel=0.5)
    new = 20 + 2 * rng.normal(size=(500, 1))
    # With none heard, a clip is seen from the middle of all speakers; with all, from its own.
    assert voices.scaled(new, new[:0]).mean() == pytest.approx((20 - voices.mean[0]) / 2, rel=0.15)
    assert voices.scaled(new, new).mean() == pytest.approx(0, abs=0.01)
    assert voices.scaled(new, new).std() == pytest.approx(1, rel=0.05)
    # One clip at 20 has the weight 9 / (9 + 4) against the middle of the others.
    weight = voices.between / (voices.between + voices.variance)
    mean = weight * 20 + (1 - weight) * voices.mean
    one = voices.scaled(np.array([[20.0]]), np.array([[20.0]]))
    assert one[0] == pytest.approx((20 - mean) / np.sqrt(voices.variance), rel=1e-4)


SUITE = "robustness: {alterations: {gain: [-20], babble: [10], resampled: [16000]}}\n"
SUITE += "new_speaker: {clips: [0, 5], draws: 1}\n"


@pytest.fixture
def suite(tmp_path):
    file = tmp_path / "suite.yaml"
    file.write_text(SUITE)
    return file


@pytest.fixture
def options(client, suite, demo_store, monkeypatch):
    monkeypatch.setenv("SER_STORE", str(demo_store))
    return Options(uri=client.tracking_uri, suite=suite, n_jobs=1)


def findings_of(client, text, tmp_path):
    run = text.split("\nrun ")[1].split()[0]
    assert client.get_run(run).info.status == "FINISHED"
    place = client.download_artifacts(run, "", str(tmp_path))
    return run, pd.read_csv(f"{place}/tables/check.csv")


@pytest.mark.slow
def test_a_run_is_asked_again_by_models_that_have_not_learned_from_the_clips(
    run_here, options, client, tmp_path, demo_root, open_page
):
    demo = ["data=demo", f"data.root={demo_root}", "data.speakers=4"]
    trained = run_here(*demo, "model=svm", "split=loso", "curves=none", draw=True)
    text = check(trained.run_id, options)
    assert "All answers are the run's own." in text
    run, table = findings_of(client, text, tmp_path)
    assert client.get_run(run).data.tags["checked"] == trained.run_id
    known = table.set_index(["part", "check", "measure"])["value"]
    assert known["scores", "all clips", "UAR"] == pytest.approx(trained.metrics["test_uar"])
    assert set(table["part"]) == {
        "scores", "robustness", "fairness", "confidence", "speaker", "new speaker"
    }  # fmt: skip
    skipped = table[table["check"].str.startswith("resampled")]
    assert skipped["note"].str.startswith("not made").all()
    told = table[table["measure"].str.startswith("actors told")].set_index("check")["value"]
    assert told["features after erasure"] < 0.5 < told["features as the classifier gets them"]
    drawn = [name for name in captions.FIGURES if name.startswith("check_")]
    assert {file.stem for file in (tmp_path / "figures").glob("*.png")} == set(drawn)
    for width in (390, 1280):
        page = open_page(tmp_path / "check.html", width=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("[...document.images].every(i => i.naturalWidth && i.alt)")
        assert page.requested == [(tmp_path / "check.html").as_uri()]


@pytest.mark.slow
def test_a_model_is_asked_about_clips_that_are_new_to_it(
    run_here, options, client, tmp_path, demo_root, monkeypatch
):
    draw_nothing(monkeypatch)
    demo = ["data=demo", f"data.root={demo_root}", "data.speakers=4"]
    trained = run_here(*demo, "model=naive_bayes", "scaler=speaker", "curves=none")
    clips = sorted(demo_root.rglob("*.wav"))[:120]
    words = {f"{n:02d}": word for n, word in enumerate(
        ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"), 1
    )}  # fmt: skip
    rows = [(str(clip), words[clip.stem[6:8]], clip.stem[-2:]) for clip in clips]
    table = tmp_path / "clips.csv"
    pd.DataFrame(rows, columns=["path", "emotion", "speaker"]).to_csv(table, index=False)
    given = Options(**{**vars(options), "clips": table})
    text = check(trained.run_id, given)
    assert "120 clips of clips.csv" in text
    assert "transductive" in text
    _, found = findings_of(client, text, tmp_path)
    assert "new speaker" not in set(found["part"])
    lost = found[(found["check"] == "gain -20 dB") & (found["measure"] == "UAR lost")]
    assert lost["value"].notna().all()


@pytest.mark.slow
def test_a_run_whose_config_names_other_code_is_refused(
    run_here, options, client, tmp_path, demo_root
):
    from ser.check.subject import _check_config

    with pytest.raises(SerError, match=r"os\.system"):
        _check_config({"model": {"classifier": {"_target_": "os.system"}}}, (), file="config.yaml")
    smuggled = {"_target_": "hydra.utils.get_method", "path": "os.system"}
    with pytest.raises(SerError, match=r"os\.system"):
        _check_config({"selection": {"score_func": smuggled}}, (), file="config.yaml")
    _check_config(
        {"model": {"classifier": {"_target_": "sklearn.svm.NuSVC"}}}, (), file="config.yaml"
    )


@pytest.mark.ravdess
@pytest.mark.slow
def test_ravdess_table_has_the_figures_of_the_docs(
    ravdess_root, run_here, options, client, tmp_path
):
    trained = run_here(f"data.root={ravdess_root}", "model=svm", "split=loso", "curves=none")
    place = client.download_artifacts(trained.run_id, "tables", str(tmp_path))
    text = check(f"{place}/predictions.csv", options)
    assert "Protocol: loso." in text
    assert "UAR           39.6 %   35.4 to 44.0 over speakers" in text
    assert "weighted F1   40.8 %" in text
