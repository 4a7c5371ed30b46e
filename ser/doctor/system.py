"""Is all well? Packages, disks, the feature store, and what killed processes have left on the disk.

Nothing is changed here: what is found is said, with what to do about it. The log has a module of
its own (`ser.doctor.log`).
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import numpy as np
from packaging.requirements import Requirement

from ser.features.store_file import LAYOUT
from ser.tracking.process import is_running

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
        yield Finding("versions", fault, "pip install -e . brings what is needed")


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
        advice = "free some: ser.doctor --prune lists what can go" if free < LEAST_FREE else ""
        yield Finding("disk", f"{free / 1e9:.1f} GB free at {folder}", advice)


def check_store(store: Path) -> Iterator[Finding]:
    """Whether the feature store can be read, and every vector in it is whole.

    Parameters
    ----------
    store : Path
        SQLite file.
    """
    remove = f"it holds nothing but what can be extracted again: rm {store}"
    if not store.exists():
        yield Finding("store", f"{store} is not there yet")
        return
    try:
        with closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=rw", uri=True)) as store_db:
            layout = store_db.execute("PRAGMA user_version").fetchone()[0]
            if layout != LAYOUT:
                older = layout < LAYOUT
                advice = "" if older else "use that ser, or another store by SER_STORE"
                age = "an older ser's, and is made anew when used" if older else "a newer ser's"
                yield Finding("store", f"{store} is {age}", advice)
                return
            answer = store_db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if answer != "ok":
                yield Finding("store", f"{store} is damaged: {answer}", remove)
                return
            sets = store_db.execute("SELECT id, settings FROM extractors").fetchall()
            n_vectors = 0
            for number, settings in sets:
                n, faults = _vectors(store_db, number)
                n_vectors += n
                if faults:
                    name = json.loads(settings)["_target_"]
                    yield Finding("store", f"{faults} of {n} vectors of {name} are torn", remove)
    except sqlite3.Error as error:
        yield Finding("store", f"{store} cannot be read: {error}", remove)
        return
    size = store.stat().st_size / 1e6
    yield Finding(
        "store", f"{n_vectors} vectors of {len(sets)} feature sets, {size:.0f} MB, {store}"
    )


def leftovers(folders: Iterable[Path]) -> Iterator[Path]:
    """What processes that were killed have left: files and folders that nothing will read again.

    Parameters
    ----------
    folders : iterable of Path
        Where logs, stores and corpora lie.
    """
    for folder in Path(tempfile.gettempdir()).glob("ser-run-*-*"):
        number = folder.name.split("-")[2]
        if number.isdigit() and not is_running(int(number)):
            yield folder
    for folder in dict.fromkeys(folders):
        for pattern in (".*.part", "*/.*.part"):  # one without a first dot is a download's rest
            yield from (part for part in folder.glob(pattern) if _is_abandoned(part))


def _vectors(store_db: sqlite3.Connection, extractor: int) -> tuple[int, int]:
    """How many vectors a feature set has, and how many of them are of another length or not finite.

    NaN is never stored: a clip that gives one is an error.
    """
    lengths: dict[int, int] = {}
    broken = 0
    query = "SELECT vector FROM vectors WHERE extractor = ?"
    for (vector,) in store_db.execute(query, (extractor,)):
        lengths[len(vector)] = lengths.get(len(vector), 0) + 1
        whole = len(vector) % 4 == 0 and np.isfinite(np.frombuffer(vector, "<f4")).all()
        broken += not whole
    n = sum(lengths.values())
    return n, max(broken, n - max(lengths.values(), default=0))


def _is_missing(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return True
    return False


def _nearest(place: Path) -> Path:
    return next(folder for folder in (place, *place.parents) if folder.is_dir())


def _is_abandoned(part: Path) -> bool:
    """Whether nobody is writing it: an hour is longer than any of these takes."""
    return time.time() - part.stat().st_mtime > 3600
