"""Predictions as they come, for a terminal or a pipe, or into a file (`ser.predict.journal`)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from ser.core.cells import CellWriter
from ser.core.errors import SerError
from ser.core.locks import locked
from ser.core.printable import guard, shown
from ser.models.predictions import UNFAMILIAR, Layout
from ser.predict.journal import Journal, Tally, check_free

KINDS = ("table", "csv", "json", "parquet")
_SUFFIXES = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}


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


def checked_kind(kind: str | None, out: Path | None) -> str:
    """What is written: as given, or by the file's name; also before a model is read.

    Raises
    ------
    SerError
        If the kind does not go together with `out`, or the file is there already.
    """
    if out is None:
        if kind == "parquet":
            raise SerError("--output parquet is a file: give --out FILE.parquet.")
        return kind or "table"
    kind = kind or _SUFFIXES.get(out.suffix.lower())
    if kind is None or kind == "table":
        raise SerError(f"{out}: give --output csv, json or parquet, or a name that ends so.")
    check_free(out)
    return kind


@contextmanager
def opened(
    kind: str | None,
    out: Path | None,
    layout: Layout,
    made_by: dict[str, object],
    asked: Mapping[str, str] | None,
) -> Iterator[Printer | Journal]:
    """Where rows go.

    Parameters
    ----------
    kind : {"table", "csv", "json", "parquet"} or None
        None for what the file's name ends with, or a table on the terminal.
    out : Path or None
        None for standard output.
    layout, made_by, asked
        See `Journal`.

    Raises
    ------
    SerError
        As `checked_kind`.
    """
    kind = checked_kind(kind, out)
    if out is None:
        if sys.stdout.isatty():
            guard(sys.stdout)
        yield Printer(kind, layout)
        return
    lock = out.with_name(f"{out.name}.part.lock")
    with ExitStack() as held:
        try:
            held.enter_context(locked(lock, str(out), timeout=0))  # nobody waits for it
        except OSError as error:
            raise SerError(f"{out} cannot be written: {error.strerror}.") from error
        try:
            yield held.enter_context(closing(Journal(out, kind, layout, made_by, asked)))
        finally:
            if out.exists():  # whoever has the lock next, or opens it still, finds that and ends
                with suppress(OSError):
                    lock.unlink()
