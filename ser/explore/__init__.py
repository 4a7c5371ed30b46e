"""``python -m ser.explore``: see and hear a corpus, or one clip, before a model is fitted.

A corpus becomes a tracked run with pictures, tables and one page; a clip becomes a page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ser.core.experiment import Experiment, JobResult


def main() -> None:
    """Entry point of ``python -m ser.explore`` and of the console script ``ser-explore``."""
    from ser.core import command

    command.run("explore")


def explore(experiment: Experiment) -> JobResult:
    """Look at the config's clip, or else at its corpus.

    Parameters
    ----------
    experiment : Experiment
        Of ``conf/explore.yaml``.

    Raises
    ------
    SerError
        If the data, the config or the store is at fault, or a file is in the way.
    """
    # Imported here, so that --help and a misspelt choice answer at once.
    cfg = experiment.cfg
    if cfg.clip is not None:
        from hydra.utils import instantiate

        from ser.core.experiment import JobResult
        from ser.explore.clip_page import write_clip_page

        text = write_clip_page(cfg.clip, out=cfg.explore.out, prosody=instantiate(cfg.prosody))
        return JobResult(run_id=None, text=text)
    from ser.explore.run import run_exploration

    return run_exploration(experiment)
