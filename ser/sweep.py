"""``python -m ser.train -m ...``: every job a run under the sweep's, which compares them last.

A Hydra callback. The sweep's run starts before the first job and hands its id on by an environment
variable, which workers inherit. Each job leaves `OUTCOME` in its output folder, so that the end of
the sweep knows of every job, in whatever process or on whatever machine it ran, and of those that
died without a word.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode

from ser import cli
from ser.errors import SerError

if TYPE_CHECKING:
    from omegaconf import DictConfig

OUTCOME = "outcome.json"
STARTED = "sweep.started"  # empty file: job folders older than it are another sweep's
INTERRUPTED = "interrupted by the user"
PARENT = "SER_PARENT_RUN"  # environment variable: run that the runs of this process belong to

# A launcher's worker unpickles the callbacks first: now it can resolve the config's ${project:...}.
cli.register_resolvers()


@dataclass(frozen=True)
class Job:
    """What became of a job.

    Attributes
    ----------
    number : int
    overrides : tuple of str
        What the job varied.
    run_id : str or None
        Of its run; None if it failed, or has no single run.
    error : str or None
    skipped : bool
        Whether the run was there already.
    """

    number: int
    overrides: tuple[str, ...]
    run_id: str | None = None
    error: str | None = None
    skipped: bool = False


def under_way() -> bool:
    """Whether this process runs a job of a sweep."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def record(*, run_id: str | None = None, error: str | None = None, skipped: bool = False) -> None:
    """Leave word of the job that this process runs."""
    hydra_config = HydraConfig.get()
    job = Job(hydra_config.job.num, tuple(hydra_config.overrides.task), run_id, error, skipped)
    file = Path(hydra_config.runtime.output_dir) / OUTCOME
    part = file.with_suffix(".part")
    part.write_text(json.dumps(asdict(job)), encoding="utf-8")
    part.replace(file)


class SweepCallback(Callback):
    """Start the sweep's run, and end it with a table, a picture and the failed jobs' errors."""

    def __init__(self) -> None:
        self._started = self._run = None

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Start the run that the jobs' runs belong to."""
        from ser import provenance, tracking

        command = " ".join(config.hydra.overrides.task)
        self._started = tracking.start_run(
            uri=config.tracking.uri,
            experiment=config.tracking.experiment,
            name=f"sweep-{config.data.name}",
            tags={"study": "sweep", "corpus": config.data.name} | provenance.git_state(cli.PROJECT),
            description=f"`python -m ser.{config.hydra.job.config_name} -m {command}`",
        )
        self._run = self._started.__enter__()
        os.environ[PARENT] = self._run.id
        folder = Path(config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STARTED).touch()
        atexit.register(self._end_early, folder, config.tracking.uri)

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        """Compare the jobs; exit with 1 if any failed."""
        jobs = self._report(Path(config.hydra.sweep.dir), config.tracking.uri)
        self._started.__exit__(None, None, None)
        self._run = None
        if any(job.error for job in jobs):
            sys.exit(1)

    def _end_early(self, folder: Path, uri: str) -> None:
        """Hydra ends no sweep that the user stops, or of which it cannot compose a job."""
        if self._run is None:
            return
        jobs = self._report(folder, uri)
        stopped = any(job.error == INTERRUPTED for job in jobs)
        error = KeyboardInterrupt() if stopped else SerError("The sweep ended before its last job.")
        self._started.__exit__(type(error), error, None)

    def _report(self, folder: Path, uri: str) -> list[Job]:
        from ser import sweep_report

        del os.environ[PARENT]
        jobs = outcomes(folder)
        if jobs:
            print(sweep_report.log(self._run, jobs, uri=uri))
        return jobs

    def __getstate__(self) -> dict:
        """Workers get a callback without the run, which is not theirs."""
        return {"_started": None, "_run": None}


def outcomes(folder: Path) -> list[Job]:
    """What became of every job of a sweep, from its output folder, by number."""
    started = (folder / STARTED).stat().st_mtime_ns
    jobs = []
    for job_folder in folder.iterdir():
        overrides = job_folder / ".hydra" / "overrides.yaml"
        if not overrides.exists() or overrides.stat().st_mtime_ns < started:
            continue
        file = job_folder / OUTCOME
        if file.exists() and file.stat().st_mtime_ns >= started:
            said = json.loads(file.read_text(encoding="utf-8"))
            jobs.append(Job(**said | {"overrides": tuple(said["overrides"])}))
        else:
            jobs.append(_died(job_folder))
    return sorted(jobs, key=lambda job: job.number)


def _died(folder: Path) -> Job:
    """A job whose process ended without a word."""
    from omegaconf import OmegaConf

    overrides = OmegaConf.load(folder / ".hydra" / "overrides.yaml")
    job = OmegaConf.load(folder / ".hydra" / "hydra.yaml").hydra.job
    return Job(int(job.num), tuple(overrides), error="its process ended without a word")


def varied(jobs: Sequence[Job]) -> dict[int, Mapping[str, str]]:
    """Job number -> the keys whose values differ between jobs, and their values.

    >>> a, b = Job(0, ("model=svm", "curves=none")), Job(1, ("model=knn", "curves=none"))
    >>> varied([a, b])
    {0: {'model': 'svm'}, 1: {'model': 'knn'}}
    """
    values = {
        job.number: dict(o.lstrip("+").split("=", 1) for o in job.overrides if "=" in o)
        for job in jobs
    }
    keys = {key: None for given in values.values() for key in given}
    differ = [k for k in keys if len({given.get(k) for given in values.values()}) > 1]
    return {n: {k: given.get(k, "") for k in differ} for n, given in values.items()}
