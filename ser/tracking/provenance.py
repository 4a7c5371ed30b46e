"""What a number came from: the clips, the code and the packages."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from ser.core import paths

PACKAGES = (
    "ser",
    "numpy",
    "scipy",
    "scikit-learn",
    "librosa",
    "soundfile",
    "pandas",
    "joblib",
    "mlflow",
    "hydra-core",
    "optuna",
    "skops",
)


def fingerprint(clips: pd.DataFrame, content: Sequence[str]) -> str:
    """Digest of what the clips hold and how they are labelled, wherever they lie.

    Parameters
    ----------
    clips : (n_clips, ...) DataFrame
    content : (n_clips,) str
        Digest of each clip's bytes.

    Returns
    -------
    str
        16 hexadecimal digits; the same for the same clips and labels in any order.
    """
    rows = zip(content, clips["emotion"], clips["actor"], strict=True)
    lines = "\n".join(sorted(f"{digest} {emotion} {actor}" for digest, emotion, actor in rows))
    return hashlib.blake2b(lines.encode(), digest_size=8).hexdigest()


def git_state(folder: Path) -> dict[str, str]:
    """Commit and dirtiness of the checkout, as tags; nothing outside a checkout."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        dirty = bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"mlflow.source.git.commit": commit, "git_dirty": str(dirty).lower()}


def code_digest() -> str:
    """Digest of this package's source, committed or not: 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    folder = paths.PACKAGE
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder)}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # ser itself, run from a folder without being installed
            continue
    return versions


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
