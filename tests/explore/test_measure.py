"""Statistics, rankings, neighbours, pairs and quality: by hand, and against the tutorial's."""

import importlib.util
import os

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.core.errors import SerError
from ser.data.dataset import Dataset
from ser.explore import maps, measure, quality, statistics
from ser.features.notebook import NotebookFeatures
from ser.features.prosody import ProsodyFeatures
from ser.features.store import extract


def test_feature_statistics_of_a_group_take_its_values_together():
    X = np.array([[0.0, 10.0, 5.0], [2.0, 30.0, 5.0]])
    table = statistics.feature_statistics(X, ["a_0", "a_1", "b_0"])
    raw = table[(table["scaling"] == "raw") & (table["group"] == "a")].iloc[0]
    assert (raw["features"], raw["min"], raw["max"], raw["mean"]) == (2, 0, 30, 10.5)
    assert raw["deviation"] == pytest.approx(np.std([0, 2, 10, 30], ddof=1))
    standard = table[(table["scaling"] == "standard") & (table["group"] == "a")].iloc[0]
    assert (standard["min"], standard["max"], standard["mean"]) == (-1, 1, 0)
    minmax = table[table["scaling"] == "minmax"].set_index("group")
    assert minmax.loc["a", ["min", "max", "mean"]].tolist() == [0, 1, 0.5]
    assert minmax.loc["b", ["min", "max"]].tolist() == [0, 0]  # constant


@pytest.mark.ravdess
def test_feature_statistics_equal_the_tutorials(ravdess_root, tmp_path):
    from ser.data.corpora import ravdess

    reference = os.environ.get("SER_REFERENCE_FEATURES")
    if not reference:
        pytest.skip("SER_REFERENCE_FEATURES names no file with the tutorial's features")
    with np.load(reference) as data:
        expected = statistics.feature_statistics(data["X"], NotebookFeatures().names)
    paths = ravdess.load(ravdess_root, download=False)["path"].tolist()
    X = extract(paths, NotebookFeatures(), store=tmp_path / "s.sqlite").X
    found = statistics.feature_statistics(X, NotebookFeatures().names)
    columns = ["min", "max", "mean", "deviation"]
    np.testing.assert_allclose(found[columns], expected[columns], rtol=1e-3, atol=1e-3)
    # As the tutorial prints them, of the unscaled features.
    raw = found[found["scaling"] == "raw"].set_index("group")
    assert raw.loc["chroma", columns].round(3).tolist() == [0.310, 0.874, 0.666, 0.085]
    assert raw.loc["mel", columns].round(3).tolist() == [0.000, 149.208, 0.187, 1.597]


def test_ranking_puts_what_tells_the_emotion_first(clips):
    rng = np.random.default_rng(0)
    emotion, actor = pd.factorize(clips["emotion"])[0], clips["actor"].to_numpy()
    X = np.stack(
        [rng.normal(size=len(clips)), emotion + rng.normal(0, 0.1, len(clips)),
         actor + rng.normal(0, 0.1, len(clips)), np.ones(len(clips))], axis=1
    )  # fmt: skip
    table = statistics.ranking(X, clips, ["noise", "tone", "voice", "flat"], seed=0)
    assert table["feature"].iloc[0] == "tone"
    by_name = table.set_index("feature")
    entropy = -sum(p * np.log2(p) for p in clips["emotion"].value_counts(normalize=True))
    assert by_name.loc["tone", "mutual_information"] == pytest.approx(entropy, rel=0.05)  # bits
    assert by_name.loc["tone", "emotion_share"] > 0.98 > by_name.loc["tone", "actor_share"]
    assert by_name.loc["voice", "actor_share"] > 0.98 > by_name.loc["voice", "emotion_share"]
    assert by_name.loc["flat"].tolist()[:3] == [0, 0, 1]


def test_between_share_is_anovas():
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], 20)
    X = rng.normal(size=(60, 4)) + np.repeat(np.arange(3), 20)[:, None] * [0, 1, 2, 3]
    share = statistics.between_share(X, labels)
    from sklearn.feature_selection import f_classif

    F = f_classif(X, labels)[0]
    np.testing.assert_allclose(share / (1 - share) * 57 / 2, F)


def test_neighbours_of_a_leak_are_of_the_same_actor(clips):
    rng = np.random.default_rng(0)
    actor, emotion = clips["actor"].to_numpy(), pd.factorize(clips["emotion"])[0]
    leak = np.eye(25)[actor] + 0.01 * rng.normal(size=(len(clips), 25))
    table = maps.neighbours(leak, clips, counts=(1, 10)).set_index(["same", "neighbours"])
    share, chance = table["share"], table["chance"]
    assert share["actor", 1] == share["actor", 10] == 1
    n = len(clips)
    own = clips.groupby("actor")["path"].transform("size")
    assert chance["actor", 1] == pytest.approx(((own - 1) / (n - 1)).mean())
    assert abs(share["emotion", 10] - chance["emotion", 10]) < 0.05
    fair = np.eye(5)[emotion] + 0.01 * rng.normal(size=(len(clips), 5))
    table = maps.neighbours(fair, clips, counts=(1, 10)).set_index(["same", "neighbours"])
    assert table["share"]["emotion", 10] == table["share"]["emotion, other actors", 10] == 1
    assert abs(table["share"]["actor", 10] - chance["actor", 10]) < 0.05


def test_neighbours_of_few_clips_and_of_one_actor():
    clips = pd.DataFrame({"actor": [1, 1, 1], "emotion": ["a", "a", "b"]})
    table = maps.neighbours(np.arange(3.0)[:, None], clips, counts=(1, 10))
    assert table[["neighbours", "same"]].to_numpy().tolist() == [[1, "emotion"]]
    assert table["chance"].iloc[0] == pytest.approx(1 / 3)
    assert table["share"].iloc[0] == pytest.approx(2 / 3)  # 0 -> 1, 1 -> 0 or 2, 2 -> 1


def test_sample_keeps_every_actor_and_emotion_in_its_share(clips):
    rows = maps.sample(clips, 180, seed=0)
    assert len(rows) == len(set(rows)) == 180
    assert clips.iloc[rows].groupby("actor").size().between(5, 10).all()
    few = clips.iloc[rows].groupby(["actor", "emotion"]).size()
    assert few.drop("neutral", level="emotion").between(1, 2).all()  # of 8, a fifth each
    assert few.xs("neutral", level="emotion").between(0, 1).all()  # of 4
    assert few.xs("neutral", level="emotion").sum() == pytest.approx(180 / 9, abs=6)
    assert maps.sample(clips, 5000, seed=0).tolist() == list(range(len(clips)))
    assert np.array_equal(rows, maps.sample(clips, 180, seed=0))


@pytest.mark.parametrize(("n", "d"), [(2, 3), (5, 1), (11, 1), (40, 5)])
def test_maps_of_any_size(n, d):
    X = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    placed = maps.embeddings(X, seed=0)
    assert ("t-SNE" in placed) == (n >= maps.MIN_CLIPS)
    for positions, _ in placed.values():
        assert positions.shape == (n, 2)
        assert np.isfinite(positions).all()


def test_maps_keep_groups_apart():
    rng = np.random.default_rng(0)
    X = np.repeat(np.eye(3) * 10, 30, axis=0) + rng.normal(size=(90, 3))
    for positions, _ in maps.embeddings(X, seed=0).values():
        distance = np.linalg.norm(positions[:, None] - positions, axis=2)
        np.fill_diagonal(distance, np.inf)
        assert (distance.argmin(axis=1) // 30 == np.arange(90) // 30).mean() > 0.95


@pytest.mark.extra
def test_maps_have_umap_where_it_is_installed():
    pytest.importorskip("umap")
    X = np.random.default_rng(0).normal(size=(40, 5))
    assert maps.embeddings(X, seed=0)["UMAP"][0].shape == (40, 2)


def test_maps_take_no_folder_for_umap(tmp_path, monkeypatch):
    (tmp_path / "umap").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    expected = {"PCA", "t-SNE"} | ({"UMAP"} if importlib.util.find_spec("umap.umap_") else set())
    assert set(maps.embeddings(np.random.default_rng(0).normal(size=(40, 5)), seed=0)) == expected


def test_pair_is_of_one_actor_and_alike_in_all_else(clips):
    (happy, angry), note = measure.pair(clips)
    a, b = clips.loc[happy], clips.loc[angry]
    assert (a["emotion"], b["emotion"], note) == ("happy", "angry", "")
    assert (a["actor"], a["statement"]) == (b["actor"], b["statement"]) == (1, 1)
    (calm, sad), _ = measure.pair(clips, ["calm", "sad"], actor="7")
    assert clips.loc[[calm, sad], "actor"].tolist() == [7, 7]
    without = clips[~((clips["actor"] == 1) & (clips["emotion"] == "happy"))]
    rows, _ = measure.pair(without)
    assert without.loc[rows, "actor"].tolist() == [2, 2]


def test_pair_without_the_emotions_is_of_the_commonest_and_says_so(clips):
    others = clips[clips["emotion"].isin(["neutral", "calm", "sad"])]
    rows, note = measure.pair(others)
    assert set(others.loc[rows, "emotion"]) == {"calm", "sad"}
    assert "No clip is happy or angry" in note
    split = clips[(clips["emotion"] == "happy") == (clips["actor"] == 1)]
    rows, note = measure.pair(split)
    assert split.loc[rows, "emotion"].tolist() == ["happy", "angry"]
    assert "of two" in note
    one = clips[clips["emotion"] == "sad"]
    rows, _ = measure.pair(one)
    assert one.loc[rows, "emotion"].tolist() == ["sad", "sad"]


def test_pair_that_cannot_be_names_the_choices(clips):
    with pytest.raises(SerError, match=r"no actor 99 .* 1, 2"):
        measure.pair(clips, actor=99)
    with pytest.raises(SerError, match=r"\[happy,bored\] is not two of neutral, calm"):
        measure.pair(clips, ["happy", "bored"])


@pytest.fixture
def recordings(tmp_path):
    """A clip table of eight files, each with something of its own."""
    rng = np.random.default_rng(0)
    t = np.arange(16_000) / 16_000
    voice = 0.3 * sum(np.sin(2 * np.pi * 150 * k * t) / k for k in range(1, 6))
    sounds = {
        "plain": voice,
        "again": voice,
        "flac": voice,
        "stereo": np.stack([0.9 * voice, 0.1 * voice], axis=1),
        "clipped": np.clip(4 * voice, -1, 1),
        "noise": 0.1 * rng.normal(size=16_000),
        "late": np.r_[np.zeros(20_000), 0.8 * voice],
        "long": np.r_[voice, voice, voice],
    }
    rows = []
    for name, y in sounds.items():
        path = tmp_path / f"{name}.{'flac' if name == 'flac' else 'wav'}"
        samples = np.int16(np.clip(np.round(32768 * y), -32768, 32767))
        soundfile.write(path, samples, 16_000, subtype="PCM_16")
        emotion = "sad" if name in ("flac", "noise") else "calm"
        rows.append({"path": str(path), "emotion": emotion, "actor": 1 + len(rows) % 2})
    return pd.DataFrame(rows)


def test_quality_finds_what_is_odd(recordings, tmp_path):
    paths, store = recordings["path"].tolist(), tmp_path / "s.sqlite"
    extraction = extract(paths, NotebookFeatures(), store=store, progress=False)
    spoken = extract(paths, ProsodyFeatures(), store=store, progress=False)
    prosody = pd.DataFrame(spoken.X, columns=list(spoken.names))
    data = Dataset(
        recordings, extraction.X, digests=extraction.content, recordings=extraction.recordings
    )
    table = quality.clip_quality(data, prosody)
    near = [table["path"][0] if "late" in path else "" for path in table["path"]]
    table["near_copy_of"] = near
    table.index = [path.rsplit("/", 1)[1].split(".")[0] for path in table["path"]]
    plain = recordings["path"].iloc[0]
    assert table["duplicate_of"].to_dict() | {"again": plain, "flac": plain} == (
        table["duplicate_of"].to_dict()
    )
    assert (table["duplicate_of"] != "").sum() == 2
    assert table.index[table["same_bytes"]].tolist() == ["again"]
    assert table.index[table["channels"] == 2].tolist() == ["stereo"]
    found = quality.findings(table).set_index("issue")["clips"].to_dict()
    assert found == {
        "same sound as another clip": 2,
        "same sound as another clip, under another emotion or actor": 2,
        "encoded, cut or amplified copy of another clip": 1,
        "encoded, cut or amplified copy of another clip, under another emotion or actor": 0,
        "not mono": 1,
        "another sampling rate than most": 0,
        "clipped": 1,
        "peak within 0.1 dB of full scale": 1,
        "more than 1 s of silence before the speech": 1,
        "more than 1 s of silence after the speech": 0,
        "hardly a voiced frame": 1,
        "twice or half the median duration": 2,
    }


def test_findings_say_where_peaks_were_set():
    peaks = pd.Series([-0.01, -0.01, -0.01, -0.05])
    assert quality._shared_peak(peaks).startswith("3 at exactly -0.010 dBFS")
    assert quality._shared_peak(peaks[1:]) == ""


def test_spoken_counts_no_pitch_where_there_is_no_voice():
    clips = pd.DataFrame({"emotion": ["a", "a", "b"], "actor": [1, 1, 1]})
    prosody = pd.DataFrame({name: [1.0, 3.0, 5.0] for name in ProsodyFeatures().names})
    prosody["voiced_share"] = [0.5, 0.0, 0.5]
    table = quality.spoken(clips, prosody).set_index(["quantity", "emotion"])
    assert table.loc[("f0_median", "a"), ["clips", "q50"]].tolist() == [1, 1]
    assert table.loc[("duration", "a"), ["clips", "q50"]].tolist() == [2, 2]
    assert set(table["gender"]) == {"all"}
    by_gender = quality.spoken(clips.assign(gender=["f", "m", "f"]), prosody)
    assert by_gender.groupby(["emotion", "gender"]).ngroups == 3
