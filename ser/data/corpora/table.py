"""A user's own corpus: a CSV or Parquet table with a row per clip.

It needs a column `path` (relative to the table's folder, or absolute), one with the label and one
with the speaker; what else it has is kept. In a CSV only an empty field is missing: words such as
"None" and "NA" are labels like any other.
"""

from __future__ import annotations

import codecs
import csv
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_integer_dtype, is_numeric_dtype

from ser.core.errors import SerError
from ser.core.paths import meant_instead
from ser.data.corpora import UNKNOWN, absolute, with_durations
from ser.data.names import numbers_if_whole, relabelled, tidied

_SEPARATORS = ",;\t|"
_CSV = {"keep_default_na": False, "na_values": [""]}
NO_NAMES = (bytes, list, tuple, dict, np.ndarray)  # what Parquet can hold, and no CSV
_SHOWN = 5  # rows or files that an error names before it only counts


def load(
    table: str | Path | None,
    *,
    label: str = "emotion",
    speaker: str | None = "speaker",
    labels: Mapping[str, str | None] | None = None,
    min_clips: int = 2,
) -> pd.DataFrame:
    """Clip table from a CSV or Parquet file.

    Parameters
    ----------
    table : str or Path
        The file, .csv or .parquet.
    label : str
        Column with the label; becomes `emotion`.
    speaker : str or None
        Column with the speaker; becomes `actor`. Numbers as text stay text: 01 is not 1. None
        where nobody knows who speaks.
    labels : mapping of str to str or None, optional
        Label -> emotion; None leaves its clips out, and labels that it lacks are emotions already.
    min_clips : int
        Fewest clips of a label: one to train on and one to test.

    Returns
    -------
    DataFrame
        path (absolute), emotion, actor, duration (s), sr (Hz) and the table's other columns; sorted
        by path as the table gives it. A table that has both `duration` and `sr`, as numbers,
        spares the reading of every file's header.

    Raises
    ------
    SerError
        The table or a clip is missing, a field is empty, a path is there twice, two labels or
        speakers differ by a hair (`ser.data.names`), or there are fewer than two labels or than
        `min_clips` clips of one.
    """
    if not table:
        raise SerError("No table of clips. Set data.table=FILE, a .csv or .parquet.")
    table = absolute(table)
    clips = _read(table, {"path", label, speaker or label})
    if speaker is None:
        speaker = "actor"
        clips[speaker] = UNKNOWN
    _check_columns(clips, table, label, speaker)
    clips = clips.rename(columns={label: "emotion", speaker: "actor"})
    _check_filled(clips, table, {"path": "path", "emotion": label, "actor": speaker})
    clips = clips.astype({"path": str, "emotion": str}).sort_values("path", kind="stable")
    clips = tidied(relabelled(clips, labels) if labels else clips)
    clips["path"] = [clip_path(table.parent, path) for path in clips["path"]]
    _check_paths(clips["path"], table)
    check_labels(clips["emotion"], table, min_clips)
    clips = clips.reset_index(drop=True)
    known = all(name in clips and is_numeric_dtype(clips[name]) for name in ("duration", "sr"))
    return clips if known else with_durations(clips)


def clip_path(folder: Path, path: str) -> str:
    r"""Where a clip is: ``~`` is the home folder, and ``\`` parts folders as on Windows."""
    place = os.path.normpath(folder / os.path.expanduser(path))  # noqa: PTH111  Path's may raise
    if os.sep == "/" and "\\" in path and not _is_file(place):
        return os.path.normpath(folder / path.replace("\\", "/"))
    return place


def _read(table: Path, names: set[str]) -> pd.DataFrame:
    """The table as it is, with each row's number in its file as the index.

    Columns of names and of whole numbers are numbers only where their text says no more: of 01 and
    1, of 1.0 and 1.00 neither is lost.
    """
    if table.suffix.lower() not in (".csv", ".parquet"):
        raise SerError(f"{table} is neither .csv nor .parquet. Set data.table=FILE.")
    if not table.is_file():
        raise SerError(f"There is no table {table}.{meant_instead(table)} Set data.table=FILE.")
    try:
        if table.suffix.lower() == ".parquet":
            import pyarrow.parquet  # pandas reads by it too, and looks at text only when it is used

            pyarrow.parquet.read_table(table).validate(full=True)
            clips = pd.read_parquet(table).reset_index(drop=True)
            clips.index += 1
            return clips
        # Read twice: blank lines count in an editor's numbering, but as rows of NaN they would make
        # floats of whole columns of integers.
        how = _CSV | dialect(table)
        clips = pd.read_csv(table, **how).dropna(how="all")
        text = pd.read_csv(table, **how, skip_blank_lines=False, dtype=str).dropna(how="all")
        text.index += 2  # line 1 is the header
        clips = clips.set_axis(text.index)
        exact = [c for c in clips if c in names or is_integer_dtype(clips[c])]
        return clips.assign(**{column: numbers_if_whole(text[column]) for column in exact})
    except Exception as error:  # pyarrow raises its own on a damaged file, beside most of Python's
        raise SerError(f"Cannot read the table {table}: {error}.") from error


def dialect(table: Path) -> dict[str, str]:
    """Encoding, by a byte order mark, and separator: what parts off `path`, or else parts most."""
    start = table.read_bytes()[:65536]
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "utf-16" if start.startswith(marks) else "utf-8-sig"
    header = start.decode(encoding, "replace").lstrip().partition("\n")[0]
    for sep in _SEPARATORS:
        if "path" in next(csv.reader([header.rstrip("\r")], delimiter=sep), ()):
            break
    else:
        sep = max(_SEPARATORS, key=header.count)
    return {"encoding": encoding, "sep": sep}


def _check_columns(clips: pd.DataFrame, table: Path, label: str, speaker: str) -> None:
    if len({"path", label, speaker}) < 3:
        raise SerError(
            f"{table}: path, data.label={label} and data.speaker={speaker} must be three columns."
        )
    columns = ", ".join(map(str, clips.columns))
    missing = [name for name in ("path", label, speaker) if name not in clips.columns]
    if missing:
        raise SerError(
            f"{table} has no column {', '.join(missing)}; it has {columns}. The files' "
            "column must be called path; the others are named by data.label and data.speaker."
        )
    for column, needed in ((label, "emotion"), (speaker, "actor")):
        if column != needed and needed in clips.columns:
            raise SerError(f"{table} has both {column} and {needed}, and {column} is to become it.")
    if clips.empty:
        raise SerError(f"{table} has no rows: expected one per clip.")


def _check_filled(clips: pd.DataFrame, table: Path, given: dict[str, str]) -> None:
    unit = "line" if table.suffix.lower() == ".csv" else "row"
    for column, name in given.items():
        values = clips[column]
        unusable = values.map(lambda value: isinstance(value, NO_NAMES)).astype(bool)
        if unusable.any():
            kind = type(values[unusable].iloc[0]).__name__
            raise SerError(
                f"{table} has a {kind} for {name} in {unit} {_listed(clips.index[unusable])}: "
                "expected text or a number."
            )
        empty = values.isna() | (values.astype(str).str.strip() == "")
        if empty.any():
            raise SerError(f"{table} has no {name} in {unit} {_listed(clips.index[empty])}.")


def _check_paths(paths: pd.Series, table: Path) -> None:
    unit = "line" if table.suffix.lower() == ".csv" else "row"
    twice = paths[paths.duplicated(keep=False)]
    if len(twice):
        first = twice[twice == twice.iloc[0]]
        raise SerError(
            f"{table} names {twice.nunique()} clips more than once: {first.iloc[0]} in {unit}s "
            f"{_listed(first.index)}. Name each clip once."
        )
    missing = [path for path in paths if not _is_file(path)]
    if missing:
        raise SerError(f"{len(missing)} clips of {table} are not there: {_listed(missing)}.")


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # a name too long for any file
        return False


def check_labels(labels: pd.Series, table: Path, min_clips: int) -> None:
    """Refuse fewer than two labels, and one with too few clips; `table` is what errors name.

    Raises
    ------
    SerError
    """
    counts = labels.value_counts().sort_index()
    if len(counts) < 2:
        raise SerError(f"{table} has only the label {counts.index[0]!r}: expected two or more.")
    few = counts[counts < min_clips]
    if len(few):
        named = ", ".join(f"{name} ({count})" for name, count in few.items())
        raise SerError(
            f"{table} has too few clips of {named}: each label needs {min_clips}. "
            "Add clips, drop the label, or set data.min_clips."
        )


def _listed(items: pd.Index | list[str]) -> str:
    shown = ", ".join(str(item) for item in items[:_SHOWN])
    return shown if len(items) <= _SHOWN else f"{shown} and {len(items) - _SHOWN} more"
