"""Recordings to predict: files, folders, globs, tables, bytes, or one on standard input."""

from __future__ import annotations

import glob
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser.core.errors import SerError
from ser.data.corpora import AUDIO_SUFFIXES, audio_files, expanded, folders_below
from ser.data.names import tidy
from ser.data.not_audio import CONVERT

STANDARD_INPUT = "-"
BY_FOLDER = "folder"


@dataclass(frozen=True)
class Recording:
    """One recording, and where it is.

    Attributes
    ----------
    name : str
        What answers and errors call it: its path, or ``<stdin>``.
    content : bytes, Path or None
        What its file holds, or where it is, if the name does not say so.
    speaker : str or None
    """

    name: str
    content: bytes | Path | None = None
    speaker: str | None = None

    @property
    def source(self) -> str | Path | bytes:
        """As `audio.read_audio` takes it."""
        return self.name if self.content is None else self.content


@dataclass(frozen=True)
class Windows:
    """How a long recording is cut: equal windows, the last one aligned to the end.

    Attributes
    ----------
    seconds : float
        Length of each, from 0.1 on.
    hop : float
        From the start of one to that of the next, in seconds, from 0.01 on.

    Raises
    ------
    SerError
        If one of them is out of its bounds.
    """

    seconds: float
    hop: float = 1.0

    def __post_init__(self) -> None:
        if not 0.1 <= self.seconds <= 3600 or not 0.01 <= self.hop <= 3600:
            raise SerError(
                f"window {self.seconds} and hop {self.hop}: give seconds, from 0.1 and from 0.01 "
                "to 3600."
            )

    def cut(self, blocks: Iterable[np.ndarray], sr: int) -> Iterator[tuple[int, np.ndarray]]:
        """Windows of a recording that comes in blocks; it alone where it is shorter than one.

        Parameters
        ----------
        blocks : iterable of (n_samples,) ndarray
        sr : int
            Hz.

        Yields
        ------
        start : int
            First sample.
        y : (n_samples,)

        Examples
        --------
        >>> y = np.arange(45)
        >>> [start for start, _ in Windows(2.0, 1.0).cut([y[:30], y[30:]], 10)]
        [0, 10, 20, 25]
        """
        length, hop = round(self.seconds * sr), max(round(self.hop * sr), 1)
        y, first, start = np.empty(0, np.float32), 0, 0  # y starts at sample `first`
        for block in blocks:
            y = np.concatenate([y, block]) if y.size else block
            while start + length <= first + len(y):
                yield start, y[start - first : start - first + length]
                start += hop
            done = max(min(start, first + len(y) - length) - first, 0)
            y, first = y[done:], first + done
        last = max(first + len(y) - length, 0)
        if start == 0 or start - hop != last:
            yield last, y[last - first :]


def find_recordings(
    sources: Sequence[str | Path | bytes], *, speaker: str | None = None
) -> list[Recording]:
    """Everything that is named, in order, each path once.

    Parameters
    ----------
    sources : sequence of str, Path or bytes
        Audio files, folders (with all audio files below them), globs (``**`` goes into folders),
        CSV files with a column `path` (relative to the file's folder) and perhaps one with the
        speaker, or ``-`` for one recording on standard input. Bytes are what an audio file holds.
    speaker : str, optional
        Where to read who speaks: ``folder`` for the name of a clip's folder, else a column of the
        CSV files; by default the column ``speaker`` where there is one.

    Raises
    ------
    SerError
        If one of them names nothing, or a table has not the columns that it needs.
    """
    by_name: dict[str, Recording] = {}
    for number, source in enumerate(sources):
        if isinstance(source, bytes):
            by_name[f"<bytes {number}>"] = Recording(f"<bytes {number}>", source)
            continue
        try:
            found = list(_expand(str(source), speaker))
        except (OSError, ValueError) as error:  # a name too long, or with a NUL
            raise SerError(f"{source} cannot be looked for: {error}.") from error
        if not found:
            raise SerError(
                f"{source} names no audio. Give a file, a folder, a glob, a CSV with a column "
                f"'path', or '-' for standard input; audio is {', '.join(AUDIO_SUFFIXES)}, and "
                f"where it is another, {CONVERT}."
            )
        for recording in found:
            by_name.setdefault(recording.name, recording)
    if not by_name:
        raise SerError("Say what to predict: a file, a folder, a glob, a CSV, or '-'.")
    return list(by_name.values())


def _expand(source: str, speaker: str | None) -> Iterator[Recording]:
    if source == STANDARD_INPUT:
        yield Recording("<stdin>", sys.stdin.buffer.read())
        return
    path = Path(source)
    if source.startswith("~") and not path.exists():
        path = expanded(source)
    if path.suffix.lower() == ".csv" and path.is_file():
        yield from _from_table(path, speaker)
        return
    if path.is_dir():
        files = audio_files(path)
    elif glob.has_magic(source) and not path.exists():
        files = sorted(match for match in set(_matches(str(path))) if match.is_file())
    else:
        files = [path]  # also one that is missing: it is reported as any bad clip is
    for file in files:
        yield Recording(str(file), speaker=file.parent.name if speaker == BY_FOLDER else None)


def _matches(pattern: str) -> Iterator[Path]:
    """What fits; ``**`` is all folders below, each once, as `glob` would follow links in rings."""
    parts = Path(pattern).parts
    if "**" not in parts:
        yield from map(Path, glob.glob(pattern))  # noqa: PTH207  Path.glob takes no absolute
        return
    at = parts.index("**")
    below = parts[at + 1 :] or ("*",)
    for base in glob.glob(str(Path(*parts[:at]))) if at else ["."]:  # noqa: PTH207
        for folder, _ in folders_below(Path(base)):
            yield from _matches(str(Path(glob.escape(str(folder)), *below)))


def _from_table(file: Path, speaker: str | None) -> Iterator[Recording]:
    import pandas as pd

    from ser.data.corpora.table import clip_path, dialect

    try:
        table = pd.read_csv(file, **dialect(file), dtype=str, keep_default_na=False).fillna("")
    except (ValueError, OSError) as error:
        raise SerError(f"{file} cannot be read as CSV: {error}") from error
    column = speaker if speaker not in (None, BY_FOLDER) else "speaker"
    needed = ["path"] if speaker in (None, BY_FOLDER) else ["path", column]
    if missing := [name for name in needed if name not in table]:
        raise SerError(
            f"{file} has no column {' and no column '.join(missing)}, only "
            f"{', '.join(table.columns)}."
        )
    for row in table.to_dict("records"):
        path = Path(clip_path(file.parent, row["path"]))
        who = path.parent.name if speaker == BY_FOLDER else tidy(row.get(column, ""))
        yield Recording(str(path), speaker=who or None)
