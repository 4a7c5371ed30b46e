"""Checkpoints by a model hub's id: in its cache, or fetched into it; safetensors alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ser.core.errors import SerError

_CONVERTER = "SFconvertbot"  # the hub's program that proposes safetensors, under refs/pr/NUMBER
_PR = "refs/pr/"


def of_hub(name: str, revision: str | None, *, download: bool) -> Path:
    """The folder of an id in the hub's cache, where it is fetched to if it is not there.

    Raises
    ------
    SerError
        If it cannot be fetched, or has no safetensors.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

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
