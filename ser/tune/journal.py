"""Optuna's journal of a study with a checksum in every line, so that no damaged one is replayed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from ser.core.checksum import CHECKSUM, checksum, is_whole
from ser.core.errors import SerError
from ser.core.locks import locked

START = b'{"op_code":'  # of every line


class CheckedJournal(JournalFileBackend):
    """A journal file whose lines are compared with their checksums when they are read."""

    def __init__(self, file: Path, lock: Path) -> None:
        super().__init__(str(file), _JournalLock(file, lock))
        self.file = file

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add lines, each with its checksum, which Optuna passes over."""
        super().append_logs([{**log, CHECKSUM: checksum(log)} for log in logs])

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Lines from this number on.

        Raises
        ------
        SerError
            If one is damaged.
        """
        try:
            for log in super().read_logs(log_number_from):
                if not (isinstance(log, dict) and is_whole(log)):
                    raise ValueError("its checksum is another")
                yield log
        except (ValueError, RecursionError) as error:
            raise _damaged(self.file, error) from error


class _JournalLock(JournalFileOpenLock):
    """`ser`'s own: Optuna's is broken after 30 s, though its holder may be stopped and go on."""

    def __init__(self, journal: Path, file: Path) -> None:
        self._journal, self._file = journal, file
        self._held = ExitStack()

    def acquire(self) -> bool:
        self._held.enter_context(locked(self._file, f"the study's journal {self._journal}"))
        _trim(self._journal)
        return True

    def release(self) -> None:
        self._held.close()


def _trim(journal: Path) -> None:
    """Cut off half a line, of a worker that was killed or whose disk was full.

    Optuna cannot read past it, and the next line would be glued to it.
    """
    with journal.open("r+b") as file:
        end = file.seek(0, 2)
        tail = min(end, 1 << 20)
        file.seek(end - tail)
        last = file.read().rfind(b"\n")
        if tail and last + 1 < tail:
            file.truncate(end - tail + last + 1)


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
        If a line of it is damaged.
    """
    if file.exists():
        _check(file)
    try:
        return JournalStorage(CheckedJournal(file, lock))
    except (
        *(LookupError, TypeError, ValueError, AttributeError, AssertionError),
        RecursionError,
    ) as error:
        raise _damaged(file, error) from error  # in lines of an older ser, without checksums


def _check(file: Path) -> None:
    """Read the last line too, which Optuna takes for one that is being written."""
    if (number := _first_damaged(file)) is not None:
        raise _damaged(file, None, number)


def _first_damaged(file: Path) -> int | None:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                log = json.loads(line)
                whole = isinstance(log, dict) and "op_code" in log and is_whole(log)
            except (ValueError, RecursionError):
                whole = False
            if not whole and line.endswith(b"\n"):
                return number
    return None


def _damaged(file: Path, error: Exception | None, number: int | None = None) -> SerError:
    number = number or _first_damaged(file)
    if number is None:
        return SerError(
            f"The study's journal {file} cannot be replayed ({type(error).__name__}: {error}): it "
            "is damaged. Restore a copy of it, or give another place with tuner.storage=FILE; the "
            "runs of its trials are in the log."
        )
    return SerError(
        f"Line {number} of the study's journal {file} is damaged. The {number - 1} lines before it "
        f"are whole: head -n {number - 1} {file} > NEW keeps them, and tuner.storage=NEW goes on "
        "from there. The runs of its trials are in the log."
    )
