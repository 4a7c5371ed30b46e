"""``python -m ser.explore``: see and hear a corpus, or one clip, before a model is fitted.

A corpus becomes a tracked run with pictures, tables and one page; a clip becomes a page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser.core import command
from ser.core.command import Done

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ser.core.overrides import Choices


def main() -> None:
    """Entry point of ``python -m ser.explore`` and of the console script ``ser-explore``."""
    command.run(explore, config_name="explore")


def explore(cfg: DictConfig, choices: Choices) -> Done | None:
    """Look at the config's clip, or else at its corpus.

    Parameters
    ----------
    cfg : DictConfig
        ``conf/explore.yaml``, composed.
    choices : Choices

    Returns
    -------
    Done or None
        The run; None where a clip was looked at, which makes none.

    Raises
    ------
    SerError
        If the data, the config or the store is at fault, or a file is in the way.
    """
    # Imported here, so that --help and a misspelt choice answer at once.
    if cfg.clip is not None:
        from hydra.utils import instantiate

        from ser.explore import clip_page

        print(clip_page.write(cfg.clip, out=cfg.explore.out, prosody=instantiate(cfg.prosody)))
        return None
    from ser.explore.run import tracked

    run_id, text = tracked(cfg, choices)
    print(text)
    return Done(run_id)
