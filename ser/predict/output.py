"""Predictions as they come, for a terminal or a pipe; or into a file that is whole or not there.

A file grows as a journal beside it: ``NAME.part``, one JSON object a line behind its checksum, and
``NAME.part.model``, what made it. A killed prediction goes on with its journal, as far as that is
whole; ``NAME.part.lock`` is held by the one process that writes it. When the last clip is done the
journal is converted into the file.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any
from zlib import crc32

from ser.core.cells import CellWriter
from ser.core.errors import SerError
from ser.core.locks import locked
from ser.core.printable import guard, shown
from ser.models.predictions import UNFAMILIAR, Layout

KINDS = ("table", "csv", "json", "parquet")
_SUFFIXES = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
_PORTION = 10_000  # rows of a Parquet row group


@dataclass
class Tally:
    """What there is to say of rows.

    Attributes
    ----------
    rows, errors, unfamiliar, resampled : int
        All rows; those that have an error, that are unlike what the model was trained on, and whose
        recording was brought to another sampling rate.
    """

    rows: int = 0
    errors: int = 0
    unfamiliar: int = 0
    resampled: int = 0

    def add(self, rows: Sequence[dict[str, object]]) -> None:
        """Count rows of a `Layout`."""
        self.rows += len(rows)
        self.errors += sum(row["error"] is not None for row in rows)
        self.unfamiliar += sum(bool(row["unfamiliar"]) for row in rows)
        self.resampled += sum(row["resampled_from"] is not None for row in rows)

    def notes(self, sr: int | None) -> Iterator[str]:
        """What is to be known of the answers, in sentences; `sr` is the model's, in Hz."""
        answered = self.rows - self.errors
        if self.resampled:
            yield (
                f"{self.resampled} of {answered} were resampled to {sr} Hz, at which the model was "
                "trained."
            )
        if self.unfamiliar:
            yield f"{self.unfamiliar} of {answered} are {UNFAMILIAR}: do not trust their answers."


class Printer:
    """Rows on standard output, each as soon as it is there.

    Parameters
    ----------
    kind : {"table", "csv", "json"}
    layout : Layout
    """

    def __init__(self, kind: str, layout: Layout) -> None:
        self._kind, self._layout = kind, layout
        self.done: frozenset[str] = frozenset()
        self.tally = Tally()
        self._csv = CellWriter(sys.stdout, layout.columns)
        self._headed = kind == "json"

    def write(self, rows: Sequence[dict[str, object]]) -> None:
        """Print rows; those of the table that have an error are left to standard error."""
        self.tally.add(rows)
        if not self._headed:
            self._head()
        for row in rows:
            if self._kind == "json":
                print(json.dumps(row))
            elif self._kind == "csv":
                self._csv.row(row)
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
            self._csv.head()
            return
        heads = [f"{shown(emotion):>10}" for emotion in self._layout.emotions]
        times = f"{'seconds':<16}" if "start" in self._layout.columns else ""
        print(f"{times}{'emotion':<11}{''.join(heads)}  clip")

    def _line(self, row: dict[str, Any]) -> str:
        cells = [f"{100 * row[f'p_{emotion}']:>9.1f}%" for emotion in self._layout.emotions]
        span = "" if row.get("start") is None else f"{row['start']:.1f}-{row['end']:.1f}"
        times = f"{span:<16}" if "start" in self._layout.columns else ""
        note = f"  ({UNFAMILIAR})" if row["unfamiliar"] else ""
        emotion, clip = shown(row["emotion"]), shown(row["clip"])
        return f"{times}{emotion:<11}{''.join(cells)}  {clip}{note}"


class Journal:
    """Rows on their way into a file.

    Parameters
    ----------
    out : Path
    kind : {"csv", "json", "parquet"}
    layout : Layout
    made_by : dict
        What decides the rows besides the clips: a journal that says otherwise is not continued.
    resume : bool
        Whether to go on with a journal that is there; otherwise it is begun anew.

    Attributes
    ----------
    done : set of str
        Clips that are in the journal.
    tally : Tally
        Of all rows.

    Raises
    ------
    SerError
        If the file is there already, or its journal is another model's.
    """

    def __init__(
        self,
        out: Path,
        kind: str,
        layout: Layout,
        made_by: dict[str, object],
        *,
        resume: bool = True,
    ) -> None:
        self._out, self._kind, self._layout = out, kind, layout
        self._part = out.with_name(f"{out.name}.part")
        self._about = out.with_name(f"{out.name}.part.model")
        self.done: set[str] = set()
        self.tally = Tally()
        if out.exists():
            raise SerError(f"{out} is there already: delete it, or give another --out.")
        about = json.dumps(made_by | {"columns": layout.columns}, sort_keys=True)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            if resume and self._part.exists():
                self._resume(about)
            self._about.write_text(about, encoding="utf-8")
            self._file = self._part.open("a" if resume else "w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise SerError(f"{out} cannot be written: {error.strerror}.") from error

    def write(self, rows: Sequence[dict[str, object]]) -> None:
        """Keep rows; they survive whatever happens next to this process."""
        self.tally.add(rows)
        texts = map(json.dumps, rows)
        with self._written():
            self._file.write("".join(f"{crc32(text.encode()):08x} {text}\n" for text in texts))
            self._file.flush()

    def finish(self) -> str:
        """Make the file of the journal, in one move, and say so.

        Raises
        ------
        SerError
            If the journal is damaged.
        """
        self._file.close()
        if sum(1 for _ in _whole_lines(self._part)) != self.tally.rows:
            raise SerError(
                f"{self._part} is damaged, though it was just written: see to its disk. The same "
                "command goes on from what is whole."
            )
        whole = self._out.with_name(f"{self._out.name}.whole")
        convert = {"csv": _to_csv, "json": _to_json, "parquet": _to_parquet}[self._kind]
        with self._written():
            convert((row for row, _ in _whole_lines(self._part)), whole, self._layout)
            whole.replace(self._out)
            self._part.unlink()
            self._about.unlink()
        return f"{self._out}: {self.tally.rows} rows"

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SerError(
                f"{self._out} cannot be written: {error.strerror}. What is done is in "
                f"{self._part}; the same command goes on from there."
            ) from error

    def close(self) -> None:
        """Leave the journal as it is, to be continued."""
        self._file.close()

    def _resume(self, about: str) -> None:
        """Read which clips are done, up to a line that is damaged, which is said.

        The last may lack windows, or half a line: it is done again.

        Raises
        ------
        SerError
            If the journal is another model's.
        """
        if (
            not self._about.exists()
            or self._about.read_text(encoding="utf-8", errors="replace") != about
        ):
            raise SerError(
                f"{self._part} was begun with another model, or other windows or columns. "
                "Delete it to start anew, or give another --out."
            )
        last, last_start, before, position, number = None, 0, Tally(), 0, 0
        for row, n_bytes in _whole_lines(self._part):
            if row["clip"] != last:
                if last is not None:
                    self.done.add(last)
                last, last_start = str(row["clip"]), position
                before = replace(self.tally)
            self.tally.add([row])
            position += n_bytes
            number += 1
        with self._part.open("rb") as lines:
            lines.seek(position)
            if lines.readline().endswith(b"\n"):  # not the one that a kill cut short
                print(
                    f"Line {number + 1} of {self._part} is damaged: its clip and those after it "
                    "are predicted again.",
                    file=sys.stderr,
                )
        self.tally = before
        os.truncate(self._part, last_start)


def _whole_lines(part: Path) -> Iterator[tuple[dict[str, object], int]]:
    """Rows of a journal with their bytes, up to a line that a kill cut short or that is damaged."""
    with part.open("rb") as lines:
        for line in lines:
            row = _row_of(line)
            if row is None:
                return
            yield row, len(line)


def _row_of(line: bytes) -> dict[str, object] | None:
    """Of a line that is whole; an older ser's has no checksum."""
    text = line.removesuffix(b"\n")
    checked = not text.startswith(b"{")
    if checked:
        checksum, _, text = text.partition(b" ")
    try:
        if line.endswith(b"\n") and not (checked and int(checksum, 16) != crc32(text)):
            row = json.loads(text)
            return row if isinstance(row, dict) and isinstance(row.get("clip"), str) else None
    except (ValueError, RecursionError):
        pass
    return None


@contextmanager
def opened(
    kind: str | None,
    out: Path | None,
    layout: Layout,
    made_by: dict[str, object],
    *,
    resume: bool = True,
) -> Iterator[Printer | Journal]:
    """Where rows go.

    Parameters
    ----------
    kind : {"table", "csv", "json", "parquet"} or None
        None for what the file's name ends with, or a table on the terminal.
    out : Path or None
        None for standard output.
    layout, made_by, resume
        See `Journal`.

    Raises
    ------
    SerError
        If the kind does not go together with `out`.
    """
    if out is None:
        if kind == "parquet":
            raise SerError("--output parquet is a file: give --out FILE.parquet.")
        if sys.stdout.isatty():
            guard(sys.stdout)
        yield Printer(kind or "table", layout)
        return
    kind = kind or _SUFFIXES.get(out.suffix.lower())
    if kind is None or kind == "table":
        raise SerError(f"{out}: give --output csv, json or parquet, or a name that ends so.")
    lock = out.with_name(f"{out.name}.part.lock")
    with _writing_alone(out, lock):
        try:
            journal = Journal(out, kind, layout, made_by, resume=resume)
            try:
                yield journal
            finally:
                journal.close()
        finally:
            if out.exists():  # whoever has the lock next sees that, and ends
                with suppress(OSError):
                    lock.unlink()
            if out.exists():  # whoever still opens the lock finds the file there
                lock.unlink(missing_ok=True)


@contextmanager
def _writing_alone(out: Path, lock: Path) -> Iterator[None]:
    """Hold the lock of whoever predicts into this file; nobody waits for it."""
    with ExitStack() as held:
        try:
            held.enter_context(locked(lock, str(out), timeout=0))
        except OSError as error:
            raise SerError(f"{out} cannot be written: {error.strerror}.") from error
        yield


def _to_csv(rows: Iterator[dict[str, object]], file: Path, layout: Layout) -> None:
    with file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        writer = CellWriter(out, layout.columns)
        writer.head()
        for row in rows:
            writer.row(row)


def _to_json(rows: Iterator[dict[str, object]], file: Path, layout: Layout) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(f"{json.dumps(row)}\n" for row in rows)


def _to_parquet(rows: Iterator[dict[str, object]], file: Path, layout: Layout) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = dict.fromkeys(("clip", "speaker", "emotion", "error"), pa.string())
    kinds |= {"unfamiliar": pa.bool_(), "resampled_from": pa.int64()}
    schema = pa.schema([(column, kinds.get(column, pa.float64())) for column in layout.columns])
    with file.open("wb") as out, parquet.ParquetWriter(out, schema) as writer:
        while portion := [_in_unicode(row) for row in islice(rows, _PORTION)]:
            writer.write_table(pa.Table.from_pylist(portion, schema))


def _in_unicode(row: dict[str, object]) -> dict[str, object]:
    r"""The row of a file that holds UTF-8 only; a name's other bytes are written ``\xff``."""
    return {
        column: os.fsencode(value).decode("utf-8", "backslashreplace")
        if isinstance(value, str)
        else value
        for column, value in row.items()
    }
