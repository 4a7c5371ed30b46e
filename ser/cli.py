"""What the entry points share: how a config is composed, and how an error reaches the user."""

from __future__ import annotations

import atexit
import gc
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict

from ser import jobs, project
from ser.choices import Choices
from ser.cross_config import with_test_corpus
from ser.errors import SerError


@dataclass(frozen=True)
class Done:
    """A job that went well.

    Attributes
    ----------
    run_id : str
        Of its run.
    skipped : bool
        Whether the run was there already.
    """

    run_id: str
    skipped: bool = False


def run(job: Callable[[DictConfig, Choices], Done | None], *, config_name: str) -> None:
    """Compose the config of the command line and call the job, once or for every job of a sweep.

    Parameters
    ----------
    job : callable
        Takes the config and what it was composed from. A `SerError` that it raises is
        printed without a traceback; the exit code is 1. In a sweep the other jobs go on.
    config_name : str
        Primary config in ``conf/``.
    """
    project.register_resolvers()
    _collect_garbage_less()

    def call(cfg: DictConfig) -> None:
        try:
            # Here, so that --help and a misspelt choice answer at once.
            from ser.persistence import import_skops

            import_skops()
            with instantiate(cfg.compute):
                done = job(cfg, with_test_corpus(cfg, _choices(HydraConfig.get())))
            if jobs.under_way():
                jobs.record(run_id=done and done.run_id, skipped=bool(done and done.skipped))
        except KeyboardInterrupt:
            if jobs.under_way():
                jobs.record(error=jobs.INTERRUPTED)
            print(
                "Interrupted. What is extracted is kept; the run is marked KILLED.", file=sys.stderr
            )
            sys.exit(130)  # 128 + SIGINT
        except Exception as error:
            known = _ser_error(error)
            if jobs.under_way():  # the end of the sweep reports it, and sets the exit code
                jobs.record(error=str(known or f"{type(error).__name__}: {error}"))
                if known is None:
                    traceback.print_exc()
                return
            if known is None:
                raise
            raise CompactHydraException(str(known)) from error

    try:
        hydra.main(version_base="1.3", config_path=str(project.CONF), config_name=config_name)(
            call
        )()
    except KeyboardInterrupt:  # before or between the jobs of a sweep
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


def compose_again(
    overrides: Sequence[str], *, leave_out: Sequence[str] = ()
) -> tuple[DictConfig, Choices]:
    """The job's config with other overrides on top of its command line's.

    Parameters
    ----------
    overrides : sequence of str
        As on a command line; they win over it.
    leave_out : sequence of str
        Keys and groups that the command line may name and this config shall not have.

    Returns
    -------
    cfg : DictConfig
    choices : Choices
        As `run` hands them to a job.
    """
    hydra_config = HydraConfig.get()
    keys = {*leave_out, *(o.lstrip("+").split("=")[0] for o in overrides)}
    given = [o for o in hydra_config.overrides.task if o.lstrip("+").split("=")[0] not in keys]
    cfg = hydra.compose(
        hydra_config.job.config_name, [*given, *overrides], return_hydra_config=True
    )
    return without_hydra(cfg)


def without_hydra(cfg: DictConfig) -> tuple[DictConfig, Choices]:
    """The job's part of a config composed with ``return_hydra_config=True``, and its choices."""
    choices = _choices(cfg.hydra)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, with_test_corpus(cfg, choices)


def _choices(hydra_config: DictConfig) -> Choices:
    made = hydra_config.runtime.choices
    groups = {group: choice for group, choice in made.items() if not group.startswith("hydra/")}
    return Choices(groups, tuple(hydra_config.overrides.task))


def _collect_garbage_less() -> None:
    """Save the collector two seconds of a run: it goes through every object of every import.

    What is imported stays until the end; then the system frees it at once.
    """
    gc.set_threshold(100_000, 20, 100)
    atexit.register(gc.freeze)


def _ser_error(error: BaseException | None) -> SerError | None:
    """The `SerError` behind an error; what Hydra instantiates wraps it in its own."""
    while error is not None and not isinstance(error, SerError):
        error = error.__cause__
    return error
