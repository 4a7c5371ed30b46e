"""Texts as cells of a CSV that a spreadsheet opens: none of them is a formula.

A spreadsheet computes a cell that begins with ``=``, ``+``, ``-`` or ``@``, and a formula may send
the table elsewhere or start a program. Such a text gets an apostrophe before it, which spreadsheets
take for "this is text"; `from_cell` takes it away again. Numbers are left alone.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from typing import TextIO

_FORMULA = re.compile(r"'*(?:\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n])")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]inf", re.IGNORECASE)


def cell(value: object) -> object:
    """A value as a cell; what is no text stays as it is.

    >>> [cell(value) for value in ("=1+1", "'=x", "-1.5", "happy", -2)]
    ["'=1+1", "''=x", '-1.5', 'happy', -2]
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


class CellWriter:
    """Rows of a CSV, whose texts are cells.

    Parameters
    ----------
    file : text file
    columns : sequence of str
    """

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        self._columns = columns
        self._plain = csv.writer(file, lineterminator="\n")
        # Python's own does not quote a return, which ends a line too.
        self._quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)

    def head(self) -> None:
        """Write the names of the columns."""
        self._write(self._columns)

    def row(self, row: Mapping[str, object]) -> None:
        """Write a row; None is an empty cell."""
        self._write([row[column] for column in self._columns])

    def _write(self, values: Sequence[object]) -> None:
        returns = any(isinstance(value, str) and "\r" in value for value in values)
        (self._quoting if returns else self._plain).writerow(map(cell, values))


def from_cell(value: object) -> object:
    """What `cell` made a cell of.

    >>> [from_cell(value) for value in ("'=1+1", "''=x", "-1.5", "'twas")]
    ['=1+1', "'=x", '-1.5', "'twas"]
    """
    if isinstance(value, str) and value.startswith("'") and _FORMULA.match(value):
        return value[1:]
    return value
