"""``python -m ser.train``: evaluate one config and track it as an MLflow run.

The clips of the corpus become a feature matrix; the split says which of them train. The training
clips are cross-validated, then all of them fit the model that predicts the test clips.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser.core import command
from ser.core.command import Done

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ser.core.overrides import Choices


def main() -> None:
    """Entry point of ``python -m ser.train`` and of the console script ``ser-train``."""
    command.run(train, config_name="train")


def train(cfg: DictConfig, choices: Choices) -> Done | None:
    """Evaluate the config in one tracked run, or in one for each of its study's variants.

    Parameters
    ----------
    cfg : DictConfig
        ``conf/train.yaml``, composed.
    choices : Choices

    Returns
    -------
    Done or None
        The run; None where it is not one, but a study's.

    Raises
    ------
    SerError
        If the data, the config or the store is at fault.
    """
    # Imported here, so that --help and a misspelt choice answer at once.
    if cfg.study is not None:
        from ser.train.variants import run_study

        print(run_study(cfg, choices))
        return None
    from ser.train.run import finished_before, tracked

    if cfg.sweep.resume and (earlier := finished_before(cfg)):
        print(f"{earlier.name}: finished before as run {earlier.id}")
        return Done(earlier.id, skipped=True)
    outcome = tracked(cfg, choices)
    print(outcome.text)
    if cfg.register is not None:
        from ser.tracking.registry import register

        print(register(outcome.run_id, cfg.register, uri=cfg.tracking.uri))
    return Done(outcome.run_id)
