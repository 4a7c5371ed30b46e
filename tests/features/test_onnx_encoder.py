"""An encoder without PyTorch: the same numbers from a file, and no file that is another's."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ser.core.errors import SerError
from ser.features import checkpoint as checkpoints
from ser.features import onnx_encoder, restore, settings
from ser.features.checkpoint import FOLDERS
from ser.features.speech_model import SpeechModelFeatures
from tests.speech_models import KINDS, RATE, make_checkpoint

pytestmark = pytest.mark.extra


@pytest.fixture(scope="module", autouse=True)
def _packages():
    for package, extra in (
        ("torch", "speech"),
        ("transformers", "speech"),
        ("onnxruntime", "onnx"),
    ):
        pytest.importorskip(package, reason=f"needs ser[{extra}]")


@pytest.fixture(scope="module")
def folder(_packages, tmp_path_factory):
    """Has checkpoints, and their exports once they are made."""
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(autouse=True)
def _exports(folder, monkeypatch):
    monkeypatch.setenv("SER_STORE", str(folder / "features.sqlite"))
    onnx_encoder.onnx_encoder_of.cache_clear()


@pytest.fixture(scope="module")
def made(folder):
    return {name: make_checkpoint(name, folder / name) for name in KINDS}


@pytest.fixture
def exported(made, tmp_path, monkeypatch):
    """The file of the tiny HuBERT, alone in a folder of its own, where PyTorch is not installed."""
    heard = SpeechModelFeatures(checkpoint=str(made["hubert"]), backend="onnx")
    heard.check()
    file = next(made["hubert"].parent.glob(f"encoders/{heard.weights}-float32.onnx"))
    monkeypatch.setenv("SER_STORE", str(tmp_path / "features.sqlite"))
    monkeypatch.setenv(FOLDERS, str(tmp_path))
    for module in (checkpoints, onnx_encoder):
        monkeypatch.setattr(module, "is_installed", lambda: False)
    onnx_encoder.onnx_encoder_of.cache_clear()
    return Path(shutil.copy(file, tmp_path))


def clip(seconds):
    rng = np.random.default_rng(1)
    return (0.1 * rng.standard_normal(round(seconds * RATE))).astype(np.float32)


@pytest.mark.parametrize("name", KINDS)
def test_onnx_says_what_pytorch_says_under_the_same_key(made, name):
    told = {"checkpoint": str(made[name]), "piece": 2.0}
    torch = SpeechModelFeatures(**told, precision="float32")
    onnx = SpeechModelFeatures(**told, backend="onnx")
    assert settings(onnx) == settings(torch)
    for seconds in (0.05, 0.7, 3.1):  # shorter than what is heard, one piece, two
        y = clip(seconds)
        expected = torch(y, RATE)
        np.testing.assert_allclose(onnx(y, RATE), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["whisper", "wavlm"])
def test_int8_is_another_set_that_says_nearly_the_same(made, name):
    whole = SpeechModelFeatures(checkpoint=str(made[name]), backend="onnx")
    small = SpeechModelFeatures(checkpoint=str(made[name]), precision="int8")
    assert small.backend == "onnx" and settings(small) != settings(whole)
    vector, other = small(clip(0.7), RATE), whole(clip(0.7), RATE)
    assert np.corrcoef(vector, other)[0, 1] > 0.99 and np.any(vector != other)


def test_model_is_served_by_the_file_alone(made, exported):
    trained = SpeechModelFeatures(checkpoint=str(made["hubert"]), backend="onnx")
    served = restore(json.loads(json.dumps(settings(trained))))
    assert (served.backend, served.names) == ("onnx", trained.names)
    served.check()
    np.testing.assert_array_equal(served(clip(0.7), RATE), trained(clip(0.7), RATE))


def _flipped(data):
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _of_another_format(data):
    whole = data + onnx_encoder._entry("ser", json.dumps({"format": 99}))
    return whole + onnx_encoder._entry("sha256", hashlib.sha256(whole).hexdigest())


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (_flipped, "onnx is damaged, or no encoder that ser has exported: delete it"),
        (lambda data: data[:-100], "is damaged"),
        (lambda data: b"\x08\x08:\x00", "is damaged"),
        (lambda data: b"", "is empty or larger than 2 GB"),
        (_of_another_format, r"cannot be read by this ser and ONNX Runtime \(format 99\)"),
    ],
)
def test_file_that_is_damaged_or_foreign_is_refused_before_a_clip_is_read(
    made, exported, broken, message
):
    exported.write_bytes(broken(exported.read_bytes()))
    with pytest.raises(SerError, match=message):
        SpeechModelFeatures(checkpoint=str(made["hubert"]), backend="onnx").check()


def test_weights_that_lie_beside_the_file_are_not_read(exported, tmp_path, monkeypatch):
    import onnx

    monkeypatch.chdir(tmp_path)
    np.ones(4, np.float32).tofile("weights.bin")
    weights = onnx.TensorProto(name="w", data_type=1, dims=[4], data_location=1)
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", "16")):
        weights.external_data.add(key=key, value=value)
    said = onnx.helper.make_tensor_value_info("total", 1, [4])
    node = onnx.helper.make_node("Identity", ["w"], ["total"])
    graph = onnx.helper.make_graph([node], "g", [], [said], [weights])
    versions = {"opset_imports": [onnx.helper.make_opsetid("", 17)], "ir_version": 8}
    whole = onnx.helper.make_model(graph, **versions).SerializeToString()
    whole += onnx_encoder._entry("sha256", hashlib.sha256(whole).hexdigest())
    with pytest.raises(SerError, match=r"cannot be read by this ser.*External data path"):
        onnx_encoder.OnnxEncoder(whole, "A file")


def test_file_under_the_name_of_other_weights_is_refused(made, exported, tmp_path):
    other = SpeechModelFeatures(checkpoint=str(made["whisper"]), backend="onnx")
    shutil.copy(exported, tmp_path / f"{other.weights}-float32.onnx")
    with pytest.raises(SerError, match=r"was made of other weights than its name says \(SHA-256"):
        other.check()


def test_no_file_and_nothing_to_make_one_with(made, exported):
    shutil.move(exported, f"{exported}.aside")
    known = SpeechModelFeatures(checkpoint=str(made["hubert"]), backend="onnx")
    with pytest.raises(
        SerError, match=rf"There is no {known.weights}-float32.onnx in .*ser\[onnx,speech"
    ):
        known.check()
    with pytest.raises(
        SerError, match=rf"There is no {known.weights}.* name its folder with {FOLDERS}="
    ):
        restore(settings(known)).check()


def test_folder_that_cannot_be_written_is_named(made, tmp_path, monkeypatch):
    (tmp_path / "encoders").touch()
    monkeypatch.setenv("SER_STORE", str(tmp_path / "features.sqlite"))
    with pytest.raises(SerError, match=r"encoders/.*-float32\.onnx cannot be written: File exists"):
        SpeechModelFeatures(checkpoint=str(made["hubert"]), backend="onnx").check()


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"backend": "tensorflow"}, "features.backend='tensorflow': give torch or onnx"),
        ({"backend": "onnx", "precision": "bfloat16"}, "backend=onnx has float32 and int8"),
        ({"backend": "torch", "precision": "int8"}, "backend=torch has float32 and bfloat16"),
        ({"precision": "float16"}, "features.precision=float16: .* has float32 and bfloat16"),
    ],
)
def test_what_no_backend_has(made, told, message):
    with pytest.raises(SerError, match=message):
        SpeechModelFeatures(checkpoint=str(made["hubert"]), **told)


def test_without_a_package(made, exported, monkeypatch):
    told = {"checkpoint": str(made["hubert"])}
    with pytest.raises(SerError, match=r"features\.precision=bfloat16: features.backend=onnx"):
        SpeechModelFeatures(**told, precision="bfloat16")  # a model that PyTorch was asked for
    with pytest.raises(SerError, match="need PyTorch and transformers"):
        SpeechModelFeatures(checkpoint="nobody/nothing", backend="onnx", download=False)
    monkeypatch.setattr(onnx_encoder, "find_spec", lambda _name: None)
    with pytest.raises(SerError, match=r"ONNX Runtime: pip install 'ser\[onnx\]'"):
        SpeechModelFeatures(**told, backend="onnx")
