"""``data.test``: a second corpus in the config, to test on (see `ser.data.cross_corpus`)."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf, open_dict

from ser.core import paths
from ser.core.errors import SerError
from ser.core.overrides import Choices


def with_test_corpus(cfg: DictConfig, choices: Choices) -> Choices:
    """Where the config has a ``data.test``, compose that corpus too and make the split its own.

    The corpus's config becomes ``cfg.test_data``, as its YAML and the environment have it; the
    split trains on all of one and tests on all of the other; name and MLflow experiment are both
    corpora's.

    Parameters
    ----------
    cfg : DictConfig
        Changed in place.
    choices : Choices

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
    data = _corpus_config(str(test), choices)
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


def _corpus_config(test: str, choices: Choices) -> DictConfig:
    """What conf/data has of a corpus, resolved."""
    # A table is named on the command line, where data.table is the training corpus's.
    known = sorted(file.stem for file in (paths.CONF / "data").glob("*.yaml"))
    known = [name for name in known if name not in ("table", choices["data"])]
    if test not in known:
        raise SerError(
            f"data.test={test} is no corpus to test on after data={choices['data']}: choose one of "
            f"{', '.join(known)}."
        )
    alone = OmegaConf.create({"data": OmegaConf.load(paths.CONF / "data" / f"{test}.yaml")})
    OmegaConf.resolve(alone)
    for key in ("test", "on_error", "listeners"):  # data.on_error holds for both
        alone.data.pop(key, None)
    return alone.data
