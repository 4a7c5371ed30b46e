"""Configs as commands compose them, with the files of ``conf/`` read once for all tests."""

from hydra.core.global_hydra import GlobalHydra

from ser.core import experiment as core

HYDRA = {}  # its loader, which keeps what it has read


def experiment(*overrides, config="train"):
    """The experiment of a command line."""
    if not HYDRA:
        with core.hydra_context():
            HYDRA["loader"] = GlobalHydra.instance().hydra
    state = GlobalHydra.instance()
    before, state.hydra = state.hydra, HYDRA["loader"]
    try:
        return core.compose(overrides, config=config)
    finally:
        state.hydra = before


def composed(*overrides, config="train"):
    """The config of a command line."""
    return experiment(*overrides, config=config).cfg
