"""Fine-tuned speech encoders: what learns and what does not, what is kept, and what is refused."""

import io
import pickle
import re
import shutil
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from ser.core.errors import SerError
from ser.features.checkpoint import FOLDERS
from ser.features.encoder import load_model as load_encoder
from ser.features.pretraining import Pretraining, pretraining_tags
from ser.features.speech_model import SpeechModelFeatures
from ser.features.waveform import FRAME, WaveformFeatures
from ser.models.networks.fine_tuning import FineTunedEncoder
from ser.models.pipeline import build_pipeline
from ser.models.trained import TrainedModel, load_model, save_model
from tests.speech_models import KINDS, RATE, layers_by_transformers, make_checkpoint

pytestmark = pytest.mark.extra
SMALL = {
    "epochs": 4,
    "batch_size": 8,
    "n_layers": 1,
    "learning_rate": 1e-3,
    "head_learning_rate": 0.02,
    "device": "cpu",
}
WAVEFORM = WaveformFeatures(seconds=0.6)


@pytest.fixture(scope="module", autouse=True)
def _speech():
    for package in ("torch", "skorch", "transformers"):
        pytest.importorskip(package, reason="needs ser[deep,speech]")


@pytest.fixture(scope="module")
def checkpoints(_speech, tmp_path_factory):
    """Name -> folder of a tiny random checkpoint of every kind."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return {name: make_checkpoint(name, folder / name) for name in KINDS}


def tones(n_clips=36, *, seed=0):
    """Three emotions, each a pitch of its own, in noise; six actors; clips of unlike lengths."""
    rng = np.random.default_rng(seed)
    emotion = np.arange(n_clips) % 3
    X = []
    for number in emotion:
        n_samples = rng.integers(3000, 9600)
        y = np.sin(2 * np.pi * (200, 700, 2500)[number] * np.arange(n_samples) / RATE)
        y = 0.2 * y + 0.01 * rng.standard_normal(n_samples)
        X.append(WAVEFORM(y.astype(np.float32), RATE))
    return np.stack(X), np.array(["angry", "happy", "sad"])[emotion], np.arange(n_clips) // 6


def tuned(folder, **settings):
    encoder = SpeechModelFeatures(checkpoint=str(folder), precision="float32")
    return FineTunedEncoder(encoder, **{**SMALL, **settings})


def test_waveform_is_the_clip_and_how_much_of_it_is_one():
    y = (0.1 * np.random.default_rng(0).standard_normal(5000)).astype(np.float32)
    vector = WAVEFORM(y, RATE)
    assert len(vector) == len(WAVEFORM.names) == 1 + 30 * FRAME
    assert vector[0] == np.ceil(5000 / FRAME)
    np.testing.assert_allclose(vector[1:5001], y, rtol=1e-3)
    assert not vector[5001:].any()
    np.testing.assert_array_equal(vector, vector.astype(WAVEFORM.stored))
    long = np.r_[np.full(RATE, 0.1), np.full(2 * FRAME, 0.9), np.full(RATE, 0.1)].astype("f")
    kept = WAVEFORM(long, RATE)[1:]
    assert (kept > 0.5).nonzero()[0].mean() == pytest.approx(len(kept) / 2, abs=1)
    t = np.arange(3 * RATE) / (3 * RATE)
    tone = (0.1 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    assert np.corrcoef(WAVEFORM(tone, 3 * RATE), WAVEFORM(tone[::3], RATE))[0, 1] > 0.99


@pytest.mark.parametrize("name", ["wavlm", "whisper", "wav2vec2-layer-norm"])
@pytest.mark.parametrize("rank", [None, 2])
def test_losses_fall_and_what_is_frozen_does_not_change_by_a_bit(checkpoints, name, rank):
    import torch

    X, y, actors = tones()
    model = tuned(checkpoints[name], rank=rank, epochs=6).fit(X, y, groups=actors)
    assert model.loss_curve_[-1] < 0.9 * model.loss_curve_[0]
    assert len(model.validation_loss_curve_) == model.n_epochs_
    before = load_encoder(model.encoder.found).state_dict()
    module = model._fitted_module()
    after = module.encoder.state_dict()
    names = [key for key in module.state_dict() if key.startswith("encoder.")]
    of_last = [key for key in names if "layers.1." in key]
    assert names and names == of_last and set(names) < set(model.weights_)
    after = {
        re.sub(r"parametrizations\.weight\.original$", "weight", name): value
        for name, value in after.items()
    }
    after["embed_positions.weight"] = before.get("embed_positions.weight")  # cut to what was heard
    moved = {f"encoder.{name}" for name in before if not torch.equal(after[name], before[name])}
    if rank is None:
        assert moved == set(names)
    else:
        assert not moved and len(names) == 4
        assert all(key.rpartition(".")[2] in ("up", "down") for key in names)
        assert all(np.abs(model.weights_[key]).max() > 0 for key in names)


def test_emotions_are_learned(checkpoints):
    X, y, actors = tones(60)
    model = tuned(checkpoints["wavlm"], n_layers=None, epochs=15).fit(X, y, groups=actors)
    new, answers, _ = tones(30, seed=1)
    assert model.score(new, answers) > 0.6  # a third by chance


@pytest.mark.parametrize("name", KINDS)
def test_clips_are_heard_as_alone_whatever_is_in_their_batch(checkpoints, name):
    X, y, _ = tones(24)
    model = tuned(checkpoints[name], epochs=1, validation=0).fit(X, y)
    together = model.predict_proba(X)
    one_by_one = np.concatenate([model.predict_proba(x[None]) for x in X])
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)
    wider = np.pad(X, ((0, 0), (0, 20 * FRAME)))  # behind a clip's end nothing is heard
    np.testing.assert_allclose(model.predict_proba(wider), together, atol=1e-5)


def test_untrained_it_hears_what_transformers_does(checkpoints):
    import torch

    y = (0.1 * np.random.default_rng(0).standard_normal(20 * FRAME)).astype(np.float32)
    X = np.r_[20, y].astype(np.float32)[None]
    model = tuned(checkpoints["wavlm"])
    model.classes_ = np.array(["a", "b"])
    with torch.inference_mode():
        pooled = model._module().eval()._pooled(X[:, 1:], np.array([20])).numpy()[0]
    layers = layers_by_transformers(checkpoints["wavlm"], y)
    normal = [(x - x.mean(1, keepdims=True)) / (x.std(1, keepdims=True) + 1e-9) for x in layers]
    mixed = np.mean(normal, axis=0)
    np.testing.assert_allclose(pooled, np.r_[mixed.mean(0), mixed.std(0)], atol=2e-3)


def test_same_seed_same_answers(checkpoints):
    X, y, actors = tones(24)
    first, again, other = (
        tuned(checkpoints["whisper"], epochs=2, random_state=seed).fit(X, y, groups=actors)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))
    assert np.abs(first.predict_proba(X) - other.predict_proba(X)).max() > 1e-4


FIT = """
import os, signal, sys
sys.path[:0] = {paths!r}
from tests.models.test_finetune import tones, tuned
from ser.models.networks import training

class Killed(training.TrainingCallback):
    def on_epoch_begin(self, net, **more):
        super().on_epoch_begin(net, **more)
        if len(self.losses) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

training.TrainingCallback = Killed
X, y, actors = tones(24)
tuned({checkpoint!r}, patience=0, checkpoints={folder!r}).fit(X, y, groups=actors)
"""


def test_killed_training_goes_on_to_the_same_answers(checkpoints, tmp_path):
    import torch

    X, y, actors = tones(24)
    checkpoint = str(checkpoints["wav2vec2"])
    code = FIT.format(paths=sys.path, checkpoint=checkpoint, folder=str(tmp_path))
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    (file,) = tmp_path.glob("*.pt")
    kept = torch.load(file, weights_only=True)
    assert len(kept["losses"]) == 3
    assert not [name for name in kept["weights"] if "layers.0." in name]  # frozen
    resumed = tuned(checkpoint, patience=0, checkpoints=str(tmp_path)).fit(X, y, groups=actors)
    whole = tuned(checkpoint, patience=0).fit(X, y, groups=actors)
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))
    assert resumed.loss_curve_ == whole.loss_curve_ and not list(tmp_path.glob("*.pt"))


@pytest.mark.parametrize("rank", [None, 2])
def test_saved_model_has_what_was_learned_and_finds_its_encoder(
    checkpoints, tmp_path, monkeypatch, rank
):
    X, y, actors = tones(24)
    home = shutil.copytree(checkpoints["hubert"], tmp_path / "at-home")
    pipeline = build_pipeline({"classifier": tuned(home, rank=rank, epochs=1)}, seed=0)
    pipeline.fit(X, y, classifier__groups=actors)
    proba = pipeline.predict_proba(X)
    sent = pickle.loads(pickle.dumps(pipeline))  # to a worker, on this machine
    np.testing.assert_array_equal(sent.predict_proba(X), proba)
    save_model(TrainedModel(pipeline, WAVEFORM, False), tmp_path / "model")
    data = (tmp_path / "model" / "pipeline.skops").read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = archive.read("schema.json").decode()
    assert "at-home" not in schema and pipeline[-1].encoder.weights in schema
    assert "layers.1." in schema and "layers.0." not in schema
    home.rename(tmp_path / "elsewhere")
    monkeypatch.setenv(FOLDERS, str(tmp_path))
    loaded = load_model(tmp_path / "model")  # which trusts no type that could run code
    np.testing.assert_array_equal(loaded.pipeline.predict_proba(X), proba)
    make_checkpoint("hubert", tmp_path / "elsewhere", seed=1)
    with pytest.raises(SerError, match=r"weights that are not here: SHA-256 [0-9a-f]{64}"):
        load_model(tmp_path / "model")


def test_file_does_not_choose_what_is_looked_for(checkpoints):
    state = tuned(checkpoints["hubert"]).__getstate__()
    for more in ({"checkpoint": "somebody/else"}, {"_folder": "/etc"}, {"download": True}):
        with pytest.raises(SerError, match=r"cannot be read with .* in a file"):
            FineTunedEncoder.__new__(FineTunedEncoder).__setstate__(
                {**state, "encoder": {**state["encoder"], **more}}
            )


def test_weights_of_another_model_are_refused(checkpoints):
    X, y, actors = tones(24)
    model = tuned(checkpoints["hubert"], epochs=1).fit(X, y, groups=actors)
    model.check_weights()
    with pytest.raises(ValueError, match="not those of its network"):
        model.set_params(n_layers=2).check_weights()


def test_weights_that_changed_since_are_refused(checkpoints, tmp_path):
    model = tuned(shutil.copytree(checkpoints["hubert"], tmp_path / "home"))
    make_checkpoint("hubert", tmp_path / "home", seed=1)
    X, y, actors = tones(24)
    with pytest.raises(SerError, match="have changed since the run began"):
        model.fit(X, y, groups=actors)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_layers": 3}, "has 2 layers. Give 1 to 2, or null"),
        ({"n_layers": 0}, "has 2 layers. Give 1 to 2, or null"),
        ({"rank": 17}, "rank=17: give 1 to 16"),
        ({"rank": 0}, "rank=0: give 1 to 16"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_a_clip_is_read(checkpoints, settings, message):
    with pytest.raises(SerError, match=message):
        tuned(checkpoints["hubert"], **settings).check()


def test_other_features_are_refused(checkpoints):
    X, y, actors = tones(24)
    model = tuned(checkpoints["hubert"])
    with pytest.raises(SerError, match="features=waveform"):
        model.fit(X[:, 1:], y, groups=actors)
    model.check_columns(X.shape[1], [])
    with pytest.raises(SerError, match="here are 3510 columns"):
        model.check_columns(3510, [])
    with pytest.raises(SerError, match="set scaler=none"):
        model.check_columns(X.shape[1], ["scaler"])


def test_run_is_tagged_by_its_models_pretraining(checkpoints):
    known = Pretraining(data="d", licence="l", source="s", corpora={"demo": "no"})
    encoder = SpeechModelFeatures(checkpoint=str(checkpoints["hubert"]), pretraining=known)
    pipeline = build_pipeline({"classifier": FineTunedEncoder(encoder)}, seed=0)
    tags = pretraining_tags([WAVEFORM, pipeline], ["demo"])
    assert tags == {"pretrained": encoder.title, "corpus_in_pretraining": "no"}
    assert pretraining_tags([WAVEFORM, pipeline], ["emodb"])["corpus_in_pretraining"] == "unknown"
    assert pretraining_tags([WAVEFORM, None], ["emodb"]) == {}


def test_train_tunes_an_encoder_and_its_model_predicts(
    run_here, demo_root, client, checkpoints, tmp_path, monkeypatch
):
    settings = [
        "data=demo",
        f"data.root={demo_root}",
        "data.speakers=4",
        "model=finetune",
        f"model.classifier.encoder.checkpoint={checkpoints['whisper']}",
        "cv.n_splits=2",
        "curves=none",
        "features.seconds=0.4",
        "model.classifier.epochs=1",
        "model.classifier.checkpoints=null",
        "explain=true",
    ]
    for wrong, message in {
        "model.classifier.n_layers=7": "n_layers=7",
        "features=notebook": "features=waveform",
        "model.classifier.encoder.checkpoint=/nowhere": r"^model\.classifier\.encoder\.check",
    }.items():
        words = [word for word in settings if not word.startswith(wrong.partition("=")[0])]
        with pytest.raises(SerError, match=message):
            run_here(*words, wrong)
    run_here(*settings)
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    (run,) = [run for run in runs if run.info.status == "FINISHED"]
    assert run.data.tags["features"] == "waveform"
    assert run.data.tags["corpus_in_pretraining"] == "unknown"
    assert client.get_metric_history(run.info.run_id, "epoch_train_loss")
    assert "explanation.html" in [file.path for file in client.list_artifacts(run.info.run_id)]
