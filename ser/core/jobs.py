"""What became of the jobs of a sweep: each leaves word in its output folder.

In whatever process or on whatever machine a job ran, the end of the sweep knows of it, and of the
jobs that died without a word. The sweep's own folder has the id of its run, for the jobs' runs to
belong to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ser.core.process import writing
from ser.core.redact import masked_override, without_secrets

if TYPE_CHECKING:
    from hydra.conf import HydraConf

OUTCOME = "outcome.json"
STARTED = "sweep.started"  # has the id of the sweep's run; older folders are another sweep's
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


def start_sweep(folder: Path, run_id: str) -> None:
    """Leave word in a sweep's output folder, before its first job, of the run that it is."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STARTED).write_text(run_id, encoding="utf-8")


def under_way() -> bool:
    """Whether this process runs a job of a sweep."""
    return _sweep_job() is not None


def number() -> int | None:
    """Number of the sweep's job that this process runs; None outside of one."""
    job = _sweep_job()
    return None if job is None else int(job.job.num)


def sweep_run_id() -> str | None:
    """Id of the run of the sweep of which this process runs a job; None outside of one."""
    job = _sweep_job()
    if job is None:
        return None
    file = Path(job.runtime.cwd, job.sweep.dir, STARTED)
    return file.read_text(encoding="utf-8") if file.exists() else None


def record(*, run_id: str | None = None, error: str | None = None, skipped: bool = False) -> None:
    """Leave word of the job that this process runs."""
    hydra_config = _sweep_job()
    assert hydra_config is not None
    overrides = tuple(map(masked_override, hydra_config.overrides.task))
    error = error and without_secrets(error)
    job = Job(hydra_config.job.num, overrides, run_id, error, skipped)
    file = Path(hydra_config.runtime.output_dir) / OUTCOME
    with writing(file) as part:
        part.write_text(json.dumps(asdict(job)), encoding="utf-8")


def outcomes(folder: Path) -> list[Job]:
    """What became of every job of a sweep, from its output folder, by number."""
    if not (folder / STARTED).exists():
        return []
    started = (folder / STARTED).stat().st_mtime_ns
    jobs = []
    for job_folder in folder.iterdir():
        overrides = job_folder / ".hydra" / "overrides.yaml"
        if not overrides.exists() or overrides.stat().st_mtime_ns < started:
            continue
        file = job_folder / OUTCOME
        if file.exists() and file.stat().st_mtime_ns >= started:
            fields = json.loads(file.read_text(encoding="utf-8"))
            jobs.append(Job(**fields | {"overrides": tuple(fields["overrides"])}))
        else:
            jobs.append(_died(job_folder))
    return sorted(jobs, key=lambda job: job.number)


def _died(folder: Path) -> Job:
    """A job whose process ended without a word."""
    from omegaconf import OmegaConf

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


def _sweep_job() -> HydraConf | None:
    """Hydra's config of the job of a sweep that this process runs; None where it runs none."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return HydraConfig.get()
    return None
