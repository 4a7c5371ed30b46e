"""Many independent fits on all cores, in order, with progress and with what they warned of."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from joblib import delayed
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from ser.core import compute
from ser.core.threads import one_thread

Job = tuple[Callable[..., Any], tuple[Any, ...]]


@dataclass(frozen=True)
class Workers:
    """Who does the fits, and who is told.

    Attributes
    ----------
    n_jobs : int
        joblib workers on this machine; -1 for one per core.
    advance : callable
        Called once for every finished fit.
    """

    n_jobs: int = -1
    advance: Callable[[], object] = lambda: None


def run_fits(
    jobs: Sequence[Job], pipeline: Pipeline, workers: Workers
) -> tuple[list[Any], tuple[str, ...]]:
    """Call every job; BLAS gets one thread in each, so that they do not fight.

    Parameters
    ----------
    jobs : sequence of (function, arguments)
    pipeline : Pipeline
        What the jobs fit: it decides between threads and processes.
    workers : Workers

    Returns
    -------
    results : list
        In the order of the jobs.
    messages : tuple of str
        Warnings of the jobs, each once.
    """
    prefer: Literal["threads", "processes"]
    prefer = "threads" if _can_share_a_process(pipeline) else "processes"
    results, messages = [], []
    # The arguments stay in a tuple: Dask then sends them with each job. Alone, it would put an
    # array on one worker and pass it around, and the array would be lost with that worker.
    calls = (delayed(_call)(function, arguments, os.getpid()) for function, arguments in jobs)
    with one_thread(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for result, warned in compute.results(calls, n_jobs=workers.n_jobs, prefer=prefer):
            results.append(result)
            messages += warned
            workers.advance()
    messages += [_message(warning) for warning in caught]
    return results, tuple(dict.fromkeys(messages))


def _can_share_a_process(pipeline: Pipeline) -> bool:
    """Whether fits run side by side in threads, which start at once and share the data.

    libsvm, the trees and the neighbours compute outside of Python. An MLP's epochs are a Python
    loop over small arrays, and so are those of PyTorch: two threads of them take longer than one
    after the other. And liblinear, as libsvm where it makes probabilities, draws from one state of
    random numbers for the whole process: of two fits at once, each would take of the other's.
    """
    for estimator in estimators_in(pipeline):
        drawn = type(estimator).__name__ == "LinearSVC" or (
            getattr(estimator, "solver", None) == "liblinear"
            or getattr(estimator, "probability", False) is True
        )
        if drawn or type(estimator).__module__.startswith(
            ("sklearn.neural_network", "ser.models.networks.")
        ):
            return False
    return True


def estimators_in(what: object) -> Iterator[BaseEstimator]:
    """An estimator and those that it is made of: steps, members, what is calibrated."""
    if isinstance(what, BaseEstimator):
        yield what
        what = what.get_params(deep=False)
    if isinstance(what, Mapping):
        what = list(what.values())
    if isinstance(what, list | tuple):
        for part in what:
            yield from estimators_in(part)


def _call(
    function: Callable[..., object], arguments: tuple, caller: int
) -> tuple[object, list[str]]:
    """In a worker. Warnings of a thread are caught by `run_fits`: the filters are the process's."""
    if os.getpid() == caller:
        with one_thread():
            return function(*arguments), []
    with one_thread(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function(*arguments)
    return result, [_message(warning) for warning in caught]


def _message(warning: warnings.WarningMessage) -> str:
    kind = "" if warning.category is UserWarning else f"{warning.category.__name__}: "
    return f"{kind}{warning.message}"
