"""Corpora by their file grammars, and one corpus tested by a model of another.

The corpora are made here, a few clips in each grammar: tones whose pitch goes by the emotion.
"""

import io
import logging
import zipfile
from itertools import product
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from shown import check_numbers

from ser.core import paths
from ser.core.errors import SerError
from ser.data import cross_corpus, splits
from ser.data.audio import read_audio
from ser.data.corpora import EMOTIONS, FURTHER_EMOTIONS, ravdess_song
from ser.data.cross_corpus import Part
from ser.evaluation.breakdown import breakdown
from ser.features.notebook import NotebookFeatures
from ser.features.store import extract
from ser.tracking.models import download_model

CORPORA = ("emodb", "tess", "crema_d", "savee", "emovo", "ravdess_song")
# Any well-named file of each, and the same with an emotion code that does not exist.
ONE = {
    "emodb": ("wav/03a01Fa.wav", "wav/03a01Xa.wav"),
    "tess": ("OAF_angry/OAF_back_angry.wav", "OAF_angry/OAF_back_bored.wav"),
    "crema_d": ("AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1001_DFA_BOR_XX.wav"),
    "savee": ("DC/sa01.wav", "DC/b01.wav"),
    "emovo": ("f1/dis-f1-b1.wav", "f1/noi-f1-b1.wav"),
    "ravdess_song": ("Actor_01/03-02-03-01-01-01-01.wav", None),
}


def write(path, *, frequency=200.0, sr=16_000, channels=1, seconds=0.2, format="WAV"):
    """A tone with some noise; stereo holds it on the left only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(int(seconds * sr)) / sr
    noise = np.random.default_rng(len(str(path))).normal(0, 0.01, len(t))
    y = 0.4 * np.sin(2 * np.pi * frequency * t) + noise
    if channels == 2:
        y = np.stack([y, np.zeros_like(y)], axis=1)
    sf.write(path, y, sr, format=format)
    return path


def load(choice, root, **changes):
    """The corpus as its YAML has it."""
    paths.register_resolvers()
    data = OmegaConf.load(paths.CONF / "data" / f"{choice}.yaml")
    cfg = OmegaConf.merge({"data": data}, {"data": {"root": str(root), **changes}})
    if "download" in data:
        cfg.data.download = False
    try:
        return instantiate(cfg.data.corpus)
    except InstantiationException as error:  # Hydra's, around ours
        raise error.__cause__ from None


def rows(table, *columns):
    return list(table[list(columns)].itertuples(index=False, name=None))


@pytest.fixture
def small_emodb(tmp_path, monkeypatch):
    """EMO-DB with 4 actors x 7 emotions x 2 sentences, found by its environment variable."""
    root = tmp_path / "emodb"
    for actor, statement, (i, letter) in product(
        ("03", "08", "09", "10"), ("a01", "b10"), enumerate("WLEAFTN")
    ):
        pitch = (150 + 40 * i) * (1 + int(actor) / 40) + (statement == "b10")
        write(root / f"{actor}{statement}{letter}a.wav", frequency=pitch, sr=22_050)
    monkeypatch.setenv("SER_EMODB_ROOT", str(root))
    return root


# Grammars


def test_emodb_letters_are_german(tmp_path):
    for letter in "WLEAFTN":
        write(tmp_path / "wav" / f"03a01{letter}a.wav")
    write(tmp_path / "16b10Wb.wav")
    write(tmp_path / "08a02N.wav")  # a single version has no letter
    table = load("emodb", tmp_path)
    assert rows(table, "actor", "gender", "statement", "emotion") == [
        ("03", "male", "a01", "fearful"),  # Angst, not anger
        ("03", "male", "a01", "disgust"),  # Ekel
        ("03", "male", "a01", "happy"),  # Freude, not fear
        ("03", "male", "a01", "boredom"),  # Langeweile
        ("03", "male", "a01", "neutral"),
        ("03", "male", "a01", "sad"),  # Trauer
        ("03", "male", "a01", "angry"),  # Wut
        ("08", "female", "a02", "neutral"),
        ("16", "female", "b10", "angry"),
    ]
    assert set(table["sr"]) == {16_000} and table["duration"].tolist() == [0.2] * 9


def test_tess_ps_is_surprise_and_what_a_file_holds_counts(tmp_path):
    write(tmp_path / "OAF_Pleasant_surprise/OAF_back_ps.wav", sr=24_414)
    write(tmp_path / "OAF_neutral/OA_bite_neutral.wav", sr=24_414)
    aiff = write(tmp_path / "YAF_angry/YAF_germ_angry.wav", sr=96_000, format="AIFF")
    fast = write(tmp_path / "YAF_fear/YAF_neat_fear.wav", sr=96_000)
    table = load("tess", tmp_path)
    assert rows(table, "actor", "gender", "statement", "emotion", "sr") == [
        ("OAF", "female", "back", "surprised", 24_414),
        ("OAF", "female", "bite", "neutral", 24_414),
        ("YAF", "female", "germ", "angry", 96_000),
        ("YAF", "female", "neat", "fearful", 96_000),
    ]
    assert aiff.read_bytes()[:4] == b"FORM"
    # All can be extracted, and at one rate the two containers hold the same tone.
    X = extract(
        table["path"].tolist(),
        NotebookFeatures(sr=16_000, chroma=False),
        store=tmp_path / "s.sqlite",
        n_jobs=1,
        progress=False,
    ).X
    assert np.isfinite(X).all()
    assert read_audio(aiff)[1] == read_audio(fast)[1] == 96_000


def test_crema_d_takes_sex_from_the_demographics_and_one_copy_of_a_clip(tmp_path):
    names = ("1001_IEO_ANG_HI", "1002_IEO_SAD_LO", "1040_ITH_SAD_X", "1076_MTI_SAD_XX")
    for name in names:
        write(tmp_path / "AudioWAV" / f"{name}.wav")
        write(tmp_path / "AudioMP3" / f"{name}.mp3", format="MP3")
    assert len(load("crema_d", tmp_path, leave_out=[])) == 4
    bare = load("crema_d", tmp_path)
    assert rows(bare, "actor", "statement", "emotion", "intensity") == [
        (1001, "IEO", "angry", "high"),
        (1002, "IEO", "sad", "low"),
        (1040, "ITH", "sad", "unspecified"),  # and 1076_MTI_SAD_XX, which is silent, left out
    ]
    assert "gender" not in bare
    file = tmp_path / "VideoDemographics.csv"
    file.write_text('"ActorID","Age","Sex"\n1001,51,"Male"\n1002,21,"Female"\n1040,42,"Male"\n')
    for root in (tmp_path, tmp_path / "AudioWAV"):
        assert load("crema_d", root)["gender"].tolist() == ["male", "female", "male"]
    file.write_text("ActorID,Sex\n1001,Male\n1040,Male\n")
    with pytest.raises(SerError, match=r"lacks the actors 1002"):
        load("crema_d", tmp_path)
    file.write_text("something else\n")
    with pytest.raises(SerError, match=r"VideoDemographics\.csv cannot be read"):
        load("crema_d", tmp_path)


def test_savee_in_folders_and_in_one_folder_are_the_same(tmp_path):
    names = ("sa01", "su02", "a15", "n30", "f03", "h01", "d01")
    for actor, name in product(("KL", "DC"), names):
        write(tmp_path / "nested/AudioData" / actor / f"{name}.wav")
        write(tmp_path / "flat/ALL" / f"{actor}_{name}.wav")
    nested, flat = load("savee", tmp_path / "nested"), load("savee", tmp_path / "flat")
    assert nested.drop(columns="path").equals(flat.drop(columns="path"))
    assert rows(nested[:7], "actor", "emotion", "number", "gender") == [
        ("DC", "angry", 15, "male"),
        ("DC", "disgust", 1, "male"),
        ("DC", "fearful", 3, "male"),
        ("DC", "happy", 1, "male"),
        ("DC", "neutral", 30, "male"),
        ("DC", "sad", 1, "male"),
        ("DC", "surprised", 2, "male"),
    ]
    assert set(nested["actor"]) == {"DC", "KL"}
    assert "statement" not in nested  # a number is another sentence in every emotion
    write(tmp_path / "nobody" / "a01.wav")
    with pytest.raises(SerError, match=r"'a01' in 'nobody' is no SAVEE name: expected .*DC_a01"):
        load("savee", tmp_path / "nobody")


def test_emovo_codes_are_italian_and_its_stereo_is_mixed(tmp_path):
    codes = ("dis", "gio", "pau", "rab", "sor", "tri", "neu")
    for code in codes:
        path = write(tmp_path / "f1" / f"{code}-f1-b1.wav", sr=48_000, channels=2)
    write(tmp_path / "m3" / "NEU-M3-d2.wav", sr=48_000, channels=2)
    table = load("emovo", tmp_path)
    assert rows(table, "actor", "gender", "statement", "emotion") == [
        ("f1", "female", "b1", "disgust"),
        ("f1", "female", "b1", "happy"),
        ("f1", "female", "b1", "neutral"),
        ("f1", "female", "b1", "fearful"),
        ("f1", "female", "b1", "angry"),
        ("f1", "female", "b1", "surprised"),
        ("f1", "female", "b1", "sad"),
        ("m3", "male", "d2", "neutral"),
    ]
    both, _ = sf.read(path, dtype="float32")
    assert both.shape == (9600, 2)
    np.testing.assert_array_equal(read_audio(path)[0], both.mean(axis=1))


def test_ravdess_song_leaves_speech_out_and_unpacks_its_zip(tmp_path, monkeypatch):
    names = ("03-02-01-01-01-01-01", "03-02-06-02-02-01-12", "03-01-05-01-01-01-02")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name in names:
            path = write(tmp_path / "made" / f"{name}.wav", sr=48_000)
            file.write(path, f"Actor_{name[-2:]}/{name}.wav")
    root = tmp_path / "root"
    root.mkdir()
    (root / "songs.zip").write_bytes(packed.getvalue())
    table = load("ravdess_song", root)
    assert rows(table, "actor", "gender", "emotion", "intensity", "statement") == [
        (1, "male", "neutral", "normal", 1),
        (12, "female", "fearful", "strong", 2),
    ]
    with pytest.raises(SerError) as caught:
        load("ravdess_song", tmp_path / "empty")
    for words in (ravdess_song.ARCHIVE.url, "download=false", "data=demo"):
        assert words in str(caught.value)


# What all of them share


@pytest.mark.parametrize("choice", CORPORA)
def test_labels_are_common_words(choice):
    labels = OmegaConf.load(paths.CONF / "data" / f"{choice}.yaml").labels
    assert set(labels.values()) <= {*EMOTIONS, *FURTHER_EMOTIONS}


@pytest.mark.parametrize("choice", [c for c in CORPORA if c != "ravdess_song"])
def test_missing_corpus_says_where_to_get_it_and_where_to_put_it(tmp_path, choice):
    for root in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(SerError) as caught:
            load(choice, root)
        for words in ("http", str(root), f"SER_{choice.upper()}_ROOT", "data.root", "data=demo"):
            assert words in str(caught.value)


@pytest.mark.parametrize("choice", CORPORA)
def test_wrong_folder_and_hidden_files(tmp_path, choice):
    good = write(tmp_path / ONE[choice][0])
    (good.parent / f"._{good.name}").write_bytes(b"AppleDouble")
    stranger = write(tmp_path / "kitchen noise.wav")
    with pytest.raises(SerError, match=r"kitchen noise\.wav: .* Move it out") as caught:
        load(choice, tmp_path)
    assert str(stranger) in str(caught.value)
    stranger.unlink()
    with pytest.raises(SerError, match=r"1 emotions .* needs two"):
        load(choice, tmp_path)


@pytest.mark.parametrize("choice", CORPORA)
def test_clip_there_twice_is_named(tmp_path, choice):
    first = write(tmp_path / ONE[choice][0])
    again = write(tmp_path / "again" / ONE[choice][0])
    with pytest.raises(SerError, match="there twice") as caught:
        load(choice, tmp_path)
    assert str(first) in str(caught.value) and str(again) in str(caught.value)


@pytest.mark.parametrize("choice", [c for c in CORPORA if ONE[c][1]])
def test_unknown_code_is_named_and_null_leaves_out(tmp_path, choice, caplog):
    write(tmp_path / ONE[choice][0])
    strange = write(tmp_path / ONE[choice][1])
    with pytest.raises(SerError) as caught:
        load(choice, tmp_path)
    message = str(caught.value)
    assert str(strange) in message and f"conf/data/{choice}.yaml" in message
    code = message.split("emotion code '")[1].split("'")[0]
    assert f"+data.labels.{code}=WORD" in message
    assert "other" in set(load(choice, tmp_path, labels={code: "other"})["emotion"])
    with caplog.at_level(logging.WARNING), pytest.raises(SerError, match="1 emotions"):
        load(choice, tmp_path, labels={code: None})
    assert f"left out are 1 of code {code} (data.labels)" in caplog.text


MODULE = """
from ser.data.corpora.file_names import Corpus

def parse_name(path):
    actor, code = path.stem.split("_")
    return {"actor": actor, "code": code}

CORPUS = Corpus(name="Mine", choice="mine", n_clips=3, source="from nowhere", parse=parse_name)
"""


def test_corpus_of_ones_own_package_is_a_constant_that_a_yaml_names(tmp_path, monkeypatch):
    (tmp_path / "my_corpus.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("anna_h", "ben_s", "anna_s"):
        write(tmp_path / "clips" / f"{name}.wav")
    labels = {"h": "happy", "s": "sad"}
    cfg = {"_target_": "my_corpus.CORPUS.load", "root": str(tmp_path / "clips"), "labels": labels}
    assert rows(instantiate(cfg), "actor", "emotion") == [
        ("anna", "happy"),
        ("anna", "sad"),
        ("ben", "sad"),
    ]
    assert rows(instantiate(cfg | {"leave_out": ["anna_s"]}), "actor") == [("anna",), ("ben",)]


def test_counts_that_differ_from_the_published_are_said(tmp_path, caplog):
    # Empty files: names are all that counts.
    for code, actor, statement in product(
        ("dis", "gio", "pau", "rab", "sor", "tri", "neu"),
        ("f1", "f2", "f3", "m1", "m2", "m3"),
        ("b1", "b2", "b3", "l1", "l2", "l3", "l4", "n1", "n2", "n3", "n4", "n5", "d1", "d2"),
    ):
        path = tmp_path / "emovo" / actor / f"{code}-{actor}-{statement}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for actor, emotion in product(range(1, 25), range(1, 7)):
        if actor == 18:
            continue
        for rest in product((1,) if emotion == 1 else (1, 2), (1, 2), (1, 2)):
            codes = (3, 2, emotion, *rest, actor)
            path = tmp_path / "song" / ("-".join(f"{code:02d}" for code in codes) + ".wav")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    for actor, code in product(("DC", "JE", "JK", "KL"), ("a", "d", "f", "h", "n", "sa", "su")):
        for number in range(1, 31 if code == "n" else 16):
            path = tmp_path / "savee" / f"{actor}_{code}{number:02d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    with caplog.at_level(logging.WARNING):
        assert len(load("emovo", tmp_path / "emovo")) == 588
        assert len(load("ravdess_song", tmp_path / "song")) == 1012
        assert len(load("savee", tmp_path / "savee")) == 480
    assert caplog.text == ""
    path.unlink()
    with caplog.at_level(logging.WARNING):
        load("savee", tmp_path / "savee")
    assert "has 479 clips; 480 are published" in caplog.text


# Two corpora


def part(name, emotions, *, people=None, **columns):
    table = pd.DataFrame({"path": [f"/{name}/{i}" for i in range(len(emotions))]})
    table["emotion"] = emotions
    return Part(name, table.assign(**columns), people or name)


def test_join_keeps_shared_emotions_and_tells_actors_apart():
    one = part("one", ["sad", "calm", "happy", "calm"], actor=[1, 1, 2, 2], statement=[1, 1, 2, 2])
    two = part("two", ["happy", "sad", "boredom"], actor=[1, 2, 3], intensity=["hi", "lo", "lo"])
    clips, left_out = cross_corpus.join(one, two)
    assert rows(clips, "corpus", "emotion", "actor") == [
        ("one", "sad", "one:1"),
        ("one", "happy", "one:2"),
        ("two", "happy", "two:1"),
        ("two", "sad", "two:2"),
    ]
    assert clips["statement"].tolist()[:2] == ["one:1", "one:2"]
    assert clips["statement"][2:].isna().all() and clips["intensity"][:2].isna().all()
    assert rows(left_out, *left_out.columns) == [("one", "calm", 2), ("two", "boredom", 1)]
    split = splits.cross_corpus(clips, train="one", test="two")
    assert split.folds[0].train.tolist() == [0, 1] and split.folds[0].test.tolist() == [2, 3]
    # Nobody knows what is said in `two`.
    assert split.held_out == ("corpus", "actor") and split.grouped
    assert str(split) == "test corpus and actors never heard"


def test_join_refuses_corpora_that_share_one_emotion():
    one = part("one", ["sad", "calm"], actor=1)
    two = part("two", ["sad", "boredom"], actor=1)
    with pytest.raises(SerError, match=r"share 1 emotions \(one has calm, sad; two has boredom, s"):
        cross_corpus.join(one, two)


def test_cross_corpus_split_of_the_same_people_knows_the_actors():
    emotions = ["sad", "happy"]
    one = part("speech", emotions, actor=[1, 2], statement=[1, 2])
    two = part("song", emotions, people="speech", actor=[2, 3], statement=[1, 2])
    clips, _ = cross_corpus.join(one, two)
    split = splits.cross_corpus(clips, train="speech", test="song")
    assert split.held_out == ("corpus",) and split.unit == "clip"
    assert str(split) == "test corpus never heard, test actors known to the model"


def test_breakdown_leaves_out_what_nothing_is_known_of():
    predictions = pd.DataFrame(
        {
            "true": ["sad", "happy"],
            "predicted": ["sad", "sad"],
            "corpus": "savee",
            "actor": ["savee:DC", "savee:JE"],
            "statement": np.nan,
        }
    )
    assert breakdown(predictions)["factor"].unique().tolist() == ["emotion", "actor"]


# Runs


def runs(client):
    return client.search_runs([e.experiment_id for e in client.search_experiments()])


def table(client, run, name):
    return pd.read_csv(client.download_artifacts(run.info.run_id, f"tables/{name}.csv"))


def small(*more):
    return ["curves=none", "cv.n_splits=2", "model=naive_bayes", *more]


@pytest.mark.slow
def test_train_on_one_corpus(run_here, small_emodb, client):
    outcome = run_here("data=emodb", "split=loso", *small())
    assert "56 clips, 4 actors, 7 emotions" in outcome.text
    (run,) = runs(client)
    assert run.info.run_name == "naive_bayes-loso-emodb n_splits=2"
    assert client.get_experiment(run.info.experiment_id).name == "emodb"
    assert run.data.params["data.labels.W"] == "angry"
    assert set(table(client, run, "predictions")["true"]) >= {"boredom", "angry"}
    run_here("data=emodb", *small("data.labels.L=null"))
    assert "boredom" not in set(table(client, runs(client)[0], "predictions")["true"])


def test_train_on_demo_and_test_on_emodb(
    run_here, small_emodb, demo_root, client, tmp_path, caplog, capsys
):
    speech = ["data=demo", f"data.root={demo_root}", "data.speakers=4", "data.test=emodb"]
    with caplog.at_level(logging.WARNING):
        outcome = run_here(*speech, *small())
    # 240 demo clips without calm and surprised (32 each), 56 of EMO-DB without boredom (8).
    assert "224 clips, 8 actors, 6 emotions · test corpus, actors and statements" in outcome.text
    assert "test (48 clips)" in outcome.text and "train (176 clips)" in outcome.text
    words = "test corpus, actors and statements never heard"
    check_numbers(outcome, client, tmp_path / "shown", words=words, over="actors")
    printed = capsys.readouterr().out
    assert "demo calm 32, demo surprised 32, emodb boredom 8." in printed
    rates = "16000 Hz (176 clips), 22050 Hz (48 clips); all are resampled to 16000 Hz"
    assert rates in printed
    assert "goes along" not in caplog.text  # each corpus is of one kind

    (run,) = runs(client)
    assert run.info.run_name == "naive_bayes-cross-demo-emodb speakers=4 n_splits=2"
    assert client.get_experiment(run.info.experiment_id).name == "demo-emodb"
    tags = run.data.tags
    assert (tags["split"], tags["corpus"], tags["test_corpus"]) == ("cross", "demo-emodb", "emodb")
    assert tags["protocol"] == "test corpus, actors and statements never heard"
    assert tags["interval_over"] == "actors" and tags["transductive"] == "false"
    assert "data.test=emodb" in tags["command"] and tags["resampled_to"] == "16000 Hz"
    assert run.data.params["test_data.labels.F"] == "happy"
    assert run.data.params["split.test"] == "emodb"
    assert run.data.metrics["n_left_out_clips"] == 72

    predictions = table(client, run, "predictions")
    parts = dict(list(predictions.groupby("part")))
    assert set(parts["test"]["corpus"]) == {"emodb"} and set(parts["cv"]["corpus"]) == {"demo"}
    assert set(parts["test"]["actor"]) == {f"emodb:{n}" for n in ("03", "08", "09", "10")}
    assert set(parts["cv"]["actor"]) == {f"demo:{n}" for n in range(1, 5)}
    assert parts["cv"].groupby("actor")["fold"].nunique().max() == 1
    assert len(parts["test"]) == 48 and len(parts["cv"]) == 176
    assert set(predictions["true"]) == {*EMOTIONS} - {"calm", "surprised"}
    page = Path(client.download_artifacts(run.info.run_id, "report.html")).read_text()
    assert "Left out clips" in page and "Synthetic voices" in page

    same = run_here(*speech, *small("features.sr=16000"))
    assert same.metrics["test_uar"] == outcome.metrics["test_uar"]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        run_here(*speech, *small("features.sr=22050"))
    assert "features.sr=16000 takes that away" in caplog.text
    other = runs(client)[0].data
    assert other.tags["resume_key"] != tags["resume_key"]
    assert other.tags["data_fingerprint"] == tags["data_fingerprint"]


def test_cross_corpus_model_predicts_paths_of_any_rate(run_here, small_emodb, demo_root, client):
    outcome = run_here(
        *("data=demo", f"data.root={demo_root}", "data.speakers=4", "data.test=emodb"),
        *small("features.sr=16000"),
    )
    folder = download_model(client.tracking_uri, f"runs:/{outcome.run_id}/model")
    test = outcome.predictions.head(5)
    paths = [str(small_emodb / clip) for clip in test["clip"]]
    answer = mlflow.pyfunc.load_model(str(folder)).predict(pd.DataFrame({"path": paths}))
    assert answer["emotion"].tolist() == test["predicted"].tolist()


@pytest.mark.slow
def test_cross_corpus_resumes_in_a_sweep(small_emodb, run_cli, demo_root, client):
    arguments = [
        *("ser.train", "-m", "data=demo", f"data.root={demo_root}", "data.speakers=4"),
        *("data.test=emodb", *small(), "seed=1,2", "sweep.resume=true"),
    ]
    run_cli(*arguments)
    again = run_cli(*arguments).stdout
    assert again.count("finished before as run") == 2
    assert {client.get_experiment(r.info.experiment_id).name for r in runs(client)} == {
        "demo-emodb"
    }


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.test=emodb", "split=loso"], r"fixes the split.*Leave split=loso out"),
        (["data.test=emodb", "split.test_size=0.3"], r"Leave split\.test_size=0\.3 out"),
        (["data.test=berlin"], r"data\.test=berlin is no corpus .* emodb, emovo"),
        (["data.test=demo"], r"data\.test=demo is no corpus to test on after data=demo"),
        (["data.test=table"], r"data\.test=table is no corpus"),
        (["data.test=savee"], r"No SAVEE clips .* SER_SAVEE_ROOT"),
    ],
)
@pytest.mark.usefixtures("small_emodb", "client")
def test_cross_corpus_refuses(run_here, demo_root, tmp_path, monkeypatch, overrides, message):
    monkeypatch.setenv("SER_SAVEE_ROOT", str(tmp_path / "nowhere"))
    with pytest.raises((SerError, InstantiationException), match=message):
        run_here("data=demo", f"data.root={demo_root}", "data.speakers=4", *overrides, *small())
