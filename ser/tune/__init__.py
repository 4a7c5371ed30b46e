"""``python -m ser.tune``: search hyperparameters by cross-validation, then test the best once.

Trials see the training clips alone, in folds that keep actors apart where the split does. The test
clips are scored by one model: the best trial's, fitted on all training clips as `ser.train` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ser.core.experiment import Experiment
    from ser.tune.search import SearchResult


def main() -> None:
    """Entry point of ``python -m ser.tune`` and of the console script ``ser-tune``."""
    from ser.core import command

    command.run("tune")


def tune(experiment: Experiment) -> SearchResult:
    """Run trials of a study until the budget is spent, then evaluate the best as a tracked run.

    Parameters
    ----------
    experiment : Experiment
        Of ``conf/tune.yaml``.

    Raises
    ------
    SerError
        If the data, the config or a storage is at fault, or there is no training part to tune on.
    """
    # Imported here, so that --help and a misspelt choice answer at once; skops first, as in train.
    from ser.models.lean_skops import skops_io

    skops_io()

    from ser.tune.search import search

    return search(experiment)
