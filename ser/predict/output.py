"""Predictions as they come, for a terminal or a pipe; or into a file that is whole or not there.

A file is written by way of a journal beside it, ``NAME.part``: one JSON object a line, the first of
which says what model made it. A killed prediction goes on with its journal; the file itself appears
when the last clip is done.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ser.core.errors import SerError
from ser.predict.inference import Heard

KINDS = ("table", "csv", "json", "parquet")
_DIGITS = 6
_DONE = "{}"  # after each batch: a clip's windows are all there or none is
_PORTION = 10_000  # rows of a Parquet row group


class Layout:
    """Which columns there are.

    Parameters
    ----------
    emotions : sequence of str
    windows, speakers : bool
        Whether recordings are cut, and whether it is known who speaks.
    """

    def __init__(self, emotions: Sequence[str], *, windows: bool, speakers: bool) -> None:
        self.emotions = tuple(emotions)
        self.columns = (
            "clip",
            *(("speaker",) if speakers else ()),
            *(("start", "end") if windows else ()),
            "emotion",
            *(f"p_{emotion}" for emotion in emotions),
            "error",
        )

    def row(self, heard: Heard) -> dict[str, object]:
        """Column -> value; None where there is none."""
        every: dict[str, object] = {
            "clip": heard.name,
            "speaker": heard.speaker,
            "start": None if math.isnan(heard.start) else round(heard.start, 3),
            "end": None if math.isnan(heard.end) else round(heard.end, 3),
            "emotion": None,
            "error": heard.error or None,
        }
        if heard.proba is not None:
            every["emotion"] = self.emotions[heard.proba.argmax()]
            for emotion, p in zip(self.emotions, heard.proba.tolist(), strict=True):
                every[f"p_{emotion}"] = round(p, _DIGITS)
        return {column: every.get(column) for column in self.columns}


class Printed:
    """Rows on standard output, each as soon as it is there.

    Parameters
    ----------
    kind : {"table", "csv", "json"}
    layout : Layout
    """

    def __init__(self, kind: str, layout: Layout) -> None:
        self._kind, self._layout = kind, layout
        self.done: frozenset[str] = frozenset()
        self.n_errors = 0
        self._csv = csv.DictWriter(sys.stdout, layout.columns, lineterminator="\n")
        self._headed = kind == "json"

    def write(self, rows: Sequence[dict[str, object]]) -> None:
        """Print rows; those of the table that have an error are left to standard error."""
        self.n_errors += _n_errors(rows)
        if not self._headed:
            self._head()
        for row in rows:
            if self._kind == "json":
                print(json.dumps(row))
            elif self._kind == "csv":
                self._csv.writerow(row)
            elif row["error"] is None:
                print(self._line(row))
        sys.stdout.flush()

    def finish(self) -> str:
        """Nothing is left to do, or to say."""
        return ""

    def close(self) -> None:
        """Standard output stays open."""

    def _head(self) -> None:
        self._headed = True
        if self._kind == "csv":
            self._csv.writeheader()
            return
        heads = [f"{emotion:>10}" for emotion in self._layout.emotions]
        times = f"{'seconds':<16}" if "start" in self._layout.columns else ""
        print(f"{times}{'emotion':<11}{''.join(heads)}  clip")

    def _line(self, row: dict[str, Any]) -> str:
        cells = [f"{100 * row[f'p_{emotion}']:>9.1f}%" for emotion in self._layout.emotions]
        span = "" if row.get("start") is None else f"{row['start']:.1f}-{row['end']:.1f}"
        times = f"{span:<16}" if "start" in self._layout.columns else ""
        return f"{times}{row['emotion']:<11}{''.join(cells)}  {row['clip']}"


class Journal:
    """Rows on their way into a file.

    Parameters
    ----------
    out : Path
    kind : {"csv", "json", "parquet"}
    layout : Layout
    made_by : dict
        What decides the rows besides the clips: a journal that says otherwise is not continued.

    Attributes
    ----------
    done : set of str
        Clips that are in the journal.
    n_errors : int
        Rows that have an error.

    Raises
    ------
    SerError
        If the file is there already, or its journal is another model's.
    """

    def __init__(self, out: Path, kind: str, layout: Layout, made_by: dict[str, object]) -> None:
        self._out, self._kind, self._layout = out, kind, layout
        self._part = out.with_name(out.name + ".part")
        self.done: set[str] = set()
        self.n_errors = 0
        if out.exists():
            raise SerError(f"{out} is there already: delete it, or give another out=FILE.")
        head = json.dumps(made_by | {"columns": layout.columns}, sort_keys=True)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            if self._part.exists():
                self._go_on(head)
            self._file = self._part.open("a", encoding="utf-8")
            if not self._file.tell():
                self._append(head)
        except OSError as error:
            raise SerError(f"{out} cannot be written: {error.strerror}.") from error

    def write(self, rows: Sequence[dict[str, object]]) -> None:
        """Keep rows; they survive whatever happens next to this process."""
        self.n_errors += _n_errors(rows)
        self._append(*(json.dumps(row) for row in rows), _DONE)

    def finish(self) -> str:
        """Make the file of the journal, in one move, and say so."""
        self._file.close()
        whole = self._out.with_name(self._out.name + ".whole")
        write = {"csv": _to_csv, "json": _to_json, "parquet": _to_parquet}[self._kind]
        n_rows = write(self._rows(), whole, self._layout)
        whole.replace(self._out)
        self._part.unlink()
        return f"{self._out}: {n_rows} rows"

    def close(self) -> None:
        """Leave the journal as it is, to be continued."""
        self._file.close()

    def _append(self, *lines: str) -> None:
        self._file.write("".join(f"{line}\n" for line in lines))
        self._file.flush()

    def _go_on(self, head: str) -> None:
        """Read what is done, and cut what a kill left of a batch."""
        with self._part.open("r+", encoding="utf-8", newline="\n") as file:
            first = file.readline()
            if first.endswith("\n") and first.rstrip("\n") != head:
                raise SerError(
                    f"{self._part} was begun with another model, or other windows or columns. "
                    "Delete it to start anew, or give another out=FILE."
                )
        whole, position = 0, 0
        batch: list[dict[str, object]] = []
        with self._part.open("rb") as lines:
            for number, line in enumerate(lines):
                position += len(line)
                if number == 0 or line == f"{_DONE}\n".encode():
                    whole = position if line.endswith(b"\n") else 0
                    self.done |= {str(row["clip"]) for row in batch}
                    self.n_errors += _n_errors(batch)
                    batch = []
                elif line.endswith(b"\n"):
                    batch.append(json.loads(line))
        os.truncate(self._part, whole)

    def _rows(self) -> Iterator[dict[str, object]]:
        with self._part.open(encoding="utf-8", newline="\n") as lines:
            next(lines)
            yield from (json.loads(line) for line in lines if line != f"{_DONE}\n")


@contextmanager
def opened(
    kind: str, out: Path | None, layout: Layout, made_by: dict[str, object]
) -> Iterator[Printed | Journal]:
    """Where rows go.

    Raises
    ------
    SerError
        If the kind is not known, or does not go together with `out`.
    """
    if kind not in KINDS:
        raise SerError(f"output={kind} is none of {', '.join(KINDS)}.")
    if out is None:
        if kind == "parquet":
            raise SerError("output=parquet is a file: give out=FILE.parquet.")
        # Names of files are bytes; what is no UTF-8 goes out as it came in.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="surrogateescape")
        yield Printed(kind, layout)
        return
    if kind == "table":
        raise SerError("output=table is for the terminal: give output=csv, json or parquet too.")
    journal = Journal(out, kind, layout, made_by)
    try:
        yield journal
    finally:
        journal.close()


def _n_errors(rows: Sequence[dict[str, object]]) -> int:
    return sum(row["error"] is not None for row in rows)


def _to_csv(rows: Iterator[dict[str, object]], file: Path, layout: Layout) -> int:
    count = 0
    with file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        writer = csv.DictWriter(out, layout.columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            count += 1
    return count


def _to_json(rows: Iterator[dict[str, object]], file: Path, layout: Layout) -> int:
    count = 0
    with file.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row) + "\n")
            count += 1
    return count


def _to_parquet(rows: Iterator[dict[str, object]], file: Path, layout: Layout) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    text = {"clip", "speaker", "emotion", "error"}
    schema = pa.schema([(c, pa.string() if c in text else pa.float64()) for c in layout.columns])
    count = 0
    with parquet.ParquetWriter(file, schema) as writer:
        portion: list[dict[str, object]] = []
        for row in rows:
            portion.append(row)
            if len(portion) == _PORTION:
                writer.write_table(pa.Table.from_pylist(portion, schema))
                count, portion = count + len(portion), []
        writer.write_table(pa.Table.from_pylist(portion, schema))
    return count + len(portion)
