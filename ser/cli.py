"""What the entry points share: where the configs are, and how an error reaches the user."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf, open_dict

import ser
from ser.errors import SerError

_PACKAGE = Path(ser.__file__).resolve().parent
_IN_CHECKOUT = (_PACKAGE.parent / "conf").is_dir()

# A wheel carries conf/ inside the package; a checkout has it beside the package.
CONF = _PACKAGE.parent / "conf" if _IN_CHECKOUT else _PACKAGE / "conf"
# Where data/ and mlruns/ lie unless told otherwise: in the checkout, or in the working folder.
PROJECT = _PACKAGE.parent if _IN_CHECKOUT else Path.cwd()


def register_resolvers() -> None:
    """Let configs write ``${project:data}`` for a path in the project's folder."""
    OmegaConf.register_new_resolver(
        "project", lambda path: str(PROJECT / path), use_cache=False, replace=True
    )


def tracking_uri() -> str:
    """MLflow's tracking URI where no config says it: the environment's, or the project's own."""
    own = f"sqlite:///{PROJECT / 'mlruns' / 'mlflow.db'}"
    return os.environ.get("MLFLOW_TRACKING_URI", own)


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


def run(job: Callable[[DictConfig, dict[str, str]], Done | None], *, config_name: str) -> None:
    """Compose the config of the command line and call the job, once or for every job of a sweep.

    Parameters
    ----------
    job : callable
        Takes the config and the choice made for each config group. A `SerError` that it raises is
        printed without a traceback; the exit code is 1. In a sweep the other jobs go on.
    config_name : str
        Primary config in ``conf/``.
    """
    register_resolvers()
    _collect_garbage_less()

    def call(cfg: DictConfig) -> None:
        from ser import sweep  # here, as it needs this module

        choices = HydraConfig.get().runtime.choices
        try:
            done = job(cfg, _groups(choices))
            if sweep.under_way():
                sweep.record(run_id=done and done.run_id, skipped=bool(done and done.skipped))
        except KeyboardInterrupt:
            if sweep.under_way():
                sweep.record(error=sweep.INTERRUPTED)
            print(
                "Interrupted. What is extracted is kept; the run is marked KILLED.", file=sys.stderr
            )
            sys.exit(130)  # 128 + SIGINT
        except Exception as error:
            known = _ser_error(error)
            if sweep.under_way():  # the end of the sweep reports it, and sets the exit code
                sweep.record(error=str(known or f"{type(error).__name__}: {error}"))
                if known is None:
                    traceback.print_exc()
                return
            if known is None:
                raise
            raise CompactHydraException(str(known)) from error

    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(call)()
    except KeyboardInterrupt:  # before or between the jobs of a sweep
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


def compose_again(overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str]]:
    """The job's config with other overrides on top of its command line's.

    Parameters
    ----------
    overrides : sequence of str
        As on a command line; they win over it.

    Returns
    -------
    cfg : DictConfig
    choices : dict of str to str
        As `run` hands them to a job.
    """
    hydra_config = HydraConfig.get()
    keys = {o.lstrip("+").split("=")[0] for o in overrides}
    given = [o for o in hydra_config.overrides.task if o.lstrip("+").split("=")[0] not in keys]
    cfg = hydra.compose(
        hydra_config.job.config_name, [*given, *overrides], return_hydra_config=True
    )
    return without_hydra(cfg)


def without_hydra(cfg: DictConfig) -> tuple[DictConfig, dict[str, str]]:
    """The job's part of a config composed with ``return_hydra_config=True``, and its choices."""
    choices = _groups(cfg.hydra.runtime.choices)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, choices


def _groups(choices: Mapping[str, str]) -> dict[str, str]:
    return {group: choice for group, choice in choices.items() if not group.startswith("hydra/")}


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
