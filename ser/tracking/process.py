"""Which process a run belongs to, and whether that is still there.

A number is given again to another process, so a process is known by its start too, counted from the
machine's: no clock that somebody sets can confuse it.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

_PROC = Path("/proc")


def identity() -> str:
    """What this process is: host, the host's start, number, and its own start."""
    return "/".join((platform.node(), _boot(), str(os.getpid()), _start(os.getpid())))


def is_alive(process: str) -> bool | None:
    """Whether a process is still there, by its `identity`.

    Returns
    -------
    bool or None
        None where nobody can tell from here: it is another host's.
    """
    host, boot, number, start = process.rsplit("/", 3)
    if host != platform.node():
        return None
    if boot != _boot():
        return False
    if not _PROC.is_dir():  # a system that does not say when a process started
        return is_running(int(number))
    return _start(int(number)) == start


def is_running(number: int) -> bool:
    """Whether a process of this number runs on this machine, whichever it is."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def host_of(process: str) -> str:
    """The host that a process is on."""
    return process.rsplit("/", 3)[0]


def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start(number: int) -> str:
    """Clock ticks from the machine's start to the process's; empty where it is gone."""
    try:
        stat = (_PROC / str(number) / "stat").read_text()
    except OSError:
        return ""
    # The second field is the program's name in brackets, which may hold spaces and brackets.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]  # a dead one that nobody has waited for
