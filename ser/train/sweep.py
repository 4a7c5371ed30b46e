"""``python -m ser.train -m ...``: every job a run under the sweep's, which compares them last.

A Hydra callback. The sweep's run starts before the first job; its id is in the sweep's output
folder, where the jobs' runs find it (`ser.core.jobs`), in whatever process they run. Hydra tells no
callback of a sweep that is interrupted, or of which it cannot compose a job: an exit hook ends that
sweep's run.
"""

from __future__ import annotations

import atexit
import shlex
import sys
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback

from ser.core import interrupts, paths
from ser.core.errors import SerError
from ser.core.experiment import compose
from ser.core.jobs import Job, outcomes, start_sweep
from ser.core.overrides import key_of, run_name
from ser.core.printable import markdown_code
from ser.core.redact import masked_override

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ser.tracking.run import Run

SEVERAL = "sweeps"  # MLflow experiment of a sweep whose jobs' runs go to more than one
# Keys that decide on the names of corpus and experiment.
_NAMING = (
    "data",
    "data.name",
    "data.root",
    "data.table",
    "data.test",
    "experiment",
    "tracking.experiment",
)

# A launcher's worker unpickles the callbacks first: now it can resolve the config's ${project:...}.
paths.register_resolvers()


class SweepCallback(Callback):
    """Start the sweep's run, and end it with a table, a picture and the failed jobs' errors."""

    def __init__(self) -> None:
        self._run: Run | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Start the run that the jobs' runs belong to."""
        from ser.tracking.provenance import git_state
        from ser.tracking.run import create_run

        corpora, experiments = _of_jobs(config)
        corpus = "+".join(corpora)
        overrides = shlex.join(map(masked_override, config.hydra.overrides.task))
        command = f"python -m ser.{config.hydra.job.config_name} -m {overrides}"
        self._run = create_run(
            uri=config.tracking.uri,
            experiment=experiments[0] if len(experiments) == 1 else SEVERAL,
            name=run_name([f"sweep-{corpus}"], config.hydra.overrides.task, told=("data",)),
            tags={"kind": "sweep", "corpus": corpus, "command": command} | git_state(paths.PROJECT),
            description=markdown_code(command),
        )
        folder = Path(config.hydra.sweep.dir)
        atexit.register(self._end_early, folder, config.tracking.uri)
        start_sweep(folder, self._run.id)

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        """Compare the jobs; exit with 1 if any failed."""
        from ser.tracking.run import finishing

        assert self._run is not None
        run, self._run = self._run, None
        with finishing(run):
            jobs = _report(run, Path(config.hydra.sweep.dir), config.tracking.uri)
        if any(job.error for job in jobs):
            sys.exit(1)

    def _end_early(self, folder: Path, uri: str) -> None:
        """Mark the run of a sweep that did not come to its end."""
        if self._run is None:
            return
        _report(self._run, folder, uri)
        try:  # a launcher's workers may have ended without a word
            interrupts.check()
            raise SerError("The sweep ended before its last job.")
        except (KeyboardInterrupt, SerError) as error:
            self._run.fail(error)

    def __getstate__(self) -> dict:
        """Workers get a callback without the run, which is not theirs."""
        return {"_run": None}


def _of_jobs(config: DictConfig) -> tuple[list[str], list[str]]:
    """The corpora of a sweep's jobs, and the MLflow experiments of their runs, each once."""
    loader = GlobalHydra.instance().config_loader()
    given = [
        f"{key}={values}" for key, values in (config.hydra.sweeper.get("params") or {}).items()
    ]
    parser = OverridesParser.create(config_loader=loader)
    choices = []
    for override in parser.parse_overrides([*given, *config.hydra.overrides.task]):
        line, key = str(override.input_line), override.get_key_element()
        if override.is_discrete_sweep():
            values = [f"{key}={value}" for value in override.sweep_string_iterator()]
            choices.append(values if key_of(line) in _NAMING else values[:1])
        else:
            choices.append([line])
    corpora: dict[str, None] = {}
    experiments: dict[str, None] = {}
    for job in product(*choices):
        with suppress(SerError):  # which the job will say
            overrides = [*config.hydra.overrides.hydra, *job]
            cfg = compose(overrides, config=config.hydra.job.config_name).cfg
            corpora[cfg.data.name] = experiments[cfg.tracking.experiment] = None
    return list(corpora) or [config.data.name], list(experiments) or [config.tracking.experiment]


def _report(run: Run, folder: Path, uri: str) -> list[Job]:
    from ser.train.sweep_report import log_sweep

    jobs = outcomes(folder)
    if jobs:
        print(log_sweep(run, jobs, uri=uri))
    return jobs
