"""Rows on their way into a file, which is whole or not there.

A file grows as a journal beside it: ``NAME.part``, JSON behind its checksum in each line, the first
of what makes the rows, the others of a recording's identity and its row. A killed prediction goes
on with its journal, as far as that is whole and of the recordings that are asked for.
When the last clip is done the journal is converted into the file. Files of these names that are not
`ser`'s are left as they are.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from zlib import crc32

from ser.core.cells import CellWriter
from ser.core.errors import SerError
from ser.core.process import writing
from ser.data.audio import AudioError
from ser.data.recordings import Recording
from ser.features.store_file import stamp_of
from ser.models.predictions import UNFAMILIAR, Layout

_LAYOUT = 2  # of a journal's lines
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
    asked : mapping of str to str, or None
        Clip -> `identity` of its recording: rows of others are not continued. None to begin a
        journal that is there anew.

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
        asked: Mapping[str, str] | None,
    ) -> None:
        self._out, self._kind, self._layout = out, kind, layout
        self._part = out.with_name(f"{out.name}.part")
        self._asked = asked or {}
        self.done: set[str] = set()
        self.tally = Tally()
        check_free(out)
        about = made_by | {"columns": layout.columns, "layout": _LAYOUT}
        self._head = _line(json.dumps(about, sort_keys=True))
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            if self._part.exists() and self._goes_on(resume=asked is not None):
                self._resume()
            else:
                self._part.write_bytes(self._head)
            self._file = self._part.open("ab")
        except OSError as error:
            raise SerError(f"{out} cannot be written: {error.strerror}.") from error

    def write(self, rows: Sequence[dict[str, object]]) -> None:
        """Keep rows; they survive whatever happens next to this process."""
        self.tally.add(rows)
        with self._written():
            self._file.write(b"".join(self._row_line(row) for row in rows))
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
                convert((row for _, row in self._whole_rows()), part, self._layout)
                check_free(self._out)
            self._part.unlink()
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
        with suppress(OSError):  # of what did not fit on the disk, and was said then
            self._file.close()

    def _goes_on(self, *, resume: bool) -> bool:
        """Whether the journal that is there goes on; otherwise there is nothing to keep.

        Raises
        ------
        SerError
            If it is another model's, or no journal.
        """
        with self._part.open("rb") as lines:
            first = lines.readline(1 << 20)
        if first == self._head:
            return resume
        if self._head.startswith(first):  # as a kill or a full disk has left it
            return False
        if not isinstance(_checked(first), dict):
            raise SerError(
                f"{self._part} is no journal of this ser.predict, or its first line is damaged. It "
                "is left as it is: give another --out."
            )
        if resume:
            raise SerError(
                f"{self._part} was begun with another model, or other windows or columns, or by an "
                "older ser. Delete it to start anew, or give another --out."
            )
        return False

    def _row_line(self, row: dict[str, object]) -> bytes:
        return _line(json.dumps([self._asked.get(str(row["clip"])), row]))

    def _whole_rows(self) -> Iterator[tuple[str | None, dict[str, object]]]:
        """Rows with the identity of their recordings, up to a line that is damaged, which is said.

        Of a line that a kill cut short nothing is said.
        """
        with self._part.open("rb") as lines:
            lines.seek(len(self._head))
            for number, line in enumerate(lines, start=2):
                match _checked(line):
                    case [str() | None as key, dict() as row] if isinstance(row.get("clip"), str):
                        yield key, row
                        continue
                if line.endswith(b"\n"):
                    print(
                        f"Line {number} of {self._part} is damaged: its clip and those after it "
                        "are predicted again.",
                        file=sys.stderr,
                    )
                return

    def _resume(self) -> None:
        """Keep the rows of clips that are done and asked for, each once.

        The clip that comes last may lack windows: it is done again.
        """
        last, wanted, before, seen, n_others = None, False, Tally(), set[object](), 0
        with writing(self._part) as part, part.open("wb") as file:
            file.write(self._head)
            start = file.tell()
            for key, row in self._whole_rows():
                clip = str(row["clip"])
                if (key, clip) != last:
                    if wanted and last:
                        self.done.add(last[1])
                    last, start, before, seen = (key, clip), file.tell(), replace(self.tally), set()
                    is_other = self._asked.get(clip, "") != key
                    wanted = not is_other and clip not in self.done
                    n_others += is_other
                if wanted and row.get("start") not in seen:
                    file.write(self._row_line(row))
                    self.tally.add([row])
                    seen.add(row.get("start"))
            file.truncate(start)
        self.tally = before
        if n_others:
            print(
                f"{n_others} clips in {self._part} are other recordings than those asked for, or "
                "have changed since: they are left out.",
                file=sys.stderr,
            )


def check_free(out: Path) -> None:
    """Refuse to write where something is already."""
    if out.is_file():
        raise SerError(f"{out} is there already: delete it, or give another --out.")
    if os.path.lexists(out):  # a device, a folder, a link to nothing
        raise SerError(f"{out} is there and is no file: give another --out.")


def identity(recording: Recording) -> str:
    """What tells a recording from others: its file and state, or its bytes, and who speaks in it.

    Returns
    -------
    str
        Hexadecimal. It changes when the file does.
    """
    source = recording.source
    if isinstance(source, bytes):
        where = sha256(source).hexdigest()
    else:
        try:
            state = stamp_of(str(source), read=time.time_ns())
        except AudioError:
            state = ""  # none that can be read
        where = f"{state} {Path(source).absolute()}"
    text = f"{recording.speaker} {where}"
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _line(text: str) -> bytes:
    return f"{crc32(text.encode()):08x} {text}\n".encode()


def _checked(line: bytes) -> object:
    """What a line holds that is whole, else None."""
    checksum, _, text = line.removesuffix(b"\n").partition(b" ")
    try:
        if line.endswith(b"\n") and int(checksum, 16) == crc32(text):
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

    texts = ("clip", "speaker", "emotion", "error", "run", "trained_on", "protocol")
    kinds = dict.fromkeys(texts, pa.string())
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
