"""``data.test``: a second corpus in the config, to test on (see `ser.data.cross_corpus`)."""

from __future__ import annotations

from collections.abc import Sequence

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf, open_dict

from ser.core.errors import SerError
from ser.core.overrides import Choices


def with_test_corpus(cfg: DictConfig, choices: Choices, search_path: Sequence[str] = ()) -> Choices:
    """Where the config has a ``data.test``, compose that corpus too and make the split its own.

    The corpus's config becomes ``cfg.test_data``, as its YAML and the environment have it; the
    split trains on all of one and tests on all of the other; name and MLflow experiment are both
    corpora's.

    Parameters
    ----------
    cfg : DictConfig
        Changed in place.
    choices : Choices
    search_path : sequence of str
        Overrides that add places where configs are looked for.

    Returns
    -------
    Choices
        With ``ravdess-emodb`` for `data` and ``cross`` for `split`; as given without ``data.test``.

    Raises
    ------
    SerError
        If there is no such corpus, it is the training corpus, or a split is chosen as well.
    """
    test = OmegaConf.select(cfg, "data.test")
    if test is None:
        return choices
    data = _corpus_config(str(test), choices, search_path)
    given = [o for o in choices.overrides if o.lstrip("+~").startswith(("split=", "split."))]
    if given:
        raise SerError(
            f"data.test={test} fixes the split: trained on all of {cfg.data.name}, tested on all "
            f"of {data.name}. Leave {' '.join(given)} out."
        )
    with open_dict(cfg):
        cfg.test_data = data
        cfg.split = {
            "_target_": "ser.data.splits.cross_corpus",
            "train": cfg.data.name,
            "test": data.name,
        }
        cfg.data.name = f"{cfg.data.name}-{data.name}"
        cfg.data.pop("listeners", None)  # they heard other clips, and chose from other emotions
    groups = {**choices.groups, "data": f"{choices['data']}-{test}", "split": "cross"}
    return Choices(groups, choices.overrides)


def _corpus_config(test: str, choices: Choices, search_path: Sequence[str]) -> DictConfig:
    """What the group ``data`` has of a corpus, wherever Hydra finds it, resolved."""
    # A table is named on the command line, where data.table is the training corpus's.
    not_to_test_on = ("table", choices["data"])
    try:
        if test in not_to_test_on:
            raise MissingConfigException(test)
        composed = hydra.compose("train", [*search_path, f"data={test}"])
    except HydraException as error:
        options = GlobalHydra.instance().config_loader().get_group_options("data")
        known = ", ".join(sorted(set(options) - set(not_to_test_on)))
        raise SerError(
            f"data.test={test} is no corpus to test on after data={choices['data']}: choose one of "
            f"{known}."
        ) from error
    OmegaConf.resolve(composed.data)
    data = OmegaConf.to_container(composed.data)
    assert isinstance(data, dict)
    ours = ("test", "on_error", "duplicates", "listeners")  # those of data hold for both
    return OmegaConf.create({key: value for key, value in data.items() if key not in ours})
