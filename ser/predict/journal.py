"""Rows on their way into a file, which is whole or not there.

A file grows as a journal beside it: ``NAME.part``, one JSON object a line behind its checksum, the
first of what makes the rows. A killed prediction goes on with its journal, as far as that is whole.
When the last clip is done the journal is converted into the file. Files of these names that are not
`ser`'s are left as they are.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from zlib import crc32

from ser.core.cells import CellWriter
from ser.core.errors import SerError
from ser.core.process import writing
from ser.models.predictions import UNFAMILIAR, Layout

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
        If the file is there already, or its journal is another model's, or none.
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
        self._older = out.with_name(f"{out.name}.part.model")  # where an older ser kept the first
        self.done: set[str] = set()
        self.tally = Tally()
        self._check_free()
        self._about = json.dumps(made_by | {"columns": layout.columns}, sort_keys=True)
        self._rows_at = len(_line(self._about))
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            if self._part.exists() and self._goes_on(resume):
                self._resume()
            else:
                self._part.write_bytes(_line(self._about))
            self._file = self._part.open("ab")
        except OSError as error:
            raise SerError(f"{out} cannot be written: {error.strerror}.") from error

    def _check_free(self) -> None:
        if self._out.exists():
            raise SerError(f"{self._out} is there already: delete it, or give another --out.")

    def write(self, rows: Sequence[dict[str, object]]) -> None:
        """Keep rows; they survive whatever happens next to this process."""
        self.tally.add(rows)
        with self._written():
            self._file.write(b"".join(_line(json.dumps(row)) for row in rows))
            self._file.flush()

    def finish(self) -> str:
        """Make the file of the journal, in one move, and say so.

        Raises
        ------
        SerError
            If the journal is damaged.
        """
        self._file.close()
        if sum(1 for _ in self._whole_rows()) != self.tally.rows:
            raise SerError(
                f"{self._part} is damaged, though it was just written: see to its disk. The same "
                "command goes on from what is whole."
            )
        convert = {"csv": _to_csv, "json": _to_json, "parquet": _to_parquet}[self._kind]
        with self._written():
            with writing(self._out) as part:
                convert((row for row, _ in self._whole_rows()), part, self._layout)
                self._check_free()
            self._part.unlink()
            if self._is_of_older():
                self._older.unlink()
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

    def _goes_on(self, resume: bool) -> bool:
        """Whether the journal that is there goes on; otherwise there is nothing to keep.

        Raises
        ------
        SerError
            If it is another model's, or no journal.
        """
        with self._part.open("rb") as lines:
            first = lines.readline(1 << 20)
        if first == _line(self._about):
            return resume
        if resume and self._is_of_older():
            self._rows_at = 0
            return True
        if _line(self._about).startswith(first):  # as a kill or a full disk has left it
            return False
        if _checked(first) is None or first.startswith(b"{"):
            raise SerError(
                f"{self._part} is no journal of ser.predict, or its first line is damaged. It is "
                "left as it is: give another --out."
            )
        if resume:
            raise SerError(
                f"{self._part} was begun with another model, or other windows or columns. "
                "Delete it to start anew, or give another --out."
            )
        return False

    def _is_of_older(self) -> bool:
        return self._older.is_file() and self._older.read_bytes() == self._about.encode()

    def _whole_rows(self) -> Iterator[tuple[dict[str, object], int]]:
        """Rows with their bytes, up to a line that a kill cut short or that is damaged."""
        with self._part.open("rb") as lines:
            lines.seek(self._rows_at)
            for line in lines:
                row = _checked(line)
                if not (isinstance(row, dict) and isinstance(row.get("clip"), str)):
                    return
                yield row, len(line)

    def _resume(self) -> None:
        """Read which clips are done, up to a line that is damaged, which is said.

        The last may lack windows, or half a line: it is done again.
        """
        last, before, number = None, Tally(), 1 if self._rows_at else 0
        position = last_start = self._rows_at
        for row, n_bytes in self._whole_rows():
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


def _line(text: str) -> bytes:
    return f"{crc32(text.encode()):08x} {text}\n".encode()


def _checked(line: bytes) -> object:
    """What a line holds that is whole, else None; an older ser's has no checksum."""
    text = line.removesuffix(b"\n")
    checked = not text.startswith(b"{")
    if checked:
        checksum, _, text = text.partition(b" ")
    try:
        if line.endswith(b"\n") and not (checked and int(checksum, 16) != crc32(text)):
            return json.loads(text)
    except (ValueError, RecursionError):
        pass
    return None


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
