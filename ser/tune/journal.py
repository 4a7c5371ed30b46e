"""Optuna's journal of a study with checksums, so that none is replayed with a damaged line.

Each line has one of itself and of the line before, so that a missing line is noticed too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from io import BufferedRandom
from pathlib import Path
from typing import Any
from zlib import crc32

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from ser.core.checksum import CHECKSUM, checksum, is_whole
from ser.core.errors import SerError
from ser.core.locks import locked

START = b'{"op_code":'  # of every line
AFTER = "after"  # key of a line that holds the CRC-32 of the one before; an older ser has none


class CheckedJournal(BaseJournalBackend):
    """A journal file whose lines are compared with their checksums when they are read.

    Parameters
    ----------
    file : Path
        Made where it is missing.
    lock : Path
        Held by who writes: Optuna's own lock is broken after 30 s, though its holder may be stopped
        and go on.
    """

    def __init__(self, file: Path, lock: Path) -> None:
        file.touch()
        self.file, self._lock = file, lock
        self._read = (0, 0, 0)  # lines, their bytes, and the CRC-32 of the last

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add lines, each with its checksums, which Optuna passes over."""
        with (
            locked(self._lock, f"the study's journal {self.file}"),
            self.file.open("r+b") as file,
        ):
            last = crc32(_trim(file))
            for log in logs:
                chained = {**log, AFTER: last}
                record = {**chained, CHECKSUM: checksum(chained)}
                line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
                last = crc32(line)
                file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Lines from this number on, but for one that is being written.

        Raises
        ------
        SerError
            If one is damaged, or the one before it is missing.
        """
        number, offset, last = self._read if self._read[0] == log_number_from else (0, 0, 0)
        with self.file.open("rb") as lines:
            lines.seek(offset)
            for line in lines:
                if not line.endswith(b"\n"):
                    return
                log = _log(line, last)
                if log is None:
                    raise _damaged(self.file, number + 1)
                number, offset, last = number + 1, offset + len(line), crc32(line)
                self._read = (number, offset, last)
                if number > log_number_from:
                    yield log


def _log(line: bytes, last: int) -> dict[str, Any] | None:
    """What a line holds; None if it is damaged, or comes after another than it was written after.

    Parameters
    ----------
    line : bytes
    last : int
        CRC-32 of the line before; 0 of none.
    """
    try:
        log = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(log, dict) and "op_code" in log and is_whole(log):
        return log if log.get(AFTER, last) == last else None
    return None


def _trim(file: BufferedRandom) -> bytes:
    """Go to a journal's end, and return its last line, empty where there is none.

    Half a line, of a worker that was killed or whose disk was full, is cut off: nothing could be
    read past it, and the next line would be glued to it.
    """
    end = file.seek(0, 2)
    file.seek(end - min(end, 1 << 20))
    *whole, rest = file.read().split(b"\n")
    file.seek(end - len(rest))
    file.truncate()
    return whole[-1] + b"\n" if whole else b""


def check_journal(file: Path) -> None:
    """Refuse a file that is no journal, before anything of it is changed.

    Raises
    ------
    SerError
        If it begins with something else than a line of Optuna's.
    """
    if not file.exists():
        return
    if not file.is_file():
        raise SerError(f"tuner.storage={file} is no file: give another place for the study.")
    with file.open("rb") as lines:
        first = lines.readline(1 << 20)
    if first and not first.startswith(START[: len(first)]):
        raise SerError(
            f"{file} is no journal of a study, or its first line is damaged. It is left as it is: "
            "give another place with tuner.storage=FILE."
        )


def open_journal(file: Path, lock: Path) -> JournalStorage:
    """Optuna's storage in a journal file, made where it is missing; who writes holds the lock.

    Raises
    ------
    SerError
        If a line of it is damaged, or missing.
    """
    try:
        return JournalStorage(CheckedJournal(file, lock))
    except (
        *(LookupError, TypeError, ValueError, AttributeError, AssertionError),
        RecursionError,
    ) as error:  # in lines of an older ser, without checksums
        raise SerError(
            f"The study's journal {file} cannot be replayed ({type(error).__name__}: {error}): it "
            "is damaged. Restore a copy of it, or give another place with tuner.storage=FILE; the "
            "runs of its trials are in the log."
        ) from error


def _damaged(file: Path, number: int) -> SerError:
    return SerError(
        f"Line {number} of the study's journal {file} is damaged, or is not the one that was "
        f"written there. The {number - 1} lines before it are whole: head -n {number - 1} {file} > "
        "NEW keeps them, and tuner.storage=NEW goes on from there. The runs of its trials are in "
        "the log."
    )
