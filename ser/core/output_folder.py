"""A Hydra callback for the folder of a command's output: made before it starts, without secrets.

Hydra itself would write the configs there as they were given, so `hydra.output_subdir` is null and
the callback writes them.
"""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import OmegaConf

from ser.core import paths
from ser.core.process import writing
from ser.core.redact import learn, masked, masked_override

if TYPE_CHECKING:
    from omegaconf import DictConfig

# A launcher's worker unpickles the callbacks first: now it can resolve the config's ${project:...}.
paths.register_resolvers()


SWEEP = "multirun.yaml"  # what Hydra itself writes of a sweep, in its folder


class OutputFolderCallback(Callback):
    """Make the folder, or end with a sentence instead of Hydra's traceback."""

    def on_run_start(self, config: DictConfig, **kwargs: object) -> None:
        """Before a single job."""
        _make(config.hydra.run.dir, "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Before a sweep."""
        _make(config.hydra.sweep.dir, "hydra.sweep.dir")
        _check_free(Path(config.hydra.sweep.dir, SWEEP), "hydra.sweep.dir")
        atexit.register(_mask, Path(config.hydra.sweep.dir, SWEEP))

    def on_job_start(self, config: DictConfig, **kwargs: object) -> None:
        """Write the job's configs and overrides, and mask those of its sweep, which Hydra wrote."""
        whole = _plain(config)
        learn(whole)
        of_hydra, overrides = whole.pop("hydra"), config.hydra.overrides.task
        of_hydra["job"]["override_dirname"] = ",".join(map(masked_override, overrides))
        folder = Path(config.hydra.runtime.output_dir, config.hydra.output_subdir or ".hydra")
        folder.mkdir(parents=True, exist_ok=True)
        files = {"hydra.yaml": {"hydra": of_hydra}, "config.yaml": whole}
        files["overrides.yaml"] = list(overrides)
        if not _is_ours(folder / "hydra.yaml"):  # it comes first, and says whose all are
            for name in files:
                _check_free(folder / name, "hydra.run.dir")
        for name, content in files.items():
            _save(folder / name, content)
        _mask(Path(config.hydra.sweep.dir, SWEEP))


def _plain(config: Any) -> Any:
    return OmegaConf.to_container(config)


def _save(file: Path, config: Any) -> None:
    with writing(file) as part:
        part.write_text(OmegaConf.to_yaml(masked(config)), encoding="utf-8")


def _mask(file: Path) -> None:
    if _is_ours(file):
        _save(file, _plain(OmegaConf.load(file)))


def _is_ours(file: Path) -> bool:
    """Whether a file is of a command of ser's: Hydra's settings in it name the callback here."""
    try:
        callbacks = OmegaConf.load(file).hydra.callbacks
        targets = [callback["_target_"] for callback in _plain(callbacks).values()]
    except Exception:  # whatever else there is
        return False
    return f"{__name__}.{OutputFolderCallback.__name__}" in targets


def _check_free(file: Path, key: str) -> None:
    if os.path.lexists(file) and not _is_ours(file):
        sys.exit(f"{file} is there and is not ser's. Give another place with {key}=FOLDER.")


def _make(folder: str, key: str) -> None:
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        # Hydra makes a warning of whatever else a callback raises, and goes on.
        at_home = "SER_HOME" in os.environ and Path(folder).is_relative_to(paths.PROJECT)
        place = "another SER_HOME" if at_home else f"another place with {key}=FOLDER"
        sys.exit(f"{folder} cannot be made: {error.strerror}. Give {place}.")
