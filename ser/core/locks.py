"""Locks between processes: one holds a file's lock at a time, and the system frees it if that dies.

Who waits longer than a moment is told what for, who holds it and what to do; nobody waits for ever.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ser.core.errors import SerError
from ser.core.process import command_of
from ser.core.redact import masked_override

PATIENCE = 5.0  # seconds of waiting before the user is told
LIMIT = 600.0  # seconds: a large log takes minutes to migrate
IF_IT_HANGS = "If that process hangs or is stopped, end it."
_A_PROCESS = "process "
_inside = threading.local()


@contextmanager
def locked(file: Path, purpose: str, *, timeout: float | None = None) -> Iterator[None]:
    """Hold a file's lock; wait while another process, or another thread, holds it.

    Parameters
    ----------
    file : Path
        Lock file, made where it is missing, with its folder; it stays. Never a file of data.
    purpose : str
        What is waited for, as a message names it: ``the log /data/mlflow.db``.
    timeout : float, optional
        Seconds; `LIMIT` unless given.

    Raises
    ------
    SerError
        If the lock is not free in time, or the file holds something: it is no lock.
    OSError
        If the file cannot be made.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.stat().st_size:
        raise SerError(f"{file} is no lock of ser's, and is left as it is: move it away.")
    timeout = LIMIT if timeout is None else timeout
    lock = FileLock(file)
    try:
        lock.acquire(timeout=min(PATIENCE, timeout))
    except Timeout:
        _wait(lock, file, purpose, timeout)
    holder, is_ours = _holder_file(file), False
    try:
        with suppress(OSError):  # on a full disk, or beside another's file, a message lacks it
            if _holder(file).startswith(_A_PROCESS):
                holder.unlink()  # of one that was killed
            with holder.open("x", encoding="utf-8") as opened:  # which follows no link
                is_ours = True
                opened.write(_this_process())
        yield
    finally:
        with suppress(OSError):
            if is_ours:
                holder.unlink()
        lock.release()


@contextmanager
def try_locked(file: Path) -> Iterator[bool]:
    """Hold a file's lock if it is free; whether it was is what the block gets.

    Parameters
    ----------
    file : Path
        Lock file, made where it is missing. Its folder must be there.
    """
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def told(what: Callable[[], str]) -> Iterator[None]:
    """Say what is waited for if the block takes longer than a moment; what it calls has a limit.

    Parameters
    ----------
    what : callable
        Asked when the moment is over: what it is, who holds it, and what to do.
    """
    if getattr(_inside, "block", False):  # the block around this one says it
        yield
        return

    def say() -> None:
        print(f"Waiting for {what()}", file=sys.stderr)

    timer = threading.Timer(PATIENCE, say)
    timer.daemon = True
    timer.start()
    _inside.block = True
    try:
        yield
    finally:
        _inside.block = False
        timer.cancel()


def writers(file: Path) -> str:
    """Who holds SQLite's lock on a file, where the system tells, and what to do."""
    inodes, lines = [], []
    with suppress(OSError):
        lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        inodes.append(str(file.stat().st_ino))
        inodes.append(str(Path(f"{file}-shm").stat().st_ino))  # has the locks in WAL mode
    # As in "5: POSIX ADVISORY WRITE 6686 fe:00:2606775 1073741824 1073742335"; "->" also waits.
    held = [words for words in lines if "->" not in words and words[5].split(":")[-1] in inodes]
    numbers = {words[4] for words in held if words[3] == "WRITE"} - {str(os.getpid())}
    if not numbers:
        return (
            "the machine or its disk is slow, or another process writes to it (if so, let it end)."
        )
    return f"{' and '.join(map(_process, sorted(numbers)))} writes to it. {IF_IT_HANGS}"


def _process(number: str) -> str:
    command = " ".join(map(masked_override, filter(None, command_of(int(number)))))
    return f"process {number} ({command})" if command else f"process {number}"


def _wait(lock: FileLock, file: Path, purpose: str, timeout: float) -> None:
    if timeout > PATIENCE:
        print(
            f"Waiting for {purpose}, which {_holder(file)} holds, for at most {timeout:.0f} s. "
            f"{IF_IT_HANGS}",
            file=sys.stderr,
        )
    try:
        lock.acquire(timeout=max(timeout - PATIENCE, 0))
    except Timeout as error:
        waited = f"Waited {timeout:.0f} s for" if timeout else "Cannot have"
        raise SerError(
            f"{waited} {purpose}, which {_holder(file)} holds (lock {file}). Run this again when "
            f"that has ended. {IF_IT_HANGS}"
        ) from error


def _holder_file(file: Path) -> Path:
    return file.with_name(f".{file.name}.holder")


def _holder(file: Path) -> str:
    holder = _holder_file(file)
    with suppress(OSError, ValueError):
        if holder.is_file() and not holder.is_symlink():
            return holder.read_text(encoding="utf-8") or "another process"
    return "another process"


def _this_process() -> str:
    command = " ".join(map(masked_override, sys.argv))
    return f"{_A_PROCESS}{os.getpid()} on {platform.node()} ({command})"
