"""What a finished run must have: a file among its artifacts that lists the others."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mlflow import MlflowException
from mlflow.entities import Run

from ser.core.errors import SerError
from ser.tracking.artifacts import fetch
from ser.tracking.database import PROCESS

MANIFEST = "manifest.json"
SHOWN = 5  # faults of a run that are named; the others are counted


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
    metrics : mapping of str to float or None
        Of a series, the last value; None in manifests of an older ser.
    model : str or None
        Id of its logged model.
    model_files : mapping of str to Listed
        As `files`, below the model's folder; empty in manifests of an older ser.
    """

    files: Mapping[str, Listed]
    metrics: Mapping[str, float | None]
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
            metrics=_values(known["metrics"]),
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


def differing_metrics(known: Mapping[str, float | None], logged: Mapping[str, float]) -> list[str]:
    """Which metrics the log has no longer as they were logged, in words."""
    missing = [f"metric {key} is missing" for key in known if key not in logged]
    return missing + [
        f"metric {key} is {logged[key]!r} instead of {value!r}"
        for key, value in known.items()
        if key in logged and value is not None and not _same(value, logged[key])
    ]


def _same(value: float, logged: float) -> bool:
    if math.isinf(value):  # which MLflow keeps as the largest number
        return math.copysign(1.0, value) == math.copysign(1.0, logged) and abs(logged) > 1e308
    return value == logged or (math.isnan(value) and math.isnan(logged))


def _values(metrics: Mapping[str, float] | Sequence[str]) -> dict[str, float | None]:
    if isinstance(metrics, Mapping):
        return {key: float(value) for key, value in metrics.items()}
    return dict.fromkeys(map(str, metrics))


def some_of(faults: Sequence[str]) -> str:
    """The first faults, and how many more there are."""
    more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return ", ".join(faults[:SHOWN]) + more


def manifest_of(uri: str, run: Run) -> Manifest | None:
    """The manifest of a run in a log; None of one that has not finished, or an older ser's.

    Raises
    ------
    SerError
        If it is damaged, or gone.
    """
    try:
        return read_manifest(fetch(uri, run.info.artifact_uri, MANIFEST).parent)
    except (OSError, ValueError, MlflowException) as error:
        is_damaged = isinstance(error, ValueError)
        if is_damaged or (PROCESS in run.data.tags and run.info.status == "FINISHED"):
            is_what = "damaged" if is_damaged else "gone"
            raise changed(run, [f"{MANIFEST}, which lists its files, is {is_what}"]) from error
    return None


def changed(run: Run, faults: Sequence[str]) -> SerError:
    """What to say of a run that is asked for its numbers, and is not as it was logged."""
    return SerError(
        f"Run {run.info.run_id} ({run.info.run_name}) is not as it was logged: {some_of(faults)}. "
        "Restore that from a backup, or make the run again; python -m ser.doctor looks at all runs."
    )


def _fault(file: Path, known: Listed, *, fast: bool) -> str:
    try:
        if not file.is_file():
            return "is missing"
        if (n_bytes := file.stat().st_size) != known.bytes:
            return f"has {n_bytes} bytes instead of {known.bytes}"
        if known.sha256 and not fast and (found := _look(file)) != known:
            return f"has changed (SHA-256 {found.sha256[:12]} instead of {known.sha256[:12]})"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""


def _look(file: Path) -> Listed:
    data = file.read_bytes()
    return Listed(len(data), hashlib.sha256(data).hexdigest())


def _from_json(value: int | Mapping) -> Listed:
    return Listed(value, "") if isinstance(value, int) else Listed(**value)
