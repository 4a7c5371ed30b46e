"""Which process a run or a temporary file belongs to, and whether that is still there.

A number is given again to another process, so a process is known by its start too, counted so that
no clock that somebody sets can confuse it. And a number means something on one machine, between two
of its starts and in one container (PID namespace) alone: of another's process nobody can tell from
here whether it lives.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

_PROC = Path("/proc")
_MACHINE_ID = Path("/etc/machine-id")
_NO_CONTAINER = "4026531836"  # Linux's number of the first PID namespace, on every machine
_IDENTITY = re.compile(r"(?P<host>.*)/(?P<place>[^/]*)/(?P<number>\d{1,9})/(?P<start>[^/]*)", re.S)
_NO_TIME = "4026531834"  # and of the first time namespace
_MARK = re.compile(r"(?<![^.])ser,([^,/]+(?:,[^,/]*){3}),")


def identity() -> str:
    """What this process is: host, place (machine, its start, container), number, own start."""
    return "/".join((platform.node(), _place(), str(os.getpid()), _start(os.getpid()) or ""))


def is_alive(process: str) -> bool | None:
    """Whether a process is still there, by its `identity`.

    Returns
    -------
    bool or None
        None where nobody can tell from here: it is of another host, container or user, an older
        ser has written it down, or it is no identity.
    """
    known = _IDENTITY.fullmatch(process)
    if known is None or known["host"] != platform.node():
        return None
    place, number, start = known.group("place", "number", "start")
    if "." not in place:
        return _is_alive_of_older(place, number, start)
    if place != _place():
        return False if _is_of_an_earlier_start(place) else None
    here = _start(int(number))
    if here is not None:
        return here == start
    return None if _is_there(int(number)) else False  # there, but hidden


def _is_alive_of_older(boot: str, number: str, start: str) -> bool | None:
    """Of a process of this host that an older ser wrote down: with the whole name of the boot."""
    if boot[:8].lower() != _boot():
        return None
    if _start(int(number)) == start:
        return True
    return False if _container() == _NO_CONTAINER else None


def stopped_workers() -> list[psutil.Process]:
    """Joblib's processes of this one that are stopped."""
    import psutil

    stopped = []
    for worker in psutil.Process().children():
        with suppress(psutil.Error):
            if worker.status() == psutil.STATUS_STOPPED and "popen_loky" in str(worker.cmdline()):
                stopped.append(worker)
    return stopped


def command_of(number: int) -> list[str]:
    """Words of a process's command line; none where the system does not tell."""
    import psutil

    with suppress(psutil.Error):
        return psutil.Process(number).cmdline()
    return []


def host_of(process: str) -> str:
    """The host that a process is on."""
    return process.rsplit("/", 3)[0]


def mark() -> str:
    """How the name of a temporary file or folder of this process begins, or goes on after a dot."""
    return f"ser,{identity().replace('/', ',')},"


def temporary_folder(within: Path | None = None) -> tempfile.TemporaryDirectory[str]:
    """A new folder with this process's `mark`, gone with the object; the system says where."""
    hidden, end = ("", "") if within is None else (".", ".part")
    return tempfile.TemporaryDirectory(end, f"{hidden}{mark()}", within, ignore_cleanup_errors=True)


@contextmanager
def writing(file: Path) -> Iterator[Path]:
    """A name beside a file to write it under, with this process's `mark`: it is whole or not there.

    It gets its own name when the block has ended well.
    """
    part = file.with_name(f".{mark()}{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        part.replace(file)
    finally:
        for end in ("", "-journal", "-wal", "-shm"):  # of SQLite's
            Path(f"{part}{end}").unlink(missing_ok=True)


def maker_of(name: str) -> str | None:
    """`identity` of the process whose `mark` a file's name has; None of a file that is not ser's.

    >>> maker_of(".thesis.pdf.part")
    >>> maker_of(".archive.ser,host,a.b.1,12,345,x7.part")
    'host/a.b.1/12/345'
    """
    found = _MARK.search(name)
    return found[1].replace(",", "/") if found else None


def _is_of_an_earlier_start(place: str) -> bool:
    """Whether this machine has been started again since; a container may have moved instead."""
    machine, boot, container = (*place.split("."), "", "")[:3]
    this_machine, this_boot, _ = _place().split(".")
    same = machine == this_machine != "" and container in ("", _NO_CONTAINER)
    return same and "" not in (boot, this_boot) and boot != this_boot


@cache
def _place() -> str:
    return f"{_machine()}.{_boot()}.{_container()}"


def _machine() -> str:
    """Eight digits that other machines of the same name differ in; empty where there is none."""
    try:
        known = _MACHINE_ID.read_text().strip()
    except OSError:
        node = uuid.getnode()
        known = "" if node >> 40 & 1 else str(node)  # that bit: made up, and another each time
    return hashlib.sha256(known.encode()).hexdigest()[:8] if known else ""


def _boot() -> str:
    """Eight digits of Linux's start; empty elsewhere, where `_start` tells two of them apart."""
    with suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()[:8].lower()
    return ""


def _container() -> str:
    """Number of the PID namespace; empty where the system has none.

    With that of the time namespace, unless it is the machine's own: starts are counted in it.
    """
    numbers = []
    for name in ("pid", "time"):
        try:
            numbers.append(re.sub(r"\D", "", str((_PROC / "self/ns" / name).readlink())))
        except OSError:
            numbers.append("")
    pid, time = numbers
    return pid if time in ("", _NO_TIME) else f"{pid}t{time}"


def _start(number: int) -> str | None:
    """When a process started, in digits; empty of a zombie, None where none is seen.

    In hundredths of a second: on Linux since the machine's start, elsewhere since 1970, as the
    system has written it down then.
    """
    import psutil  # 40 ms, for those who need it

    with suppress(OSError):  # of proc; other systems have none
        if str((_PROC / "self").readlink()) != str(os.getpid()):
            return None  # mounted for another container
    try:
        booted = psutil.boot_time() if psutil.LINUX else 0.0  # before, as psutil counts from it
        process = psutil.Process(number)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return ""  # a dead one that nobody has waited for
        return str(round(100 * (process.create_time() - booted)))
    except psutil.ZombieProcess:
        return ""
    except psutil.Error:
        return None


def _is_there(number: int) -> bool:
    """Whether a process of this number runs here, whichever it is."""
    import psutil

    if psutil.WINDOWS:  # signal 0 is Ctrl-C there
        return bool(psutil.pid_exists(number))
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True
