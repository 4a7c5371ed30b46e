"""One thread for BLAS, OpenMP and PyTorch, so that no number hangs on how many cores a machine has.

A sum that is shared among threads is rounded otherwise than one that is not. What training computed
with one thread, as every core has a fit or a clip of its own, a server or an app must compute with
one thread too, or it hears another vector.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, RLock
from typing import Any

from threadpoolctl import OpenBLASController, ThreadpoolController


class _Limit:
    """BLAS's number of threads is the process's: the first in sets it, the last out lifts it.

    Two threads that each set it and put back what they found would end with the other's.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._n_modules = Lock(), 0, 0

    def enter(self) -> ThreadpoolController:
        with self._lock:
            # Finding the libraries takes longer than a clip's features; they come with modules.
            if self._n_modules != len(sys.modules):
                import scipy.linalg  # noqa: F401  it brings a BLAS of its own

                self._controller = ThreadpoolController()
                self._n_modules = len(sys.modules)
            if not self._inside:
                _take_control()
                self._blas = self._controller.limit(limits=1, user_api="blas")
            self._inside += 1
            return self._controller

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                _take_control()
                self._blas.restore_original_limits()


def _take_control() -> None:
    """Let this thread set BLAS's number: newer threadpoolctl heeds only the first that did."""
    if clear := getattr(OpenBLASController, "clear_controlling_thread", None):
        clear(force=True)


_LIMIT = _Limit()


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread inside; several threads of Python may be inside at once."""
    controller = _LIMIT.enter()
    try:
        # OpenMP's number is each Python thread's own: a new one starts with all cores.
        with controller.limit(limits=1, user_api="openmp"):
            yield
    finally:
        _LIMIT.leave()


_TORCH = RLock()


@contextmanager
def one_torch_thread() -> Iterator[Any]:
    """PyTorch on one thread, which is the process's number: one thread of Python may be inside."""
    import torch

    with _TORCH:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield torch
        finally:
            torch.set_num_threads(before)
