"""Locks between processes: one holds a file's lock at a time, and the system frees it if that dies.

Who waits longer than a moment is told what for, and who holds it.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ser.core.errors import SerError
from ser.core.redact import masked_override

PATIENCE = 5.0  # seconds of waiting before the user is told
LIMIT = 600.0  # seconds: a large log takes minutes to migrate


@contextmanager
def locked(file: Path, purpose: str, *, timeout: float = LIMIT) -> Iterator[None]:
    """Hold a file's lock; wait while another process, or another thread, holds it.

    Parameters
    ----------
    file : Path
        Lock file, made where it is missing, with its folder; it stays. Never a file of data.
    purpose : str
        What is waited for, as a message names it: ``the log /data/mlflow.db``.
    timeout : float
        Seconds.

    Raises
    ------
    SerError
        If the lock is not free in time.
    OSError
        If the file cannot be made.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=min(PATIENCE, timeout))
    except Timeout:
        _wait(lock, file, purpose, timeout)
    holder = _holder_file(file)
    try:
        with suppress(OSError):  # on a full disk a message lacks it
            holder.write_text(_this_process(), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
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


def _wait(lock: FileLock, file: Path, purpose: str, timeout: float) -> None:
    if timeout > PATIENCE:
        print(f"Waiting for {purpose}, which {_holder(file)} holds ...", file=sys.stderr)
    try:
        lock.acquire(timeout=max(timeout - PATIENCE, 0))
    except Timeout as error:
        raise SerError(
            f"Waited {timeout:.0f} s for {purpose}, which {_holder(file)} holds (lock {file}). Run "
            "this again when that has ended; if it hangs, end it."
        ) from error


def _holder_file(file: Path) -> Path:
    return file.with_name(f".{file.name}.holder")


def _holder(file: Path) -> str:
    try:
        return _holder_file(file).read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"


def _this_process() -> str:
    command = " ".join(map(masked_override, sys.argv))
    return f"process {os.getpid()} on {platform.node()} ({command})"
