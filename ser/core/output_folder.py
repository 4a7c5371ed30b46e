"""A Hydra callback: whether the folder of a command's output can be made, said before it starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.experimental.callback import Callback

from ser.core import paths

if TYPE_CHECKING:
    from omegaconf import DictConfig

# A launcher's worker unpickles the callbacks first: now it can resolve the config's ${project:...}.
paths.register_resolvers()


class OutputFolderCallback(Callback):
    """Make the folder, or end with a sentence instead of Hydra's traceback."""

    def on_run_start(self, config: DictConfig, **kwargs: object) -> None:
        """Before a single job."""
        _make(config.hydra.run.dir, "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Before a sweep."""
        _make(config.hydra.sweep.dir, "hydra.sweep.dir")


def _make(folder: str, key: str) -> None:
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        # Hydra makes a warning of whatever else a callback raises, and goes on.
        sys.exit(
            f"{folder} cannot be made: {error.strerror}. Give another place with {key}=FOLDER."
        )
