"""What became of the jobs of a sweep: each leaves word in its output folder.

In whatever process or on whatever machine a job ran, the end of the sweep knows of it, and of the
jobs that died without a word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from ser.core.redact import masked_override

OUTCOME = "outcome.json"
STARTED = "sweep.started"  # empty file: job folders older than it are another sweep's
INTERRUPTED = "interrupted by the user"


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
    overrides = tuple(map(masked_override, hydra_config.overrides.task))
    job = Job(hydra_config.job.num, overrides, run_id, error, skipped)
    file = Path(hydra_config.runtime.output_dir) / OUTCOME
    part = file.with_suffix(".part")
    part.write_text(json.dumps(asdict(job)), encoding="utf-8")
    part.replace(file)


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
    overrides = map(masked_override, OmegaConf.load(folder / ".hydra" / "overrides.yaml"))
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
