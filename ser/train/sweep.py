"""``python -m ser.train -m ...``: every job a run under the sweep's, which compares them last.

A Hydra callback. The sweep's run starts before the first job and hands its id on by an environment
variable, which workers inherit.
"""

from __future__ import annotations

import atexit
import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.experimental.callback import Callback

from ser.core import paths
from ser.core.errors import SerError
from ser.core.jobs import INTERRUPTED, STARTED, Job, outcomes
from ser.core.overrides import Choices
from ser.core.redact import masked_override
from ser.core.second_corpus import with_test_corpus

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from omegaconf import DictConfig

    from ser.tracking.run import Run

PARENT = "SER_PARENT_RUN"  # environment variable: run that the runs of this process belong to

# A launcher's worker unpickles the callbacks first: now it can resolve the config's ${project:...}.
paths.register_resolvers()


class SweepCallback(Callback):
    """Start the sweep's run, and end it with a table, a picture and the failed jobs' errors."""

    def __init__(self) -> None:
        self._started: AbstractContextManager[Run] | None = None
        self._run: Run | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Start the run that the jobs' runs belong to."""
        from ser.tracking import provenance
        from ser.tracking import run as tracking

        config = config.copy()
        with suppress(SerError):  # which every job will say
            with_test_corpus(config, Choices(config.hydra.runtime.choices))
        overrides = shlex.join(map(masked_override, config.hydra.overrides.task))
        command = f"python -m ser.{config.hydra.job.config_name} -m {overrides}"
        started = tracking.start_run(
            uri=config.tracking.uri,
            experiment=config.tracking.experiment,
            name=f"sweep-{config.data.name}",
            tags={"kind": "sweep", "corpus": config.data.name, "command": command}
            | provenance.git_state(paths.PROJECT),
            description=f"`{command}`",
        )
        self._started, self._run = started, started.__enter__()
        os.environ[PARENT] = self._run.id
        folder = Path(config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STARTED).touch()
        atexit.register(self._end_early, folder, config.tracking.uri)

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        """Compare the jobs; exit with 1 if any failed."""
        assert self._started is not None
        assert self._run is not None
        jobs = self._report(self._run, Path(config.hydra.sweep.dir), config.tracking.uri)
        self._started.__exit__(None, None, None)
        self._run = None
        if any(job.error for job in jobs):
            sys.exit(1)

    def _end_early(self, folder: Path, uri: str) -> None:
        """Hydra ends no sweep that the user stops, or of which it cannot compose a job."""
        if self._run is None or self._started is None:
            return
        jobs = self._report(self._run, folder, uri)
        stopped = any(job.error == INTERRUPTED for job in jobs)
        error = KeyboardInterrupt() if stopped else SerError("The sweep ended before its last job.")
        self._started.__exit__(type(error), error, None)

    @staticmethod
    def _report(run: Run, folder: Path, uri: str) -> list[Job]:
        from ser.train.sweep_report import log_sweep

        del os.environ[PARENT]
        jobs = outcomes(folder)
        if jobs:
            print(log_sweep(run, jobs, uri=uri))
        return jobs

    def __getstate__(self) -> dict:
        """Workers get a callback without the run, which is not theirs."""
        return {"_started": None, "_run": None}
