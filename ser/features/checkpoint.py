"""Checkpoints of pretrained speech encoders: where they are, what they are, and their hash.

A checkpoint is a folder as a model hub has it: ``config.json``, ``preprocessor_config.json`` and
weights as safetensors, which cannot run code. A hub's id stands for such a folder in its cache.
What a run keeps of one is the SHA-256 of its weights and of what its config says of them
(`Checkpoint.digest`): never a name, never a path.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ser.core.errors import SerError

INSTALL = "Pretrained speech encoders need PyTorch and transformers: pip install 'ser[speech]'."
FOLDERS = "SER_CHECKPOINTS"  # environment: folders that hold checkpoints, or are one
KINDS = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "whisper")  # config.json's model_type
# Of config.json: who wrote it and when, which changes no number.
_NAMES = frozenset(
    {"_name_or_path", "transformers_version", "architectures", "torch_dtype", "dtype"}
)
_BYTES = 1 << 20
_CONVERTER = "SFconvertbot"  # the hub's program that proposes safetensors, under refs/pr/NUMBER
_PR = "refs/pr/"


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
        return int(self.preprocessing.get("sampling_rate", 16_000))

    @property
    def n_layers(self) -> int:
        """Outputs that it has: that of its convolutions or embedding, and of every layer."""
        name = "encoder_layers" if self.kind == "whisper" else "num_hidden_layers"
        return 1 + int(self.config[name])

    @property
    def width(self) -> int:
        """Numbers in an output's frame."""
        return int(self.config["d_model" if self.kind == "whisper" else "hidden_size"])

    @cached_property
    def weight_files(self) -> list[Path]:
        """The safetensors files: one, or the pieces that an index names."""
        index = self.folder / "model.safetensors.index.json"
        if index.is_file():
            names = sorted(set(_read_json(index).get("weight_map", {}).values()))
            files = [self.folder / Path(name).name for name in names]
        else:
            files = [self.folder / "model.safetensors"]
        missing = [file.name for file in files if not file.is_file()]
        if missing or not files:
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
        for file in self.weight_files:
            whole.update(_sha256(str(file), _stamp(file)).encode())
        return whole.hexdigest()

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
        )
    return Checkpoint(_of_hub(checkpoint, revision, download=download))


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
    if not all(map(find_spec, ("torch", "transformers"))):
        raise SerError(INSTALL)


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
        f"The model listens through weights that are not here: SHA-256 {digest}. Looked at "
        f"{', '.join(looked) or 'no folder'}. Give the folder of its checkpoint with "
        f"{FOLDERS}=FOLDER."
    )


def _known_folders() -> Iterator[Path]:
    """Folders that may be checkpoints: those told, and the snapshots in the hub's cache."""
    for told in filter(None, os.environ.get(FOLDERS, "").split(os.pathsep)):
        for file in sorted({*Path(told).glob("config.json"), *Path(told).glob("*/config.json")}):
            yield file.parent
    with suppress(ImportError):
        from huggingface_hub.constants import HF_HUB_CACHE

        for file in sorted(Path(HF_HUB_CACHE).glob("models--*/snapshots/*/config.json")):
            yield file.parent


def _of_hub(name: str, revision: str | None, *, download: bool) -> Path:
    try:
        from huggingface_hub.constants import HF_HUB_CACHE
    except ImportError as error:
        raise SerError(INSTALL) from error
    if cached := _in_cache(name, revision):
        return cached
    how = (
        f"Put config.json, preprocessor_config.json and model.safetensors of {name} into a folder "
        "and give features.checkpoint=FOLDER."
    )
    if not download:
        raise SerError(
            f"{name} is not in the cache {HF_HUB_CACHE}, and features.download=false. {how}"
        )
    try:
        folder = _download(name, revision)
    except Exception as error:  # of several libraries under the hub's: no network, no such id
        first = str(error).strip().split("\n")[0]
        raise SerError(
            f"{name} cannot be downloaded ({type(error).__name__}: {first}). {how}"
        ) from error
    if folder is None:
        raise SerError(
            f"{name} has no weights as safetensors at its hub, and ser reads no pickles, which may "
            f"run code. Convert them where they are trusted (docs/speech-models.md). {how}"
        )
    return folder


def _in_cache(name: str, revision: str | None) -> Path | None:
    """The folder of an id in the hub's cache, if it is there with weights."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import LocalEntryNotFoundError

    converted = Path(HF_HUB_CACHE, f"models--{name.replace('/', '--')}", "refs", *_PR.split("/"))
    others = [] if revision else [_PR + file.name for file in sorted(converted.glob("*"))]
    for wanted in (revision, *others):
        with suppress(LocalEntryNotFoundError, OSError):
            cached = Path(snapshot_download(name, revision=wanted, local_files_only=True))
            if (cached / "config.json").is_file() and any(cached.glob("*.safetensors")):
                return cached
    return None


def _download(name: str, revision: str | None) -> Path | None:
    """Fetch an id's JSON files and safetensors; None if it has none of the latter."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE

    hub = HfApi()

    def revisions() -> Iterator[str | None]:
        yield revision
        if revision is None:  # older weights are pickles; the hub's own program converted them
            for change in hub.get_repo_discussions(name, author=_CONVERTER):
                if change.is_pull_request and change.git_reference:
                    yield change.git_reference

    for wanted in revisions():
        info = hub.model_info(name, revision=wanted, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
        taken = [file for file in sizes if file.endswith(".safetensors") and "/" not in file]
        if taken:
            size = sum(sizes[file] for file in taken) / 1e6
            print(f"Downloading {name} ({size:.0f} MB) to {HF_HUB_CACHE}.", flush=True)
            return Path(snapshot_download(name, revision=wanted, allow_patterns=["*.json", *taken]))
    return None


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


def _stamp(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=64)
def _sha256(file: str, stamp: tuple[int, int]) -> str:
    """Of a file; `stamp` changes when it does."""
    whole = hashlib.sha256()
    with Path(file).open("rb") as opened:
        while block := opened.read(_BYTES):
            whole.update(block)
    return whole.hexdigest()
