"""Is all well? Packages, disks, and what killed processes have left on them.

Nothing is changed here: what is found is said, with what to do about it. Store and log have modules
of their own.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from ser.core.process import is_alive, maker_of

LEAST_FREE = 2**30  # bytes: RAVDESS's features, models and a hundred runs
SHOWN = ("mlflow", "scikit-learn", "numpy", "hydra-core", "optuna", "librosa", "soundfile")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    part : str
        What it is of: ``versions``, ``disk``, ``store``, ...
    text : str
        What was found, or done.
    advice : str
        What the user should do; empty where all is well.
    """

    part: str
    text: str
    advice: str = ""


def versions() -> Iterator[Finding]:
    """Whether every package that ser needs is there, in a version that it takes."""
    wrong = []
    for line in requires("ser") or ():
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            here = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement} is not installed")
            continue
        if not requirement.specifier.contains(here, prereleases=True):
            wrong.append(f"{requirement} is needed, and {here} is installed")
    known = ", ".join(f"{name} {version(name)}" for name in SHOWN if not _is_missing(name))
    yield Finding("versions", f"Python {platform.python_version()}, ser {version('ser')}, {known}")
    for fault in wrong:
        yield Finding("versions", fault, "pip install -e . installs what is needed")


def disks(places: Iterable[Path]) -> Iterator[Finding]:
    """Free space and write permission where things are kept, a line for each disk.

    Parameters
    ----------
    places : iterable of Path
        Folders, or files to be; where one is missing, its nearest parent counts.
    """
    seen: dict[int, Path] = {}
    for place in places:
        folder = _nearest(place)
        if not os.access(folder, os.W_OK):
            yield Finding(
                "disk", f"{folder} cannot be written", "mend its permissions, or mount it"
            )
        seen.setdefault(folder.stat().st_dev, folder)
    for folder in seen.values():
        free = shutil.disk_usage(folder).free
        advice = (
            "free some: python -m ser.doctor --prune lists what can go" if free < LEAST_FREE else ""
        )
        yield Finding("disk", f"{free / 1e9:.1f} GB free at {folder}", advice)


def leftovers(folders: Iterable[Path]) -> Iterator[Path]:
    """What processes that were killed have left: files and folders that nothing will read again.

    Each has the mark of its maker in its name (`ser.core.process.mark`); nothing else is looked at.

    Parameters
    ----------
    folders : iterable of Path
        Where logs, stores and corpora lie.
    """
    found = [path for folder in dict.fromkeys(folders) for path in _parts(folder)]
    with suppress(FileNotFoundError):  # no temporary folder can be written
        found += Path(tempfile.gettempdir()).glob("ser,*")
    for path in found:
        maker = maker_of(path.name)
        if maker and is_alive(maker) is False and _is_ours(path):
            yield path


def _parts(folder: Path) -> Iterator[Path]:
    """Files that were not finished, in a folder and two levels below; links are not followed."""
    places = [folder]
    for _ in range(3):
        for place in places:
            yield from place.glob(".*.part*")
        places = [inner for place in places for inner in _folders_in(place)]


def _folders_in(place: Path) -> list[Path]:
    try:
        return [path for path in place.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []


def _is_ours(path: Path) -> bool:
    """Whether it is this user's, and no link: a folder for everybody may have anything."""
    with suppress(OSError):
        # Windows has a folder for each user.
        is_mine = sys.platform == "win32" or path.stat().st_uid == os.getuid()
        return is_mine and not path.is_symlink()
    return False


def _is_missing(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return True
    return False


def _nearest(place: Path) -> Path:
    return next(folder for folder in (place, *place.parents) if folder.is_dir())
