"""What a model keeps of its training clips: rates, what is unlike them, and what it answered."""

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from ser.core.errors import SerError
from ser.data.dataset import Dataset
from ser.data.facts import RecordingFacts
from ser.data.recordings import Recording, Windows
from ser.features.logmel import LogMelFeatures
from ser.features.notebook import NotebookFeatures
from ser.features.resampling import own_rate, resample
from ser.features.store import extract
from ser.features.union import UnionFeatures
from ser.models.familiarity import FACTS, learn_familiarity
from ser.models.predictions import Layout
from ser.models.trained import TRAINING_FILE, TrainedModel, load_model, save_model
from ser.models.training_clips import describe
from ser.predict.journal import Tally

SR = 24_000
FEATURES = NotebookFeatures(chroma=False, n_mels=8, n_mfcc=8)


def voice(rng, sr=SR):
    t = np.arange(sr // 2) / sr
    harmonics = sum(np.sin(2 * np.pi * h * rng.uniform(150, 250) * t) / h for h in range(1, 6))
    y = harmonics * np.abs(np.sin(9 * t)) * rng.uniform(0.05, 0.2)
    return (y + 1e-4 * rng.standard_normal(len(t))).astype(np.float32)


def data_set(folder, features, n_clips=48):
    rng, paths = np.random.default_rng(0), []
    for number in range(n_clips):
        paths.append(str(folder / f"{number}.wav"))
        soundfile.write(paths[-1], voice(rng), SR)
    clips = pd.DataFrame({"path": paths, "emotion": ["a", "b"] * (n_clips // 2)})
    clips["actor"] = np.arange(n_clips) // 6
    extraction = extract(paths, features, store=folder / "f.sqlite", n_jobs=1, progress=False)
    return Dataset(clips, extraction.X, feature_set=features, recordings=extraction.recordings)


def trained(data):
    steps = [("scaler", StandardScaler()), ("classifier", GaussianNB(var_smoothing=0.1))]
    pipeline = Pipeline(steps).fit(data.X, data.labels)
    return TrainedModel(pipeline, data.feature_set, False, describe(pipeline, data))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_model(trained(data_set(tmp_path_factory.mktemp("clips"), FEATURES)), folder)
    return load_model(folder)


def answer(model, tmp_path, y, sr, windows=None):
    file = tmp_path / "recording.wav"
    soundfile.write(file, y, sr, subtype="FLOAT")
    (predictions,) = model.predict([Recording(str(file))], windows=windows, n_jobs=1)
    return predictions


def test_recording_of_a_higher_rate_is_brought_to_the_models_and_of_a_lower_refused(
    model, tmp_path
):
    y = voice(np.random.default_rng(1))
    (own,) = answer(model, tmp_path, y, SR)
    assert (model.sr, own.resampled_from, own.error) == (SR, None, "")
    for higher in (44_100, 48_000):
        (resampled,) = answer(model, tmp_path, resample(y, SR, higher), higher)
        assert resampled.resampled_from == higher
        np.testing.assert_allclose(resampled.proba, own.proba, atol=0.05)
        parts = answer(model, tmp_path, resample(y, SR, higher), higher, Windows(0.25, 0.25))
        assert [(part.start, part.end) for part in parts] == [(0, 0.25), (0.25, 0.5)]
        assert {part.resampled_from for part in parts} == {higher}
    for lower in (22_050, 8000):
        (refused,) = answer(model, tmp_path, resample(y, SR, lower), lower)
        assert refused.proba is None
        for word in (f"{lower} Hz", f"{SR} Hz", f"features.sr={lower}"):
            assert word in refused.error


def test_features_that_resample_take_every_rate_from_their_own_on(tmp_path):
    model = trained(data_set(tmp_path, replace(FEATURES, sr=16_000)))
    y = voice(np.random.default_rng(1))
    (own,) = answer(model, tmp_path, y, SR)
    (at_16k,) = answer(model, tmp_path, resample(y, SR, 16_000), 16_000)
    assert (at_16k.error, at_16k.unfamiliar, at_16k.resampled_from) == ("", own.unfamiliar, None)
    np.testing.assert_allclose(at_16k.proba, own.proba, atol=1e-4)
    assert "at 16000 Hz" in answer(model, tmp_path, resample(y, SR, 8000), 8000)[0].error


def test_model_of_an_older_resampling_hears_only_the_rate_of_its_features(tmp_path):
    model = trained(data_set(tmp_path, replace(FEATURES, sr=16_000)))
    save_model(replace(model, resampling=1), tmp_path / "model")
    old = load_model(tmp_path / "model")
    y = voice(np.random.default_rng(1))
    y_16k = resample(y, SR, 16_000)
    (new,), (same,) = (answer(one, tmp_path, y_16k, 16_000) for one in (model, old))
    np.testing.assert_array_equal(same.proba, new.proba)
    for windows in (None, Windows(0.25, 0.25)):
        (refused,) = answer(old, tmp_path, y, SR, windows)
        assert refused.proba is None and "takes 16000 Hz alone" in refused.error


def test_rate_of_a_union_is_known_where_all_its_sets_resample():
    logmel = LogMelFeatures(sr=8000)
    assert own_rate(UnionFeatures(sets={"a": logmel, "b": LogMelFeatures()})) == 16_000
    assert own_rate(UnionFeatures(sets={"a": logmel, "b": FEATURES})) is None


def test_noise_a_telephone_and_another_level_are_unfamiliar_and_voices_are_not(model, tmp_path):
    rng = np.random.default_rng(2)
    voices = [voice(rng) for _ in range(20)]
    flagged = [answer(model, tmp_path, y, SR)[0].unfamiliar for y in voices]
    assert sum(flagged) <= 3
    noise = (0.05 * rng.standard_normal(SR // 2)).astype(np.float32)
    loud = 20 * voices[0]
    long = np.tile(voices[0], 20)
    for strange in (noise, loud, long, voices[0] + noise / 5):
        assert answer(model, tmp_path, strange, SR)[0].unfamiliar
    parts = answer(model, tmp_path, np.tile(voices[0], 4), SR, Windows(0.5, 0.5))
    assert sum(bool(part.unfamiliar) for part in parts) <= 1  # nobody spoke a window's length


def test_five_percent_of_actors_that_were_not_heard_are_unfamiliar():
    rng = np.random.default_rng(0)
    actors = np.repeat(np.arange(60), 10)
    X = 3 * rng.standard_normal((60, 30))[actors] + rng.standard_normal((600, 30))
    X[:, 0] = 7  # constant
    facts = np.c_[rng.normal(-30, 5, 600), np.full(600, -100), np.full(600, 2), np.full(600, 9e3)]
    learned = actors < 40
    familiarity = learn_familiarity(X[learned], actors[learned], facts[learned], highest=8000)
    recordings = [RecordingFacts(**dict(zip(FACTS, row, strict=True))) for row in facts.tolist()]
    unheard = np.flatnonzero(~learned)
    flagged = familiarity.unfamiliar(X[unheard], [recordings[row] for row in unheard])
    assert 0.005 <= flagged.mean() <= 0.15
    assert not familiarity.unfamiliar(X[learned], recordings[: learned.sum()]).mean() > 0.05
    assert familiarity.unfamiliar(X[unheard] + 15, recordings[: len(unheard)]).all()
    quiet = [replace(recording, level=-90.0) for recording in recordings[: len(unheard)]]
    assert familiarity.unfamiliar(X[unheard], quiet).all()
    assert learn_familiarity(X[:19], actors[:19], None, highest=8000) is None
    by_clip = learn_familiarity(X[:20], np.zeros(20), None, highest=np.inf)
    assert by_clip.unfamiliar(X[:20], recordings[:20]).mean() <= 0.1


def test_model_that_answers_differently_is_refused_with_the_packages(model, tmp_path):
    older = replace(model.training.answers, packages=("scikit-learn==1.2.3", "numpy==1.0"))
    changed = replace(older, proba=older.proba[:, ::-1])
    save_model(replace(model, training=replace(model.training, answers=older)), tmp_path)
    assert load_model(tmp_path).sr == SR
    save_model(replace(model, training=replace(model.training, answers=changed)), tmp_path)
    with pytest.raises(SerError, match=r"pip install scikit-learn==1\.2\.3 numpy==1\.0"):
        load_model(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 1000])
def test_damaged_file_of_training_clips_is_named(model, tmp_path, content):
    save_model(model, tmp_path)
    (tmp_path / TRAINING_FILE).write_bytes(content)
    with pytest.raises(SerError, match=f"{TRAINING_FILE} cannot be read"):
        load_model(tmp_path)


def test_rows_and_their_count_say_what_was_done(model, tmp_path):
    rng = np.random.default_rng(3)
    noise = (0.05 * rng.standard_normal(24_000)).astype(np.float32)
    layout = Layout(model.emotions, windows=False, speakers=False)
    rows = [
        layout.row(answer(model, tmp_path, y, sr)[0])
        for y, sr in ((noise, 48_000), (voice(rng), SR), (noise, 8000))
    ]
    assert [row["resampled_from"] for row in rows] == [48_000, None, None]
    assert [row["unfamiliar"] for row in rows] == [True, False, None]
    tally = Tally()
    tally.add(rows)
    resampled, unfamiliar = tally.notes(SR)
    assert resampled.startswith(f"1 of 2 were resampled to {SR} Hz")
    assert unfamiliar.startswith("1 of 2 are unlike what this model has heard")


def test_server_says_the_same_and_refuses_a_lower_rate(model, tmp_path):
    from mlflow.exceptions import MlflowException

    from ser.tracking.pyfunc import EmotionModel

    server = EmotionModel()
    server.model = model
    file = tmp_path / "recording.wav"
    soundfile.write(file, resample(voice(np.random.default_rng(1)), SR, 48_000), 48_000)
    table = server.predict(SimpleNamespace(), pd.DataFrame({"path": [str(file)]}))
    assert table.columns.tolist() == ["emotion", "p_a", "p_b", "unfamiliar", "resampled_from"]
    assert table["resampled_from"].tolist() == [48_000]
    soundfile.write(file, voice(np.random.default_rng(1))[::3], 8000)
    with pytest.raises(MlflowException, match=r"8000 Hz and the model was trained at 24000 Hz"):
        server.predict(SimpleNamespace(), pd.DataFrame({"path": [str(file)]}))


@pytest.mark.ravdess
@pytest.mark.skipif("SER_RAVDESS_ROOT" not in os.environ, reason="SER_RAVDESS_ROOT is not set")
def test_real_corpus_flags_what_it_has_not_heard(tmp_path):
    import ser
    from ser.data.audio import read_audio
    from ser.models.pipeline import fit

    data = ser.extract(ser.load("ravdess", os.environ["SER_RAVDESS_ROOT"]))
    heard = data.groups <= 20
    known, unknown = data.select(heard), data.select(~heard)
    pipeline = fit(ser.make_pipeline("svm"), known.X, known.labels)
    model = TrainedModel(pipeline, data.feature_set, False, describe(pipeline, known))

    def shares(change):
        """Share of recordings that are refused, and of the others that is unfamiliar."""
        recordings = []
        for number, path in enumerate(unknown.clips["path"][::4]):
            y, sr = change(*read_audio(path))
            file = tmp_path / f"{number}.wav"
            soundfile.write(file, np.clip(y, -1, 1), sr)
            recordings.append(Recording(str(file)))
        answers = [p for batch in model.predict(recordings) for p in batch]
        refused = np.mean([bool(p.error) for p in answers])
        return refused, np.mean([p.unfamiliar for p in answers if not p.error] or [0])

    rng = np.random.default_rng(0)
    refused, unfamiliar = shares(lambda y, sr: (y, sr))
    assert refused == 0
    assert unfamiliar <= 0.1
    for sr in (8000, 16_000):
        assert shares(lambda y, _, sr=sr: (resample(y, 48_000, sr), sr))[0] == 1
        copies = shares(lambda y, _, sr=sr: (resample(resample(y, 48_000, sr), sr, 48_000), 48_000))
        assert copies[1] > 0.9
    assert shares(lambda y, sr: (0.03 * rng.standard_normal(len(y)), sr))[1] > 0.9
    if root := os.environ.get("SER_EMODB_ROOT"):
        files = sorted(Path(root).rglob("*.flac")) + sorted(Path(root).rglob("*.wav"))
        emodb = iter([read_audio(file) for file in files[:60]])
        assert shares(lambda *_: (resample(*next(emodb), 48_000), 48_000))[1] > 0.9
