"""What a finished run must have: a file among its artifacts that lists the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Listed:
    """What a file was when it was logged.

    Attributes
    ----------
    bytes : int
    sha256 : str
        Hexadecimal; empty in manifests of an older ser.
    """

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a run meant to log.

    Attributes
    ----------
    files : mapping of str to Listed
        Path below the run's artifacts -> what it was.
    metrics : tuple of str
        Keys.
    model : str or None
        Id of its logged model.
    model_files : mapping of str to Listed
        As `files`, below the model's folder; empty in manifests of an older ser.
    """

    files: Mapping[str, Listed]
    metrics: tuple[str, ...]
    model: str | None
    model_files: Mapping[str, Listed]

    def text(self) -> str:
        """As the run keeps it (JSON)."""
        return json.dumps(asdict(self), indent=1)


def listed(folder: Path) -> dict[str, Listed]:
    """All files of a folder, by their paths in it."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): _look(file) for file in files}


def read_manifest(folder: Path) -> Manifest:
    """The manifest among a run's artifacts.

    Raises
    ------
    OSError
        If there is none.
    ValueError
        If it is damaged.
    """
    try:
        known = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return Manifest(
            files={name: _from_json(value) for name, value in known["files"].items()},
            metrics=tuple(map(str, known["metrics"])),
            model=None if known["model"] is None else str(known["model"]),
            model_files={
                name: _from_json(value) for name, value in known.get("model_files", {}).items()
            },
        )
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{folder / MANIFEST} is damaged") from error


def differences(files: Mapping[str, Listed], folder: Path, *, fast: bool) -> list[str]:
    """What a folder has no longer as it was logged, in words.

    Parameters
    ----------
    files : mapping of str to Listed
    folder : Path
    fast : bool
        Whether sizes are compared only, not what the files hold.
    """
    return [
        f"{name} {fault}"
        for name, known in files.items()
        if (fault := _fault(folder / name, known, fast=fast))
    ]


def _fault(file: Path, known: Listed, *, fast: bool) -> str:
    try:
        if not file.is_file():
            return "is missing"
        if (n_bytes := file.stat().st_size) != known.bytes:
            return f"has {n_bytes} bytes instead of {known.bytes}"
        if known.sha256 and not fast and _look(file) != known:
            return "has changed"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""


def _look(file: Path) -> Listed:
    data = file.read_bytes()
    return Listed(len(data), hashlib.sha256(data).hexdigest())


def _from_json(value: int | Mapping) -> Listed:
    return Listed(value, "") if isinstance(value, int) else Listed(**value)
