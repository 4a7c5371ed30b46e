"""Corpora: a folder of audio files -> a clip table.

A corpus is one module here and one YAML in `conf/data`. The module has a function
`load(root, ...) -> pandas.DataFrame` with one row per clip, sorted by path relative to the root or
by what the file names say, numbered 0 to n_clips - 1, and with at least the columns

path : str
    Absolute path of the audio file.
emotion : str
    Its label; where the corpus allows it, one of `EMOTIONS` or `FURTHER_EMOTIONS`.
actor : int or str
    Who speaks; `UNKNOWN` where nobody knows. Splits by actor rest on it.
duration : float
    Seconds, as the file's header tells; NaN where it cannot be read.
sr : int
    Sampling rate in Hz; 0 where the header cannot be read.

Whatever else is known of a clip (intensity, statement, ...) is a further column. `load` raises a
`ser.core.errors.SerError` that says what to do where the folder or a file is not what it should be.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ser.core.errors import SerError
from ser.core.printable import is_text
from ser.data.audio import probe
from ser.data.not_audio import CONVERT, CONVERTIBLE

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
FURTHER_EMOTIONS = ("boredom",)  # of corpora besides RAVDESS
UNKNOWN = "unknown"  # the actor of every clip of a corpus whose speakers nobody knows
AUDIO_SUFFIXES = (  # of what `read_audio` reads
    *(".wav", ".wave", ".bwf", ".rf64", ".flac", ".ogg", ".oga", ".opus"),
    *(".mp3", ".mp2", ".mp1", ".mpga", ".aiff", ".aif", ".aifc"),
)

log = logging.getLogger(__name__)


def speakers_known(clips: pd.DataFrame) -> bool:
    """Whether a clip table says who speaks, in both corpora where it is of two."""
    return not clips["actor"].astype(str).str.fullmatch(f"(.*:)?{UNKNOWN}").any()


def expanded(path: str | Path) -> Path:
    """Absolute path; ``~`` and ``~USER`` are expanded where there is such a user."""
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111  Path's raises where there is not


def absolute(path: str | Path) -> Path:
    """As `expanded`, of what a table holds.

    Raises
    ------
    SerError
        If it is no UTF-8.
    """
    path = expanded(path)
    check_name(path)
    return path


def check_name(path: Path) -> None:
    """Refuse a path whose name is no text: tables and MLflow hold UTF-8 only.

    Raises
    ------
    SerError
    """
    if not is_text(str(path)):
        raise SerError(
            f"The name of {path} has bytes that are no UTF-8, which no table and no log can hold. "
            "Rename it, as by: convmv -f latin1 -t utf8 --notest -r FOLDER."
        )


def audio_files(root: str | Path) -> list[Path]:
    """Absolute paths of all audio files under a folder, sorted.

    Hidden files and folders are skipped: with them go the `._*.wav` that macOS leaves in archives
    (AppleDouble: attributes of a file, not audio). Links are followed, and a folder is entered
    once, so that links which lead back end. Sound that `ser` does not read (.m4a, .webm and others)
    is left out with a warning that counts it.

    Raises
    ------
    SerError
        If a folder cannot be read.
    """
    files: list[Path] = []
    others: Counter[str] = Counter()
    for folder, names in folders_below(expanded(root)):
        for name in names:
            if name.lower().endswith(AUDIO_SUFFIXES):
                files.append(folder / name)
            elif name.lower().endswith(CONVERTIBLE):
                others[Path(name).suffix.lower()] += 1
    if others:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
        log.warning("%s: ser leaves out what it does not read (%s): %s", root, counts, CONVERT)
    return sorted(files)


def folders_below(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """A folder and all below it, each once however links lead, with the names of its files.

    What is hidden is skipped.

    Raises
    ------
    SerError
        If a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        if error.filename != str(root) or os.path.isdir(root):  # noqa: PTH112  Path's may raise
            raise SerError(
                f"The folder {error.filename} cannot be read: {error.strerror}. Mend its "
                "permissions, move it away, or name the folders that count."
            )

    entered: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        # Every disk has a lost+found, which is the system's.
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "lost+found")
        yield Path(folder), [name for name in names if not name.startswith(".")]


def with_durations(table: pd.DataFrame) -> pd.DataFrame:
    """The clip table with the columns duration (s) and sr (Hz), read from the files' headers."""
    headers = [probe(path) for path in table["path"]]
    return table.assign(
        duration=[header.duration for header in headers], sr=[header.sr for header in headers]
    )
