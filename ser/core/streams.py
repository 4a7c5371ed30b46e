"""How a command ends, and what it prints: where its output lacks letters, closes or is full."""

from __future__ import annotations

import atexit
import codecs
import errno
import io
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import ParamSpec

from ser.core import interrupts
from ser.core.errors import SerError
from ser.core.printable import guard

P = ParamSpec("P")
INTERRUPTED = 128 + signal.SIGINT  # exit code
CLOSED = 141  # exit code of a program that writes into a closed pipe: 128 + SIGPIPE
HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none
_REPLACED = "ser.replaced"
_TERMINALS = [fd for fd in (1, 2) if os.isatty(fd)]
_hung_up: list[int] = []


def command(main: Callable[P, object], *, prints_data: bool = False) -> Callable[P, None]:
    """Make a function a command's entry point.

    A `SerError` is printed without a traceback, and the exit code is 1. Characters that an output's
    encoding lacks are escaped. A reader that has gone (``| head``) ends the command in silence.
    SIGTERM, by which a scheduler ends a job, is as Ctrl-C, and so is SIGHUP, by which a terminal
    that is closed does; `nohup` has that ignored. What it prints is `printable`, but for standard
    output where that is data for other programs.
    """

    @wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        interrupts.forget()
        signal.signal(signal.SIGTERM, interrupts.noting())
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, interrupts.noting())
        if HANGUP is not None and signal.getsignal(HANGUP) == signal.SIG_DFL:
            signal.signal(HANGUP, interrupts.noting(_hang_up))
        _have_a_home()
        try:
            Path.cwd()
        except OSError as error:
            sys.exit(f"The working folder: {error.strerror}. Go to one that is there, by cd.")
        codecs.register_error(_REPLACED, _replaced)
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            if getattr(sys, name) is None:  # started with it closed, as by a daemon
                setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors=_REPLACED)
        logging.raiseExceptions = False  # a full output is said once, at the end
        guard(*(sys.stderr,) if prints_data else (sys.stdout, sys.stderr))
        try:
            try:
                main(*args, **kwargs)
            finally:
                _flush()
        except SerError as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
            sys.exit(INTERRUPTED)
        except OSError as error:
            if not _is_gone(error):
                raise
            sys.exit(_give_up(error))
        finally:
            _end_stopped_workers()

    return run


def say(text: str) -> int:
    """Print a result; return 0, or the exit code where the output cannot take it."""
    try:
        print(text)
        _flush()
    except OSError as error:
        return _give_up(error)
    return 0


def _hang_up(number: int, frame: FrameType | None) -> None:
    """End as by Ctrl-C, once: a shell may send the signal again while the run is being closed."""
    if _hung_up:
        return
    _hung_up.append(number)
    for fd in _TERMINALS:  # nothing can be written there any more
        _to_nowhere(fd)
    signal.default_int_handler(number, frame)


def _end_stopped_workers() -> None:
    """End workers that are stopped: at its end Python would wait for them for ever."""
    if "joblib" in sys.modules:
        from ser.core.process import stopped_workers

        for worker in stopped_workers():
            worker.kill()


def _have_a_home() -> None:
    """Give one to a container's user who has none: MLflow cannot be imported without."""
    try:
        Path.home()
    except RuntimeError:
        from ser.core.process import temporary_folder

        home = temporary_folder()
        atexit.register(home.cleanup)
        os.environ["HOME"] = home.name


def _flush() -> None:
    if sys.stdout is not None:  # a command may be started without one
        sys.stdout.flush()


def _is_gone(error: OSError) -> bool:
    """Whether standard output takes nothing more: an error of it names no file, so ask."""
    if error.filename is not None or error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EIO):
        return False
    try:
        print(flush=True)
    except OSError:
        return True
    return False


def _give_up(error: OSError) -> int:
    """Let what is still written go nowhere; return the exit code."""
    _to_nowhere(sys.stdout.fileno())
    if error.errno == errno.EPIPE:
        return CLOSED
    print(f"Standard output cannot be written: {error.strerror}.", file=sys.stderr)
    return 1


def _to_nowhere(fd: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, fd)
    os.close(nowhere)


def _replaced(error: UnicodeError) -> tuple[bytes, int]:
    r"""What an encoding lacks as ``\xe4``; a file name's bytes that are no text as they came in."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    encoded = (
        os.fsencode(c) if "\udc80" <= c <= "\udcff" else c.encode("ascii", "backslashreplace")
        for c in text
    )
    return b"".join(encoded), error.end
