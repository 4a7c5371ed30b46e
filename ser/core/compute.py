"""Where work runs: this machine's cores, or a Dask or Ray cluster, always through joblib.

Extraction, cross-validation, curves and searches hand their work to `results`. Which machines do it
is for the entry point to say, once, by the config group `compute`: each choice is one of the
context managers here. On a cluster every worker needs this version of `ser` and sees the clips
under the same paths; the feature store and the MLflow log are touched by the main process only.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import islice
from typing import Any, Literal

from ser.core import interrupts
from ser.core.errors import SerError
from ser.core.locks import PATIENCE
from ser.core.process import stopped_workers

PORTION = 8  # calls for each worker, where a backend cannot stream its results
# By name, as two of the three come with extras: of loky, Dask and Ray.
LOST_WORKER = ("TerminatedWorkerError", "KilledWorker", "RayActorError", "ActorDiedError")


@contextmanager
def local(*, n_jobs: int = -1) -> Iterator[None]:
    """Use this machine's cores: joblib's processes, and threads where the work leaves the GIL."""
    yield


@contextmanager
def dask(*, n_jobs: int = -1, address: str | None = None, timeout: float = 10.0) -> Iterator[None]:
    """Use a Dask cluster.

    Parameters
    ----------
    n_jobs : int
        Workers of the cluster that is started where `address` is None: one-threaded processes on
        this machine, -1 for one per core. An existing cluster is used whole.
    address : str, optional
        Scheduler of an existing cluster: ``tcp://HOST:8786``.
    timeout : float
        Seconds to wait for it to answer.

    Raises
    ------
    SerError
        If Dask is not installed, or nothing answers at the address.
    """
    try:
        from dask import config

        # Both are read when it is imported: it says much, and it makes the workers hand back every
        # freed page at once, which takes a feature's small arrays twice the time.
        config.set({"logging.distributed": "error"})
        config.set({"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**27})
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise SerError("compute=dask needs Dask: pip install 'ser[dask]'.") from error
    from joblib import cpu_count, parallel_config

    with ExitStack() as stack:
        if address is None:
            n_workers = n_jobs if n_jobs > 0 else max(1, cpu_count() + 1 + n_jobs)
            cluster = LocalCluster(
                n_workers=n_workers, threads_per_worker=1, dashboard_address=None
            )
            address = stack.enter_context(cluster)
        try:
            client = stack.enter_context(Client(address, timeout=timeout))
        except (OSError, ValueError, TypeError) as error:  # no answer, no address, no key
            raise SerError(
                f"No Dask scheduler answers at compute.address={address}: {error}. Start one with "
                "`dask scheduler` and workers with `dask worker ADDRESS`, or leave it out."
            ) from error
        stack.enter_context(parallel_config(backend="dask", client=client))
        yield


@contextmanager
def ray(*, n_jobs: int = -1, address: str | None = None) -> Iterator[None]:
    """Use a Ray cluster.

    Parameters
    ----------
    n_jobs : int
        Tasks at once; -1 for as many as the cluster has CPUs.
    address : str, optional
        Of an existing cluster: ``auto``, or ``HOST:6379``. None starts one on this machine.

    Raises
    ------
    SerError
        If Ray is not installed, or there is no cluster at the address.
    """
    # Read when Ray is imported: of one that is there already, the mode is the caller's affair.
    if address is None and "RAY_AUTH_MODE" not in os.environ and "ray" not in sys.modules:
        # Ray listens on all interfaces, and runs what it is sent: only by those who know a word.
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    # Otherwise a token is written into the home folder.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray as cluster
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise SerError("compute=ray needs Ray: pip install 'ser[ray]'.") from error
    from joblib import parallel_config

    logging.getLogger("ray").setLevel(logging.ERROR)
    started: dict[str, Any] = {"num_cpus": n_jobs if n_jobs > 0 else None}
    started["include_dashboard"] = False
    try:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        cluster.init(address, **quiet, **({} if address else started))
    except ConnectionError as error:
        raise SerError(
            f"No Ray cluster at compute.address={address}: {error} Start one with "
            "`ray start --head`, or leave it out."
        ) from error
    register_ray()
    try:
        with parallel_config(backend="ray", n_jobs=n_jobs):
            yield
    finally:
        cluster.shutdown()


def is_local() -> bool:
    """Whether work runs on this machine, in this process's threads or its children."""
    from joblib.parallel import get_active_backend

    return type(get_active_backend()[0]).__module__ == "joblib._parallel_backends"


def results(
    calls: Iterable[tuple],
    *,
    n_jobs: int,
    prefer: Literal["threads", "processes"] = "processes",
    ordered: bool = True,
) -> Iterator[Any]:
    """Results of joblib's delayed calls, each as soon as it is there.

    Parameters
    ----------
    calls : iterable of joblib.delayed calls
        Drawn as workers become free.
    n_jobs : int
        Workers on this machine; -1 for one per core. A cluster knows its own number.
    prefer : {"threads", "processes"}
        On this machine.
    ordered : bool
        Whether results come in the order of the calls; otherwise the first done comes first.

    Raises
    ------
    SerError
        If a worker was killed, and killed again wherever its work was given to.
    """
    from joblib import Parallel
    from joblib.parallel import get_active_backend

    backend, calls = get_active_backend()[0], iter(calls)
    try:
        # Of loky, which replaces a worker that has grown, as by PyTorch, and loses nothing.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
        has_workers = not is_local() or (n_jobs != 1 and prefer == "processes")
        with _stopped_workers_named() if has_workers else nullcontext():
            if backend.supports_return_generator:
                return_as = "generator" if ordered else "generator_unordered"
                outputs = Parallel(n_jobs, prefer=prefer, return_as=return_as)(calls)
                try:
                    for result in outputs:
                        interrupts.check()
                        yield result
                finally:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")  # of joblib, that it ends what is begun
                        outputs.close()
                return
            size = PORTION * backend.effective_n_jobs(n_jobs)
            while portion := list(islice(calls, size)):
                for result in Parallel(n_jobs)(portion):
                    interrupts.check()
                    yield result
    except Exception as error:
        if type(error).__name__ not in LOST_WORKER:
            raise
        raise SerError(
            f"A worker was killed ({type(error).__name__}), most often as memory ran out. What is "
            "extracted is kept: start again, with fewer workers (compute.n_jobs=1) if need be."
        ) from error


@contextmanager
def _stopped_workers_named() -> Iterator[None]:
    """Say, once, which of this machine's workers are stopped: their results would never come."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(PATIENCE):
            if numbers := " ".join(map(str, stopped_workers())):
                print(
                    f"Waiting for worker processes that are stopped: kill -CONT {numbers} lets "
                    "them go on; Ctrl-C ends this command.",
                    file=sys.stderr,
                )
                return

    threading.Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        over.set()
