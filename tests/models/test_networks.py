"""Networks: that they learn, stop by actors that do not train, come again, and survive a kill."""

import os
import signal
import subprocess
import sys

import librosa
import numpy as np
import pytest
from sklearn.base import clone

from ser.core.errors import SerError
from ser.features.logmel import LogMelFeatures
from ser.models.networks import training
from ser.models.networks.classifier import NetClassifier
from ser.models.pipeline import build_pipeline
from ser.models.trained import TrainedModel, load_model, save_model

MELS, FRAMES = 16, 24
ARCHITECTURES = "ser.models.networks.architectures"
SMALL = {
    "n_mels": MELS,
    "network": {"_target_": f"{ARCHITECTURES}.CNN", "width": 4},
    "epochs": 8,
    "batch_size": 16,
    "time_mask": 4,
    "frequency_mask": 2,
    "time_shift": 2,
    "mixup": 0.0,
    "learning_rate": 0.01,
    "device": "cpu",
}


def patterns(n_clips=90, *, seed=0):
    """Three emotions, each a ridge at its own height, in noise; six actors."""
    rng = np.random.default_rng(seed)
    y = np.arange(n_clips) % 3
    X = rng.normal(-60, 5, size=(n_clips, FRAMES, MELS)).astype(np.float32)
    for clip, emotion in enumerate(y):
        X[clip, :, 3 + 4 * emotion] += 25
    return X.reshape(n_clips, -1), np.array(["angry", "happy", "sad"])[y], np.arange(n_clips) // 15


pytestmark = pytest.mark.extra


@pytest.fixture(scope="module", autouse=True)
def _deep():
    pytest.importorskip("torch", reason="needs ser[deep]")
    pytest.importorskip("skorch", reason="needs ser[deep]")


def test_logmel_equals_librosa():
    rng = np.random.default_rng(0)
    y = (0.2 * rng.normal(size=24_000) * np.hanning(24_000)).astype(np.float32)
    y[:8000] *= 0.05
    features = LogMelFeatures(seconds=1.0)
    from ser.features.level import trim

    S = librosa.feature.melspectrogram(
        y=trim(y, 16_000), sr=16_000, n_fft=640, hop_length=320, n_mels=64, pad_mode="constant"
    )
    expected = librosa.power_to_db(S).T
    found = features(y, 16_000).reshape(50, 64)
    start = max(0, (len(expected) - 50) // 2)
    expected = expected[start : start + 50]
    np.testing.assert_allclose(found[: len(expected)], expected, atol=0.02)
    assert features.names[65] == "mel_01_at_0020"


def test_short_clip_is_followed_by_the_floor():
    y = np.sin(np.arange(8000) / 5).astype(np.float32)
    picture = LogMelFeatures(seconds=2.0)(y, 16_000).reshape(100, 64)
    assert (picture[60:] == picture.min()).all()
    assert picture[10].max() > picture.min() + 40


@pytest.mark.parametrize("network", ["CNN", "LSTM", "CRNN"])
def test_network_learns_patterns_and_its_losses_fall(network):
    X, y, actors = patterns()
    model = NetClassifier(**SMALL).set_params(network___target_=f"{ARCHITECTURES}.{network}")
    model.fit(X, y, groups=actors)
    new, answers, _ = patterns(30, seed=1)
    assert model.score(new, answers) > 0.8
    np.testing.assert_allclose(model.predict_proba(new).sum(axis=1), 1)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert len(model.validation_loss_curve_) == model.n_epochs_ == len(model.loss_curve_)


def test_training_stops_by_actors_that_do_not_train():
    X, y, actors = patterns()
    target = np.unique(y, return_inverse=True)[1]
    train, held_out = NetClassifier(validation=0.3)._training_rows(target, actors)
    assert not set(actors[train]) & set(actors[held_out])
    assert len(set(actors[held_out])) == 2
    shuffled = np.random.default_rng(0).permutation(y)  # nothing to learn: it must stop early
    model = NetClassifier(**{**SMALL, "epochs": 60, "patience": 3}).fit(X, shuffled, groups=actors)
    assert model.n_epochs_ < 60
    best = int(np.argmin(model.validation_loss_curve_))
    assert model.n_epochs_ == best + 1 + 3


def test_same_seed_same_predictions_and_no_state_left():
    import torch

    X, y, actors = patterns()
    settings = {**SMALL, "epochs": 3, "mixup": 0.3}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = NetClassifier(**settings, random_state=1).fit(X, y, groups=actors).predict_proba(X)
    assert torch.equal(torch.rand(3), expected)
    again = NetClassifier(**settings, random_state=1).fit(X, y, groups=actors).predict_proba(X)
    other = NetClassifier(**settings, random_state=2).fit(X, y, groups=actors).predict_proba(X)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_masks_are_for_training_alone():
    import torch

    from ser.models.networks.training import mask_blocks

    torch.manual_seed(0)
    x = torch.ones(FRAMES, MELS)
    blanked = [(mask_blocks(x, {"time": 6, "frequency": 3, "shift": 0}) == 0) for _ in range(50)]
    assert max(int(mask.all(dim=1).sum()) for mask in blanked) == 6
    assert max(int(mask.all(dim=0).sum()) for mask in blanked) == 3
    assert torch.equal(mask_blocks(x, {"time": 0, "frequency": 0, "shift": 4}), x)
    X, y, _ = patterns()
    model = NetClassifier(**{**SMALL, "epochs": 1}).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(X))


def test_saved_network_is_the_fitted_one(tmp_path):
    X, y, actors = patterns()
    pipeline = build_pipeline({"classifier": NetClassifier(**{**SMALL, "epochs": 2})}, seed=0)
    pipeline.fit(X, y, classifier__groups=actors)
    save_model(TrainedModel(pipeline, LogMelFeatures(), False), tmp_path)
    loaded = load_model(tmp_path)  # which trusts no type that could run code
    np.testing.assert_array_equal(loaded.pipeline.predict_proba(X), pipeline.predict_proba(X))


PLUGIN = """
from torch import nn

class Linear(nn.Module):
    def __init__(self, *, n_mels, n_classes, sizes, name="plain"):
        super().__init__()
        layers = [nn.Linear(before, after) for before, after in zip([n_mels, *sizes], sizes)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], n_classes))

    def forward(self, x):
        return self.layers(x.mean(dim=1))
"""


def test_network_of_ones_own_package_with_arguments_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    network = {"_target_": "my_networks.Linear", "sizes": [12, 8]}
    X, y, actors = patterns()
    model = NetClassifier(**{**SMALL, "network": network, "epochs": 40, "patience": 0})
    assert model.plugin_modules == ("my_networks",)
    assert NetClassifier(**SMALL).plugin_modules == ()
    pipeline = build_pipeline({"classifier": clone(model)}, seed=0)
    pipeline.set_params(classifier__network__sizes=[6], classifier__network__name="mine")
    assert model.get_params()["network__sizes"] == [12, 8]
    pipeline.fit(X, y, classifier__groups=actors)
    weights = pipeline[-1].weights_
    assert weights["layers.0.weight"].shape == (6, MELS)
    assert weights["layers.1.weight"].shape == (3, 6)
    assert pipeline.score(X, y) > 0.8
    save_model(TrainedModel(pipeline, LogMelFeatures(), False), tmp_path / "model")
    loaded = load_model(tmp_path / "model", trust=["*"])
    np.testing.assert_array_equal(loaded.pipeline.predict_proba(X), pipeline.predict_proba(X))
    assert loaded.pipeline[-1].network == {**network, "sizes": [6], "name": "mine"}


def test_model_of_version_0_1_is_read_as_todays():
    X, y, actors = patterns()
    model = NetClassifier(**{**SMALL, "epochs": 2}).fit(X, y, groups=actors)
    model.set_params(network__dropout=0.3)
    old = NetClassifier.__new__(NetClassifier)
    old.__setstate__(vars(model) | {"network": "cnn", "width": 4, "dropout": 0.3})
    assert old.get_params() == model.get_params() and not hasattr(old, "width")
    np.testing.assert_array_equal(old.predict_proba(X), model.predict_proba(X))


FIT = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from test_networks import SMALL, patterns
from ser.models.networks import training
from ser.models.networks.classifier import NetClassifier

class Killed(training.TrainingCallback):
    def on_epoch_begin(self, net, **more):
        super().on_epoch_begin(net, **more)
        if len(self.losses) == 20:
            os.kill(os.getpid(), signal.SIGKILL)

training.TrainingCallback = Killed
X, y, actors = patterns()
settings = {{**SMALL, "epochs": 60, "patience": 0, "mixup": 0.2, "checkpoints": {folder!r}}}
NetClassifier(**settings).fit(X, y, groups=actors)
"""


def test_killed_training_goes_on_to_the_same_weights(tmp_path):
    X, y, actors = patterns()
    settings = {**SMALL, "epochs": 60, "patience": 0, "mixup": 0.2}
    code = FIT.format(tests=os.path.dirname(__file__), folder=str(tmp_path))  # noqa: PTH120
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    (file,) = tmp_path.glob("*.pt")
    import torch

    assert len(torch.load(file, weights_only=True)["losses"]) == 20
    resumed = NetClassifier(**settings, checkpoints=str(tmp_path)).fit(X, y, groups=actors)
    whole = NetClassifier(**settings).fit(X, y, groups=actors)
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))
    assert resumed.loss_curve_ == whole.loss_curve_
    assert not list(tmp_path.glob("*.pt"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_training_is_no_model_and_goes_on_to_the_same_weights(
    tmp_path, monkeypatch, number
):
    X, y, actors = patterns()
    settings = {**SMALL, "epochs": 6, "patience": 0}
    begin = training.TrainingCallback.on_epoch_begin
    before = signal.signal(number, signal.default_int_handler)

    def interrupt(self, net, **more):
        begin(self, net, **more)
        if len(self.losses) == 2:
            signal.raise_signal(number)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training.TrainingCallback, "on_epoch_begin", interrupt)
        NetClassifier(**settings, checkpoints=str(tmp_path)).fit(X, y, groups=actors)
    signal.signal(number, before)
    assert len(list(tmp_path.glob("*.pt"))) == 1
    resumed = NetClassifier(**settings, checkpoints=str(tmp_path)).fit(X, y, groups=actors)
    whole = NetClassifier(**settings).fit(X, y, groups=actors)
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))
    assert resumed.n_epochs_ == 6


def test_torn_checkpoint_starts_anew(tmp_path):
    X, y, _ = patterns()
    model = NetClassifier(**{**SMALL, "epochs": 2}, checkpoints=str(tmp_path))
    whole = model.fit(X, y).predict_proba(X)
    Xs = (model._frames(X) - model.mean_) / model.scale_
    target = np.unique(y, return_inverse=True)[1]
    file = model._checkpoint(Xs, target, model._training_rows(target, None)[0])
    file.write_bytes(b"torn")
    np.testing.assert_array_equal(model.fit(X, y).predict_proba(X), whole)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_mels": 7}, "features=logmel"),
        (
            {"network": {"_target_": f"{ARCHITECTURES}.Transformer"}},
            "Transformer cannot be",
        ),
        (
            {"network": {"_target_": "no_such_package.Net"}},
            r"no_such_package\.Net cannot be",
        ),
        ({"network": {"_target_": "os.system"}}, r"os\.system is no class of torch\.nn\.Module"),
        ({"network": {"width": 4}}, r"_target_=None cannot be imported"),
        ({"network": {**SMALL["network"], "depth": 3}}, r"does not take .*'depth'"),
        ({"validation": 0.999}, "validation"),
    ],
)
def test_network_refuses(settings, message):
    X, y, actors = patterns()
    with pytest.raises(SerError, match=message):
        NetClassifier(**{**SMALL, **settings}).fit(X, y, groups=actors)


def test_missing_gpu_is_said():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    X, y, _ = patterns()
    with pytest.raises(SerError, match="device=cuda"):
        NetClassifier(**{**SMALL, "device": "cuda"}).fit(X, y)


def test_train_logs_both_losses_of_every_epoch(run_here, demo_root, client, tmp_path):
    run_here(
        "data=demo",
        f"data.root={demo_root}",
        "data.speakers=4",
        "model=cnn",
        "cv.n_splits=2",
        "curves=none",
        "model.classifier.epochs=2",
        f"model.classifier.checkpoints={tmp_path}/checkpoints",
        "model.classifier.network.width=4",
    )
    (run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    for name in ("epoch_train_loss", "epoch_validation_loss"):
        steps = client.get_metric_history(run.info.run_id, name)
        assert [metric.step for metric in steps] == [1, 2]
    assert run.data.tags["features"] == "logmel"
    figures = [file.path for file in client.list_artifacts(run.info.run_id, "figures")]
    assert "figures/loss_curve.png" in figures


def test_one_actor_is_stopped_by_clips():
    target, actor = np.tile([0, 1], 20), np.zeros(40)
    with pytest.warns(UserWarning, match="its only actor"):
        train, validation = NetClassifier()._training_rows(target, actor)
    assert len(train) == 34 and len(validation) == 6
