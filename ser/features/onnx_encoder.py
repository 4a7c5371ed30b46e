"""A speech encoder as one ONNX file: what a machine without PyTorch serves a model with.

The file has the graph from `Hearing`'s output to the sums over frames of every layer, the weights,
how a clip is brought to it, and the SHA-256 of the checkpoint that it was made of. It ends with the
SHA-256 of all before: no file that is damaged or cut is read.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ser.core.errors import SerError
from ser.core.process import temporary_folder, writing
from ser.features.checkpoint import FOLDERS, in_folder, is_installed
from ser.features.encoder import Encoder
from ser.features.hearing import Hearing

LARGEST = 2**31 - 1  # bytes: no ONNX file is larger
TOLERANCE = 1e-3  # of float32 sums beside PyTorch's, by the largest of all layers
_FORMAT = 1
_WEIGHTS_BESIDE = "session.model_external_initializers_file_folder_path"
_HEARD, _OWN, _SAID = "heard", "n_own", ["n_frames", "total", "squares"]


class OnnxEncoder:
    """An exported encoder: one clip at a time, on one thread.

    Parameters
    ----------
    whole : bytes
        Of the file.
    name : str
        Of the file, in errors.

    Raises
    ------
    SerError
        If it is damaged, or no encoder that this ser and ONNX Runtime can read.
    """

    def __init__(self, whole: bytes, name: str) -> None:
        import onnxruntime

        end = len(_entry("sha256", "0" * 64))
        if whole[-end:] != _entry("sha256", hashlib.sha256(whole[:-end]).hexdigest()):
            raise SerError(f"{name} is damaged, or no encoder that ser has exported: delete it.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised
        # Weights beside the file are not read: there is no folder of this name.
        options.add_session_config_entry(_WEIGHTS_BESIDE, os.devnull)
        try:
            self._session = onnxruntime.InferenceSession(
                whole, options, providers=["CPUExecutionProvider"]
            )
            told = json.loads(self._session.get_modelmeta().custom_metadata_map["ser"])
            if told["format"] != _FORMAT:
                raise ValueError(f"format {told['format']}")
            self.of = (str(told["weights"]), str(told["precision"]))
            self._hearing = Hearing(**told["hearing"])
        except Exception as error:  # ONNX Runtime has its own kinds
            first = str(error).strip().split("\n")[0]
            raise SerError(
                f"{name} cannot be read by this ser and ONNX Runtime ({first}): delete it."
            ) from error

    def moments(self, y: np.ndarray, tail: float) -> tuple[int, np.ndarray, np.ndarray]:
        """As `ser.features.encoder.Encoder.moments`."""
        heard, n_own = self._hearing(y[None], tail)
        n, total, squares = self._session.run(_SAID, {_HEARD: heard, _OWN: np.array(n_own)})
        return int(n), total, squares


def check_runtime() -> None:
    """Refuse to go on without ONNX Runtime, which is not imported here.

    Raises
    ------
    SerError
    """
    if not is_runtime_installed():
        raise SerError("features.backend=onnx needs ONNX Runtime: pip install 'ser[onnx]'.")


def is_runtime_installed() -> bool:
    """Whether ONNX Runtime is."""
    return find_spec("onnxruntime") is not None


@lru_cache(maxsize=2)
def onnx_encoder_of(weights: str, folder: str, precision: str) -> OnnxEncoder:
    """The exported encoder of these weights: loaded once in a process, exported where it is not.

    Parameters
    ----------
    weights : str
        `Checkpoint.digest`.
    folder : str
        Where the checkpoint is; empty if only its export is needed.
    precision : {"float32", "int8"}

    Raises
    ------
    SerError
        If there is no file, and none can be made.
    """
    name = f"{weights}-{precision}.onnx"
    places = [place / name for place in _places()]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        looked = ", ".join(str(place.parent) for place in places)
        missing = f"There is no {name} in {looked}: bring it from where it was exported to one"
        if not folder:
            raise SerError(f"{missing}, or name its folder with {FOLDERS}=FOLDER.")
        if not (is_installed() and find_spec("onnx")):
            raise SerError(f"{missing}, or make it here: pip install 'ser[onnx,speech]'.")
        file = places[-1]
        _export(folder, weights, precision, file)
    found = OnnxEncoder(_read(file), str(file))
    if found.of != (weights, precision):
        raise SerError(
            f"{file} was made of other weights than its name says (SHA-256 {found.of[0]}, "
            f"{found.of[1]}): delete it."
        )
    return found


def _places() -> Iterator[Path]:
    """Folders that may have exported encoders; the last is where they are written."""
    from ser.core.paths import feature_store

    for told in filter(None, os.environ.get(FOLDERS, "").split(os.pathsep)):
        yield Path(told).expanduser()
    yield feature_store().parent / "encoders"


def _export(folder: str, weights: str, precision: str, file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with writing(file) as part:
            part.touch()  # refused before the work
            part.write_bytes(_exported(Encoder(in_folder(folder, weights)), weights, precision))
    except OSError as error:
        raise SerError(f"{file} cannot be written: {error.strerror or error}.") from error
    size = file.stat().st_size / 1e6
    print(f"Exported the encoder to {file} ({size:.0f} MB).", file=sys.stderr)


def _exported(encoder: Encoder, weights: str, precision: str) -> bytes:
    """The whole file."""
    with temporary_folder() as made, _quiet():
        graph = Path(made, "float32.onnx")
        _write_graph(encoder, graph)
        whole = (_quantized(graph) if precision == "int8" else graph).read_bytes()
    told = {
        "format": _FORMAT,
        "weights": weights,
        "precision": precision,
        "hearing": asdict(encoder.hearing),
    }
    whole += _entry("ser", json.dumps(told))
    whole += _entry("sha256", hashlib.sha256(whole).hexdigest())
    if precision == "float32":
        _compare(encoder, OnnxEncoder(whole, "The export"))
    return whole


def _write_graph(encoder: Encoder, file: Path) -> None:
    """The encoder with its sums over frames, as ONNX."""
    import torch

    class Moments(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = encoder.model

        def forward(self, heard: Any, n_own: Any) -> tuple[Any, Any, Any]:
            frames = torch.stack(encoder.hidden(heard))[:, 0, :n_own].double()
            n_frames = torch.ones_like(frames[0, :, 0]).sum()
            return n_frames, frames.sum(1), (frames**2).sum(1)

    size = sum(weight.numel() for weight in encoder.model.parameters()) * 4
    if size > LARGEST:
        raise SerError(
            f"features.backend=onnx: {encoder.checkpoint.folder} has {size / 1e9:.1f} GB of "
            "weights, and an ONNX file holds 2 GB: take features.backend=torch."
        )
    encoder.model.cpu()
    heard, n_own = map(torch.as_tensor, encoder.hearing(_noise(1.0)[None], 0.5))
    torch.onnx.export(
        Moments().eval(),
        (heard, n_own),
        file,
        input_names=[_HEARD, _OWN],
        output_names=_SAID,
        dynamic_axes={_HEARD: {heard.ndim - 1: "time"}},
        opset_version=17,
        dynamo=False,  # the other exporter needs another package
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """No advice of the exporters': `_compare` looks at what comes out."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _noise(seconds: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.1 * rng.standard_normal(round(seconds * 16_000))).astype(np.float32)


def _compare(encoder: Encoder, exported: OnnxEncoder) -> None:
    """Refuse an export that says something else of a clip than PyTorch."""
    for seconds in (0.3, 2.7):  # not as long as what was traced
        y = _noise(seconds)
        said = [map(np.asarray, of.moments(y, 0.5)) for of in (exported, encoder)]
        for one, other in zip(*said, strict=True):
            if not np.abs(one - other).max() <= TOLERANCE * np.abs(other).max():
                raise SerError(
                    f"{encoder.checkpoint.folder} cannot be exported: its ONNX graph says "
                    "something else of a clip than PyTorch. Take features.backend=torch."
                )


def _quantized(graph: Path) -> Path:
    """The weights of its matrix products as 8-bit integers."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = graph.with_name("int8.onnx")
    quantize_dynamic(
        graph,
        small,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
    )
    return small


def _read(file: Path) -> bytes:
    try:
        if not 0 < file.stat().st_size <= LARGEST:
            raise SerError(f"{file} is empty or larger than 2 GB: no encoder of ser's. Delete it.")
        return file.read_bytes()
    except OSError as error:
        raise SerError(f"{file} cannot be read: {error.strerror or error}.") from error


def _entry(key: str, value: str) -> bytes:
    """A ModelProto's metadata_props as protobuf has it: it may stand behind all others."""
    return b"r" + _sized(b"\x0a" + _sized(key.encode()) + b"\x12" + _sized(value.encode()))


def _sized(data: bytes) -> bytes:
    size, left = b"", len(data)
    while left > 127:
        size, left = size + bytes([128 + left % 128]), left // 128
    return size + bytes([left]) + data
