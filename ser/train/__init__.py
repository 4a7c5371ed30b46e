"""``python -m ser.train``: evaluate one config and track it as an MLflow run.

The clips of the corpus become a feature matrix; the split says which of them train. The training
clips are cross-validated, then all of them fit the model that predicts the test clips.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ser.core.experiment import Experiment, JobResult


def main() -> None:
    """Entry point of ``python -m ser.train`` and of the console script ``ser-train``."""
    from ser.core import command

    command.run("train")


def train(experiment: Experiment) -> JobResult:
    """Evaluate the config in one tracked run, or in one for each of its variants.

    Parameters
    ----------
    experiment : Experiment
        Of ``conf/train.yaml``.

    Raises
    ------
    SerError
        If the data, the config or the store is at fault.
    """
    # Imported here, so that --help and a misspelt choice answer at once. First skops: it looks for
    # a thousand functions of NumPy and SciPy in all modules that there are.
    from ser.models.lean_skops import skops_io

    skops_io()

    from ser.core.experiment import JobResult
    from ser.train.run import finished_before, run_experiment
    from ser.train.variants import run_variants

    cfg = experiment.cfg
    if cfg.variants is not None:
        return run_variants(experiment)
    if cfg.sweep.resume and (earlier := finished_before(experiment)):
        text = f"{earlier.name}: finished before as run {earlier.id}"
        return JobResult(run_id=earlier.id, text=text, skipped=True)
    outcome = run_experiment(experiment)
    if cfg.register is None:
        return outcome
    from dataclasses import replace

    from ser.tracking.registry import register

    registered = register(outcome.run_id, cfg.register, uri=cfg.tracking.uri)
    return replace(outcome, text=f"{outcome.text}\n{registered}")
