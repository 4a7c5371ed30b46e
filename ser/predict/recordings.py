"""What `ser.predict` is given: files, folders, globs, tables, or a recording on standard input."""

from __future__ import annotations

import glob
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ser.core.errors import SerError
from ser.data.corpora import AUDIO_SUFFIXES, absolute, audio_files

STANDARD_INPUT = "-"
BY_FOLDER = "folder"


@dataclass(frozen=True)
class Recording:
    """Something to be heard.

    Attributes
    ----------
    name : str
        Path, or ``<stdin>``.
    data : bytes or None
        What the file holds, where it has no path.
    speaker : str or None
    """

    name: str
    data: bytes | None = None
    speaker: str | None = None

    @property
    def source(self) -> str | bytes:
        """As `audio.read_audio` takes it."""
        return self.name if self.data is None else self.data


def recordings(wanted: Sequence[str], *, speaker: str | None = None) -> list[Recording]:
    """Everything that is named, in order, each path once.

    Parameters
    ----------
    wanted : sequence of str
        Audio files, folders (with all audio files below them), globs (``**`` goes into folders),
        CSV files with a column `path` (relative to the file's folder) and perhaps one with the
        speaker, or ``-`` for one recording on standard input.
    speaker : str, optional
        Where to read who speaks: ``folder`` for the name of a clip's folder, else a column of the
        CSV files; by default the column ``speaker`` where there is one.

    Raises
    ------
    SerError
        If nothing is found, or a table has not the columns that it needs.
    """
    found: dict[str, Recording] = {}
    for one in wanted:
        before = len(found)
        try:
            for recording in _expand(str(one), speaker):
                found.setdefault(recording.name, recording)
        except (OSError, ValueError) as error:  # a name too long, or with a NUL
            raise SerError(f"clips={one} cannot be looked for: {error}.") from error
        if len(found) == before and not found:
            raise SerError(
                f"clips={one} names no audio. Give a file, a folder, a glob, a CSV with a column "
                f"'path', or '-' for standard input; audio is {', '.join(AUDIO_SUFFIXES)}."
            )
    if not found:
        raise SerError("clips= names nothing.")
    return list(found.values())


def _expand(one: str, speaker: str | None) -> Iterator[Recording]:
    if one == STANDARD_INPUT:
        yield Recording("<stdin>", sys.stdin.buffer.read())
        return
    path = absolute(one) if one.startswith("~") else Path(one)
    if path.suffix.lower() == ".csv" and path.is_file():
        yield from _from_table(path, speaker)
        return
    if path.is_dir():
        files = audio_files(path)
    elif glob.has_magic(one) and not path.exists():
        matches = glob.glob(str(path), recursive=True)  # noqa: PTH207  Path.glob takes no absolute
        files = sorted(Path(match) for match in matches if Path(match).is_file())
    else:
        files = [path]  # also one that is missing: it is reported as any bad clip is
    for file in files:
        yield Recording(str(file), speaker=file.parent.name if speaker == BY_FOLDER else None)


def _from_table(file: Path, speaker: str | None) -> Iterator[Recording]:
    import pandas as pd

    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
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
        path = file.parent / row["path"]  # an absolute one stays as it is
        who = path.parent.name if speaker == BY_FOLDER else row.get(column)
        yield Recording(str(path), speaker=who or None)
