"""Ctrl-C and SIGTERM end a command, though some libraries take them for the end of a fit."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def raised_at_the_end() -> Iterator[None]:
    """Raise KeyboardInterrupt at the block's end if a signal came and the block went on without it.

    scikit-learn's MLP and others catch it, and return what they have as if it were a whole fit.
    Signals reach a process's main thread alone: in another one nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def noting(handler: Callable[[int, FrameType | None], object]) -> Callable:
        def note(number: int, frame: FrameType | None) -> None:
            came.append(number)
            handler(number, frame)

        return note

    numbers = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    before = {number: signal.getsignal(number) for number in numbers if number is not None}
    for number, handler in before.items():
        if callable(handler):  # by default SIGTERM ends the process, and nothing catches it
            signal.signal(number, noting(handler))
    try:
        yield
    except Exception as error:
        if came:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt
