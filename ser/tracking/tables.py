"""Tables of a run as CSV files: written for a spreadsheet, and read back as they were."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from ser.core.cells import cell, from_cell
from ser.core.errors import SerError
from ser.data.names import numbers_if_whole

_NAMES = ("path", "true", "predicted", "emotion", "level", "actor")  # columns of names


@contextmanager
def reading(run: str, name: str) -> Iterator[None]:
    """Say which file of which run is damaged, where the block that reads it fails.

    Raises
    ------
    SerError
    """
    try:
        yield
    except SerError:
        raise
    except Exception as error:  # pandas, YAML and Unicode have one each, and so have missing names
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise SerError(
            f"{name} of run {run} is damaged ({reason}): it does not hold what was logged. Restore "
            "it from a copy, or make the run again; python -m ser.doctor looks at all files."
        ) from error


def write_table(table: pd.DataFrame, file: str | Path) -> None:
    """Write a table: no text in it is a formula to a spreadsheet (`ser.core.cells`)."""
    table = _with_texts(table, cell)
    # pandas does not quote a return, which ends a line too.
    texts = [table.columns, *(table[column] for column in _texts(table))]
    quoting = csv.QUOTE_NONNUMERIC if any(map(_has_return, texts)) else csv.QUOTE_MINIMAL
    table.to_csv(file, index=False, quoting=quoting, errors="backslashreplace")


def read_table(file: str | Path) -> pd.DataFrame:
    """A table of a run, in which names are text: an emotion may be called None, an actor 01."""
    names = dict.fromkeys(_NAMES, str)
    table = pd.read_csv(file, dtype=names, keep_default_na=False, na_values=[""])
    table = _with_texts(table, from_cell)
    return table.assign(actor=numbers_if_whole(table["actor"])) if "actor" in table else table


def _with_texts(table: pd.DataFrame, change: Callable[[object], object]) -> pd.DataFrame:
    """A table whose texts, also those of its head, are changed."""
    table = table.rename(columns=change)
    for column in _texts(table):
        table[column] = table[column].map(change)
    return table


def _texts(table: pd.DataFrame) -> list[str]:
    return [column for column in table if not is_numeric_dtype(table[column])]


def _has_return(values: Iterable[object]) -> bool:
    return any(isinstance(value, str) and "\r" in value for value in values)
