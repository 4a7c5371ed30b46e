"""Pretrained speech encoders: transformers' numbers, from any folder, and nothing of a pickle."""

import json
import pickle
import re
import shutil

import numpy as np
import pytest
import soundfile

from ser.core.errors import SerError
from ser.features import checkpoint, restore, settings
from ser.features.checkpoint import FOLDERS, Checkpoint
from ser.features.encoder import encoder_of
from ser.features.pretraining import Pretraining, pretraining_tags
from ser.features.prosody import ProsodyFeatures
from ser.features.speech_model import SpeechModelFeatures
from ser.features.store import extract
from ser.features.union import UnionFeatures
from tests.speech_models import KINDS, RATE, layers_by_transformers, make_checkpoint

pytestmark = pytest.mark.extra


@pytest.fixture(scope="module", autouse=True)
def _speech():
    for package in ("torch", "transformers"):
        pytest.importorskip(package, reason="needs ser[speech]")


@pytest.fixture(scope="module")
def checkpoints(_speech, tmp_path_factory):
    """Name -> folder of a tiny random checkpoint of every kind."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return {name: make_checkpoint(name, folder / name) for name in KINDS}


@pytest.fixture
def small(checkpoints, tmp_path):
    """A copy of one, to be broken."""
    return shutil.copytree(checkpoints["hubert"], tmp_path / "small")


def clip(seconds, seed=0):
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(round(seconds * RATE))).astype(np.float32)


def features(folder, **more):
    return SpeechModelFeatures(checkpoint=str(folder), precision="float32", **more)


def moments(layers):
    return np.concatenate([np.r_[layer.mean(0), layer.std(0)] for layer in layers])


@pytest.mark.parametrize("name", KINDS)
def test_vector_is_mean_and_deviation_of_transformers_own_layers(checkpoints, name):
    feature_set = features(checkpoints[name], tail=30)  # as transformers has it, for Whisper
    y = clip(0.9)
    expected = moments(layers_by_transformers(checkpoints[name], y))
    vector = feature_set(y, RATE)
    assert vector.dtype == np.float32 and vector.shape == (len(feature_set.names),)
    np.testing.assert_allclose(vector, expected, rtol=2e-3, atol=1e-4)  # float16 has 11 bits
    feature_set(clip(0.4, seed=1), RATE)  # what is heard before a clip leaves no trace
    np.testing.assert_array_equal(feature_set(y, RATE), vector)


def test_names_say_layer_statistic_and_number(checkpoints):
    names = features(checkpoints["wavlm"]).names
    assert len(names) == 3 * 2 * 16
    assert (names[0], names[16], names[-1]) == (
        *("layer00_mean_0000", "layer00_std_0000"),
        "layer02_std_0015",
    )


@pytest.mark.parametrize("name", ["hubert", "whisper"])
def test_long_clip_is_pieces_that_overlap(checkpoints, name):
    feature_set = features(checkpoints[name], piece=1.0)
    y = clip(2.5)
    import torch

    starts = np.linspace(0, 1.5 * RATE, 3).round().astype(int)
    encoder = encoder_of(feature_set.weights, feature_set._folder, "float32")
    with torch.inference_mode():
        pieces = [encoder.layers(y[start : start + RATE], 0.5) for start in starts]
    layers = [torch.cat(same, dim=1)[0].numpy() for same in zip(*pieces, strict=True)]
    np.testing.assert_allclose(feature_set(y, RATE), moments(layers), rtol=2e-3, atol=1e-4)


def test_other_rates_are_resampled_and_very_short_clips_are_heard(checkpoints):
    feature_set = features(checkpoints["wav2vec2"])
    t = np.arange(RATE * 3) / (3 * RATE)
    tone = (0.1 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    assert np.corrcoef(feature_set(tone, 3 * RATE), feature_set(tone[::3], RATE))[0, 1] > 0.999
    assert np.isfinite(feature_set(tone[:2], RATE)).all()


def test_bfloat16_is_another_set_that_says_nearly_the_same(checkpoints):
    single = features(checkpoints["whisper"])
    half = SpeechModelFeatures(checkpoint=str(checkpoints["whisper"]), precision="bfloat16")
    assert settings(half) != settings(single)
    assert np.corrcoef(half(clip(0.5), RATE), single(clip(0.5), RATE))[0, 1] > 0.999


def test_key_is_the_weights_not_their_name_or_place(checkpoints, tmp_path):
    known = features(checkpoints["hubert"])
    told = json.dumps(settings(known))
    assert "hubert" not in told and str(tmp_path.parent) not in told
    moved = shutil.copytree(checkpoints["hubert"], tmp_path / "moved")
    config = json.loads((moved / "config.json").read_text()) | {"_name_or_path": "another/name"}
    (moved / "config.json").write_text(json.dumps(config))
    assert settings(features(moved)) == settings(known)
    other = make_checkpoint("hubert", tmp_path / "other", seed=1)
    assert settings(features(other)) != settings(known)


def test_store_keeps_what_the_encoder_said_to_the_bit_in_half_the_room(checkpoints, tmp_path):
    paths, store = [], tmp_path / "store.sqlite"
    for number in range(3):
        paths.append(str(tmp_path / f"{number}.wav"))
        soundfile.write(paths[-1], clip(0.3, seed=number), RATE, subtype="FLOAT")
    feature_set = features(checkpoints["data2vec-audio"])
    extraction = extract(paths, feature_set, store=store, n_jobs=1, progress=False)
    y = soundfile.read(paths[1], dtype="float32")[0]
    np.testing.assert_array_equal(extraction.X[1], feature_set(y, RATE))
    moved = features(shutil.copytree(checkpoints["data2vec-audio"], tmp_path / "moved"))
    again = extract(paths, moved, store=store, n_jobs=1, progress=False)
    assert again.n_extracted == 0
    np.testing.assert_array_equal(again.X, extraction.X)


def test_pieces_of_a_checkpoint_are_read_like_one_file(checkpoints, tmp_path):
    sharded = make_checkpoint("whisper", tmp_path / "sharded", max_shard_size="10KB")
    assert len(Checkpoint(sharded).weight_files) > 1
    y = clip(0.3)
    np.testing.assert_array_equal(
        features(sharded)(y, RATE), features(checkpoints["whisper"])(y, RATE)
    )


def test_decoder_is_never_made(checkpoints):
    model = encoder_of(
        Checkpoint(checkpoints["whisper"]).digest, str(checkpoints["whisper"]), "float32"
    ).model
    assert type(model).__name__ == "WhisperEncoder"


def _pickled(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))


def _other_width(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 32}))


def _of_another_kind(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))


def _cut(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def _without_layers(folder):
    told = json.loads((folder / "config.json").read_text())
    del told["num_hidden_layers"]
    (folder / "config.json").write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (_pickled, r"has no model.safetensors. It has pytorch_model.bin, a pickle, which may run"),
        (_of_another_kind, "model_type 'bert' is none of the speech encoders that ser reads: wav2"),
        (_other_width, r"do not fit its config.json: \d+ are missing and \d+ have another shape"),
        (_cut, r"model.safetensors cannot be read as weights"),
        (lambda folder: (folder / "config.json").unlink(), "the folder has no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is no JSON"),
        (
            lambda folder: (folder / "preprocessor_config.json").write_text(
                '{"sampling_rate": 8000}'
            ),
            "hears 8000 Hz; ser reads encoders of 16000",
        ),
        (
            lambda folder: (folder / "preprocessor_config.json").write_text(
                '{"sampling_rate": "high"}'
            ),
            "sampling_rate is 'high' in its JSON, and no whole number",
        ),
        (_without_layers, "num_hidden_layers is None in its JSON, and no whole number above 0"),
        (
            lambda folder: (folder / "model.safetensors.index.json").write_text(
                '{"weight_map": [1]}'
            ),
            "index.json names no files of weights",
        ),
    ],
)
def test_what_is_no_checkpoint_is_refused_before_a_clip_is_read(small, broken, message):
    broken(small)
    with pytest.raises(SerError, match=message):
        features(small).check()


def test_set_of_a_union_is_checked_before_another_reads_a_clip(small, tmp_path):
    _other_width(small)
    union = UnionFeatures(sets={"prosody": ProsodyFeatures(), "encoder": features(small)})
    with pytest.raises(SerError, match=r"do not fit its config\.json"):
        extract([str(tmp_path / "no such clip.wav")], union, store=tmp_path / "store.sqlite")


def test_worker_does_not_hash_the_weights_again(small, monkeypatch):
    sent = pickle.dumps(features(small))
    monkeypatch.setattr(checkpoint, "_HASHES", {})
    monkeypatch.setattr(checkpoint.hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    here = pickle.loads(sent)
    assert here.found.digest == here.weights


def test_spectrogram_of_no_size_is_refused_before_a_clip_is_read(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["whisper"], tmp_path / "whisper")
    (folder / "preprocessor_config.json").write_text('{"hop_length": "160"}')
    with pytest.raises(SerError, match="hop_length is '160' in its JSON, and no whole number"):
        features(folder).check()


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ("nobody/nothing", r"nobody/nothing is not in the cache .* Put config.json, .*=FOLDER\."),
        ("/no/such/folder", "is neither a folder nor an id of a hub"),
        ("wavlm", "is neither a folder nor an id of a hub"),
        (None, "features.checkpoint is missing: give a folder or a hub's id"),
    ],
)
def test_checkpoint_that_is_not_there(checkpoint, message):
    with pytest.raises(SerError, match=message):
        SpeechModelFeatures(checkpoint=checkpoint, download=False)


def test_download_without_a_network_names_the_folder_way(monkeypatch):
    import huggingface_hub

    def unreachable(*_arguments, **_settings):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    with pytest.raises(SerError, match=r"cannot be downloaded \(OSError: no network\)\. Put"):
        SpeechModelFeatures(checkpoint="nobody/nothing")


def test_trained_model_finds_its_weights_in_a_folder_given_and_refuses_others(
    checkpoints, tmp_path, monkeypatch
):
    known = features(checkpoints["wavlm"])
    monkeypatch.setenv(FOLDERS, str(tmp_path))
    make_checkpoint("wavlm", tmp_path / "same kind", seed=1)
    with pytest.raises(SerError, match=f"not here: SHA-256 {known.weights}.*same kind.*{FOLDERS}="):
        restore(settings(known))
    shutil.copytree(checkpoints["wavlm"], tmp_path / "another name")
    again = restore(settings(known))
    np.testing.assert_array_equal(again(clip(0.3), RATE), known(clip(0.3), RATE))
    with pytest.raises(SerError, match="cannot be read with checkpoint, download in a file"):
        restore(settings(known) | {"checkpoint": "nobody/nothing", "download": True})
    with pytest.raises(SerError, match="has other weights"):
        SpeechModelFeatures(checkpoint=str(tmp_path / "same kind"), weights=known.weights)


def test_weights_that_change_under_a_run_are_refused(small):
    known = features(small)
    make_checkpoint("hubert", small, seed=3)
    with pytest.raises(SerError, match="have changed since the run began"):
        known(clip(0.3), RATE)


def test_runs_say_what_their_encoder_may_have_heard(checkpoints):
    heard = Pretraining(
        data="films", licence="MIT", source="a page", corpora={"ravdess": "yes"}, others="no"
    )
    told, untold = (
        features(checkpoints["hubert"], pretraining=heard),
        features(checkpoints["wavlm"]),
    )
    name = f"hubert ({told.weights[:12]})"
    assert pretraining_tags(told, ["emodb"]) == {
        "pretrained": name,
        "corpus_in_pretraining": "no",
    }
    assert pretraining_tags(told, ["emodb", "ravdess"])["corpus_in_pretraining"] == "yes"
    both = UnionFeatures(sets={"a": told, "b": untold})
    tags = pretraining_tags(both, ["emodb"])
    assert tags["corpus_in_pretraining"] == "unknown"
    assert re.fullmatch(rf"{re.escape(name)}, wavlm \(.{{12}}\)", tags["pretrained"])
    assert pretraining_tags(None, ["emodb"]) == {}
