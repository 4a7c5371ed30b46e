"""Ctrl-C and SIGTERM end a command, whatever becomes of the exception that they raise.

Some libraries take it for the end of a fit, and Python prints and drops what is raised within a
``__del__`` or a weakref's callback. So a signal is noted too, and whoever goes on, or marks a run
FINISHED, looks at it first.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

Handler = Callable[[int, FrameType | None], object]

_came: list[int] = []  # signals that nobody has answered yet
began: dict[str, str] = {}  # runs of this process that are under no other: their states


def noting(handler: Handler = signal.default_int_handler) -> Handler:
    """The handler of a signal that notes it and goes on with another handler."""
    return partial(_note, handler)


def check() -> None:
    """Raise KeyboardInterrupt if a noted signal came, though the exception that it raised is lost.

    Raises
    ------
    KeyboardInterrupt
    """
    if _came:
        raise KeyboardInterrupt


def forget() -> None:
    """Go on after a signal, which is answered."""
    _came.clear()


@contextmanager
def raised_at_the_end() -> Iterator[None]:
    """Raise KeyboardInterrupt at the block's end if a signal came and the block went on without it.

    scikit-learn's MLP and others catch it, and return what they have as if it were a whole fit.
    Signals reach a process's main thread alone: in another one nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    before = {number: signal.getsignal(number) for number in numbers if number is not None}
    # By default SIGTERM ends the process, and nothing catches it. A command notes them anyway.
    unnoted = {number: h for number, h in before.items() if callable(h) and not _notes(h)}
    for number, handler in unnoted.items():
        signal.signal(number, noting(handler))
    try:
        yield
        check()
    except Exception as error:
        if _came:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in unnoted.items():
            signal.signal(number, handler)
        if unnoted:  # a notebook goes on after it
            forget()


def _note(handler: Handler, number: int, frame: FrameType | None) -> None:
    _came.append(number)
    handler(number, frame)


def _notes(handler: object) -> bool:
    return isinstance(handler, partial) and handler.func is _note
