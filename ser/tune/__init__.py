"""``python -m ser.tune``: search hyperparameters by cross-validation, then test the best once.

Trials see the training clips alone, in folds that keep actors apart where the split does. The test
clips are scored by one model: the best trial's, fitted on all training clips as `ser.train` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser.core import command
from ser.core.command import Done

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ser.core.overrides import Choices


def main() -> None:
    """Entry point of ``python -m ser.tune`` and of the console script ``ser-tune``."""
    command.run(tune, config_name="tune")


def tune(cfg: DictConfig, choices: Choices) -> Done:
    """Run trials of a study until the budget is spent, then evaluate the best as a tracked run.

    Parameters
    ----------
    cfg : DictConfig
        ``conf/tune.yaml``, composed.
    choices : Choices

    Returns
    -------
    Done
        The run of the best, or of the nested search.

    Raises
    ------
    SerError
        If the data, the config or a storage is at fault, or there is no training part to tune on.
    """
    from ser.tune.search import search  # here, so that --help and a misspelt choice answer at once

    run_id, text = search(cfg, choices)
    print(text)
    return Done(run_id)
