"""A composed config, what it was composed from, and what the command does with it.

The command line composes one (`ser.core.command`), and so does a script or a notebook by `compose`;
a search or a list of variants composes others on top of it by `Experiment.vary`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from ser.core import paths, words
from ser.core.errors import SerError, ser_error_behind
from ser.core.overrides import TOLD, UNTOLD, Choices, key_of, run_name
from ser.core.redact import learn
from ser.core.second_corpus import with_test_corpus

SEARCH_PATH = "hydra.searchpath"


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What is left of a command's body.

    Attributes
    ----------
    run_id : str or None
        Of its run; None where it has no single run.
    text : str
        What the terminal shows.
    skipped : bool
        Whether the run was there already.
    """

    run_id: str | None
    text: str
    skipped: bool = False


@dataclass(frozen=True)
class Experiment:
    """One config of a command.

    Attributes
    ----------
    cfg : DictConfig
        Composed, without Hydra's own part.
    choices : Choices
    config : str
        Primary config in ``conf/``, which has its command's name: ``train``, ``tune``, ``explore``.
    search_path : tuple of str
        Overrides that add places where configs are looked for.
    """

    cfg: DictConfig
    choices: Choices
    config: str
    search_path: tuple[str, ...] = ()

    def run(self) -> Any:
        """Do what the command does, on the cores or the cluster that ``compute`` names.

        Returns
        -------
        JobResult
            With its run's id, its text and, of ``train``, its metrics and predictions.

        Raises
        ------
        SerError
            If the data, the config or the store is at fault.
        """
        # The command's package is named after its config, and so is the function in it.
        body = getattr(import_module(f"ser.{self.config}"), self.config)
        with plain_errors(), instantiate(self.cfg.compute):
            return body(self)

    def vary(self, overrides: Sequence[str], *, leave_out: Sequence[str] = ()) -> Experiment:
        """The same experiment with other overrides on top of its own.

        Parameters
        ----------
        overrides : sequence of str
            As on a command line; they win over this experiment's.
        leave_out : sequence of str
            Keys and groups that this experiment's overrides may name, or name keys in, and the new
            one shall not have.
        """
        replaced = {key_of(override) for override in overrides}
        kept = [
            override
            for override in self.choices.overrides
            if key_of(override) not in replaced and key_of(override).split(".")[0] not in leave_out
        ]
        return compose([*self.search_path, *kept, *overrides], config=self.config)

    def run_name(self, *groups: str, before: str = "", after: Sequence[str] = ()) -> str:
        """A name for its run: choices of some groups, and what else is not as by default."""
        choices = {group: self.choices[group] for group in groups} | {"data": self.cfg.data.name}
        told = [choices[group] for group in groups if choices[group] != UNTOLD.get(group)]
        parts = filter(None, [before, *told, *after])
        return run_name(list(parts), self.choices.overrides, (*TOLD, *groups))

    def under(self, config: str) -> Experiment:
        """The same choices for another command; a copy for the same one."""
        if config == self.config:
            return replace(self, cfg=self.cfg.copy())
        return compose([*self.search_path, *self.choices.overrides], config=config)


def compose(
    overrides: Sequence[str],
    *,
    config: str = "train",
    config_dir: str | Path | None = None,
) -> Experiment:
    """Compose a config as the command line does, in or outside of a command.

    Parameters
    ----------
    overrides : sequence of str
        As on the command line: ``model=svm``, ``cv.n_splits=5``.
    config : str
        Primary config in ``conf/``.
    config_dir : path, optional
        One more folder of configs, as ``--config-dir``.

    Raises
    ------
    SerError
        If there is no such choice or key, or a value does not fit.
    """
    if odd := [override for override in overrides if not isinstance(override, str)]:
        raise SerError(f"{odd[0]!r} is no override: give text such as 'model=svm'.")
    if config_dir is not None:
        overrides = [_search_path(Path(config_dir)), *overrides]
    overrides = [words.as_hydra_reads(override) for override in overrides]
    with hydra_context():
        try:
            cfg = hydra.compose(config, overrides, return_hydra_config=True)
            return from_hydra(cfg, cfg.hydra)
        except words.COMPOSITION_ERRORS as error:
            raise SerError(explained(error, overrides, config)) from error


def explained(error: Exception, overrides: Sequence[str], config: str) -> str:
    """Why overrides cannot be composed, and what was probably meant; for `COMPOSITION_ERRORS`."""
    cfg, refused = OmegaConf.create(), words.refused_key(error)
    others = [o for o in overrides if not o.startswith("-") and key_of(o) != refused]
    for kept in (others, []) if refused else ():
        with hydra_context(), suppress(*words.COMPOSITION_ERRORS):
            cfg = hydra.compose(config, kept)
            break
    return words.refusal(error, cfg)


def from_hydra(cfg: DictConfig, hydra_config: Any) -> Experiment:
    """The experiment of a config that Hydra composed.

    Raises
    ------
    SerError
        If its ``data.test`` does not fit (`ser.core.second_corpus`).
    """
    if cfg.get("study") is not None:
        raise SerError(
            "The key 'study' of an experiment's YAML is 'variants' now, and 'study.variants' is "
            "'variants.runs'; a study is Optuna's. See conf/experiment/protocols.yaml."
        )
    made = hydra_config.runtime.choices
    groups = {group: choice for group, choice in made.items() if not group.startswith("hydra/")}
    choices = Choices(groups, tuple(hydra_config.overrides.task))
    if "hydra" in cfg:
        with open_dict(cfg):
            del cfg["hydra"]
    added = [override for override in choices.overrides if override.startswith("+")]
    if added:
        with hydra_context():
            words.check_added(added, list(groups), hydra.compose(hydra_config.job.config_name))
    words.check_values(cfg)
    learn(OmegaConf.to_container(cfg))
    search_path = tuple(o for o in hydra_config.overrides.hydra if key_of(o) == SEARCH_PATH)
    choices = with_test_corpus(cfg, choices, search_path)
    return Experiment(cfg, choices, hydra_config.job.config_name, search_path)


@contextmanager
def hydra_context() -> Iterator[None]:
    """Hydra ready to compose: as the command has set it up, or on ``conf/`` alone."""
    paths.register_resolvers()
    state = GlobalHydra.instance()
    if state.is_initialized() and _is_ours(state):
        yield
        return
    OmegaConf.register_new_resolver("groups", lambda: "", use_cache=False, replace=True)
    of_caller = state.hydra  # whose script may be a command of Hydra's, on configs of its own
    state.clear()
    try:
        with hydra.initialize_config_dir(str(paths.CONF), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = of_caller  # which may be another object by now


@contextmanager
def plain_errors() -> Iterator[None]:
    """Raise the `SerError` that Hydra has wrapped in an error of its own."""
    try:
        yield
    except Exception as error:
        known = ser_error_behind(error)
        if known is None or known is error:
            raise
        raise known from error


def _is_ours(state: GlobalHydra) -> bool:
    places = state.config_loader().get_search_path().get_path()
    return any((place.path or "").removeprefix("file://") == str(paths.CONF) for place in places)


def _search_path(folder: Path) -> str:
    if not folder.is_dir():
        raise SerError(f"config_dir={folder} is no folder.")
    place = QuotedString(text=f"file://{folder.absolute()}", quote=Quote.single)
    return f"{SEARCH_PATH}=[{place.with_quotes()}]"


def composed_choices(*overrides: str) -> DictConfig:
    """The config of ``train`` with these choices, to take a part of."""
    return compose(overrides).cfg


def set_keys(cfg: DictConfig, settings: Mapping[str, Any], choice: str) -> None:
    """Set keys that a config has.

    Parameters
    ----------
    cfg : DictConfig
        Changed in place.
    settings : mapping of str to object
    choice : str
        What errors call the config: ``model=svm``.

    Raises
    ------
    SerError
        If it lacks one.
    """
    for key, value in settings.items():
        if key not in cfg:
            known = ", ".join(str(name) for name in cfg if not str(name).startswith("_"))
            raise SerError(f"{choice} has no {key!r}; it has {known}.")
        OmegaConf.update(cfg, key, value)
