"""Checkpoints of pretrained speech encoders: what they are, their hash, and where it is found.

A checkpoint is a folder as a model hub has it: ``config.json``, ``preprocessor_config.json`` and
weights as safetensors, which cannot run code. A hub's id stands for such a folder in its cache.
What a run keeps of one is the SHA-256 of its weights and of what its config says of them
(`Checkpoint.digest`): never a name, never a path.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ser.core.errors import SerError
from ser.core.paths import meant_instead
from ser.features.hub import of_hub

INSTALL = (
    "Pretrained speech encoders need PyTorch and transformers: pip install 'ser[speech]'. One that "
    "was exported (features.backend=onnx) needs pip install 'ser[onnx]' alone."
)
FOLDERS = "SER_CHECKPOINTS"  # environment: folders that hold checkpoints, or are one
KINDS = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "whisper")  # config.json's model_type
# Of config.json: who wrote it and when, which changes no number.
_NAMES = frozenset(
    {"_name_or_path", "transformers_version", "architectures", "torch_dtype", "dtype"}
)
_HASHES: dict[tuple[str, int, int], str] = {}  # file, size and time of change -> its SHA-256


@dataclass(frozen=True)
class Checkpoint:
    """A folder with an encoder's weights.

    Attributes
    ----------
    folder : Path
    """

    folder: Path

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SerError(
                f"{self.folder / 'config.json'}: model_type {self.kind!r} is none of the speech "
                f"encoders that ser reads: {', '.join(KINDS)}."
            )
        self.weight_files  # noqa: B018  refused here where there are none

    @cached_property
    def config(self) -> dict[str, Any]:
        """What config.json says."""
        return _read_json(self.folder / "config.json")

    @cached_property
    def preprocessing(self) -> dict[str, Any]:
        """What preprocessor_config.json says; empty where there is none."""
        file = self.folder / "preprocessor_config.json"
        return _read_json(file) if file.is_file() else {}

    @property
    def kind(self) -> str:
        """The config's model_type."""
        return str(self.config.get("model_type"))

    @property
    def sr(self) -> int:
        """Sampling rate of what the encoder hears, in Hz."""
        return number_of(self.preprocessing, "sampling_rate", self.folder, default=16_000)

    @property
    def n_layers(self) -> int:
        """Outputs that it has: that of its convolutions or embedding, and of every layer."""
        name = "encoder_layers" if self.kind == "whisper" else "num_hidden_layers"
        return 1 + number_of(self.config, name, self.folder)

    @property
    def width(self) -> int:
        """Numbers in an output's frame."""
        name = "d_model" if self.kind == "whisper" else "hidden_size"
        return number_of(self.config, name, self.folder)

    @cached_property
    def weight_files(self) -> list[Path]:
        """The safetensors files: one, or the pieces that an index names."""
        index = self.folder / "model.safetensors.index.json"
        if index.is_file():
            told = _read_json(index).get("weight_map")
            names = set(map(str, told.values())) if isinstance(told, dict) else set()
            files = [self.folder / Path(name).name for name in sorted(names)]
            if not files:
                raise SerError(f"{index} names no files of weights.")
        else:
            files = [self.folder / "model.safetensors"]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            pickled = sorted(file.name for file in self.folder.glob("*.bin"))
            instead = (
                f" It has {', '.join(pickled)}, a pickle, which may run code when it is read: ser "
                "reads none. Convert it (transformers: save_pretrained), or take a revision with "
                "safetensors."
                if pickled
                else ""
            )
            raise SerError(f"{self.folder} has no {', '.join(missing)}.{instead}")
        return files

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the weights and of what the config says of them, as hexadecimal digits."""
        said = {name: value for name, value in self.config.items() if name not in _NAMES}
        told = {"config": said, "normalized": self.normalized, "sr": self.sr}
        whole = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
        for sha256 in self.hashes.values():
            whole.update(sha256.encode())
        return whole.hexdigest()

    @property
    def hashes(self) -> dict[tuple[str, int, int], str]:
        """Each file of weights, its size and its time of change in ns -> its SHA-256."""
        return {_stamp(file): _sha256(file) for file in self.weight_files}

    @property
    def normalized(self) -> bool:
        """Whether a clip is brought to mean 0 and deviation 1 before the encoder hears it."""
        return bool(self.preprocessing.get("do_normalize", False))


def find(checkpoint: str, *, revision: str | None = None, download: bool = True) -> Checkpoint:
    """A checkpoint by its folder or its hub's id.

    Parameters
    ----------
    checkpoint : str
        A folder, or an id such as ``microsoft/wavlm-base-plus``: looked for in the hub's cache.
    revision : str, optional
        Of an id: a branch, a tag or a commit.
    download : bool
        Whether an id that is not in the cache is fetched.

    Raises
    ------
    SerError
        If it is not there, cannot be fetched or is of no kind that is known.
    """
    folder = Path(checkpoint).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise SerError(f"features.checkpoint={checkpoint}: the folder has no config.json.")
        return Checkpoint(folder)
    if folder.is_absolute() or checkpoint.count("/") != 1 or checkpoint.startswith("."):
        raise SerError(
            f"features.checkpoint={checkpoint} is neither a folder nor an id of a hub (OWNER/NAME)."
            + meant_instead(folder)
        )
    check_installed()  # the hub's library comes with transformers
    return Checkpoint(of_hub(checkpoint, revision, download=download))


def in_folder(folder: str, digest: str) -> Checkpoint:
    """The checkpoint in a folder that was found before.

    Raises
    ------
    SerError
        If the folder has other weights by now.
    """
    found = Checkpoint(Path(folder))
    if found.digest != digest:
        raise SerError(f"The weights in {found.folder} have changed since the run began.")
    return found


def check_installed() -> None:
    """Refuse to go on without PyTorch and transformers, which are not imported here.

    Raises
    ------
    SerError
    """
    if not is_installed():
        raise SerError(INSTALL)


def is_installed() -> bool:
    """Whether PyTorch and transformers are."""
    return all(map(find_spec, ("torch", "transformers")))


def with_digest(digest: str, n_layers: int | None, width: int | None) -> Checkpoint:
    """The checkpoint of these weights: in a folder of SER_CHECKPOINTS, or in the hub's cache.

    Parameters
    ----------
    digest : str
        `Checkpoint.digest`.
    n_layers, width : int or None
        Of the encoder: of others the weights need not be read.

    Raises
    ------
    SerError
        If none of them has it.
    """
    looked = []
    for folder in _known_folders():
        looked.append(str(folder))
        with suppress(SerError):
            checkpoint = Checkpoint(folder)
            same = (checkpoint.n_layers, checkpoint.width) == (n_layers, width)
            if same and checkpoint.digest == digest:
                return checkpoint
    raise SerError(
        f"The model listens through weights that are not here: SHA-256 {digest}. "
        f"{FOLDERS}={os.environ.get(FOLDERS, '')} and the hub's cache have "
        f"{', '.join(looked) or 'no checkpoint'}. Give the folder of its checkpoint with "
        f"{FOLDERS}=FOLDER."
    )


def _known_folders() -> Iterator[Path]:
    """Folders that may be checkpoints: those told, and the snapshots in the hub's cache."""
    for told in filter(None, os.environ.get(FOLDERS, "").split(os.pathsep)):
        folder = Path(told).expanduser()
        for file in sorted({*folder.glob("config.json"), *folder.glob("*/config.json")}):
            yield file.parent
    with suppress(ImportError):
        from huggingface_hub.constants import HF_HUB_CACHE

        for file in sorted(Path(HF_HUB_CACHE).glob("models--*/snapshots/*/config.json")):
            yield file.parent


def _read_json(file: Path) -> dict[str, Any]:
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SerError(f"{file} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise SerError(f"{file} is no JSON: {error}.") from error
    if not isinstance(read, dict):
        raise SerError(f"{file} is no JSON object.")
    return read


def number_of(told: Mapping[str, Any], name: str, folder: Path, default: int | None = None) -> int:
    """A whole number above 0 of a checkpoint's JSON files."""
    value = told.get(name, default)
    if not isinstance(value, int) or value < 1:
        raise SerError(f"{folder}: {name} is {value!r} in its JSON, and no whole number above 0.")
    return value


def know_hashes(hashes: Mapping[tuple[str, int, int], str]) -> None:
    """Take over what another process has computed (`Checkpoint.hashes`)."""
    _HASHES.update(hashes)


def _stamp(file: Path) -> tuple[str, int, int]:
    stat = file.stat()
    return str(file), stat.st_size, stat.st_mtime_ns


def _sha256(file: Path) -> str:
    """Of a file: computed once, until it changes."""
    try:
        stamp = _stamp(file)
        if stamp not in _HASHES:
            with file.open("rb") as opened:
                _HASHES[stamp] = hashlib.file_digest(opened, "sha256").hexdigest()
        return _HASHES[stamp]
    except OSError as error:
        raise SerError(f"{file} cannot be read: {error.strerror or error}.") from error
