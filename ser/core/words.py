"""The words of a command as users type them: paths without quotes, and a sentence for a slip."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import hydra.utils
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ser.core import paths
from ser.core.errors import SerError
from ser.core.overrides import key_of
from ser.core.printable import shown

# The last part of the keys that take a path, a URL, a pattern of names or the name of a column.
_PATHS = {"checkpoint", "clip", "dir", "out", "pattern", "root", "storage", "store", "table", "uri"}
_COLUMNS = {"label", "speaker"}
_PLAIN = re.compile(r"[\w./:-]*|null", re.ASCII)  # what Hydra reads as it is
_FOREIGN = re.compile(r"[\w ./:-]*[^\W\x00-\x7f][\w ./:-]*")  # words of which Hydra lacks a letter
_WRITTEN = re.compile(r"""['"\[].*|\w+\(.*\)""", re.DOTALL)  # quoted, a list, a sweep
_LARGEST_SEED = 2**32 - 1
COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException)


def as_hydra_reads(word: str, *, is_sweep: bool = False) -> str:
    r"""An override whose path or word needs no quotes; a path may begin with ``~``.

    Parameters
    ----------
    word : str
        Of the command line.
    is_sweep : bool
        Whether a comma parts values, unless there is a file of that name.

    Raises
    ------
    SerError
        If a group is given no choice, as in ``model=null``.

    Examples
    --------
    >>> as_hydra_reads("data.root=/my data (1)/it's, all")
    "data.root='/my data (1)/it\\'s, all'"
    """
    key, _, value = word.partition("=")
    if value in ("null", "") and "=" in word and (group := paths.CONF / key).is_dir():
        choices = sorted(file.stem for file in group.glob("*.yaml"))
        raise SerError(f"{word} names no choice. {_listed(key, choices)}")
    is_text = key.split(".")[-1] in _PATHS | _COLUMNS or _FOREIGN.fullmatch(value)
    if word.startswith("-") or not is_text:
        return word
    if re.match(r"~(/|\\|$)", value):
        value = str(Path(value).expanduser())
    is_list = is_sweep and "," in value and not Path(value).exists()
    if _PLAIN.fullmatch(value) or _WRITTEN.fullmatch(value) or is_list:
        return f"{key}={value}" if value else word
    return f"{key}={QuotedString(text=value, quote=Quote.single).with_quotes()}"


def refusal(error: Exception, cfg: DictConfig) -> str:
    """Why overrides cannot be composed, and what was probably meant.

    Parameters
    ----------
    error : HydraException or OmegaConfBaseException
    cfg : DictConfig
        What the command has where the word that does not fit is left out.
    """
    if isinstance(error, OverrideParseException):
        key = key_of(error.override)
        return (
            f"{shown(error.override)} cannot be read as KEY=VALUE. Put a value with a comma, a "
            f"bracket or the like into two pairs of quotes: {key}='\"VALUE\"'."
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        choices = error.options or []
        meant = _meant(_close(choice, choices))
        return f"There is no {group}={choice}.{meant} {_listed(group, choices)}"
    refused = refused_key(error)
    return unknown_key(refused, cfg) if refused else str(error)


def refused_key(error: Exception) -> str | None:
    """The key or group that a command has not, if that is the error."""
    found = re.match(r"Could not (?:override|delete from config\.) '([^']+)'", str(error))
    return found[1] if found else None


def unknown_key(key: str, cfg: DictConfig) -> str:
    """That there is no such key, what was probably meant, and what is there."""
    sentence = f"There is no {'key' if '.' in key else 'group or key'} {key!r}."
    node: Any = cfg
    place, parts = "", key.split(".")
    while isinstance(node, DictConfig) and parts[0] in node and len(parts) > 1:
        place += f"{parts[0]}."
        node = node[parts.pop(0)]
    if not isinstance(node, DictConfig):
        return f"{sentence} {place.rstrip('.')} is {node!r}, which has no keys."
    known = [str(name) for name in node if not str(name).startswith("_")]
    if place and (close := _close(parts[0], known)):
        return f"{sentence}{_meant([place + name for name in close])}"
    more = _parameters(node.get("_target_")) if len(parts) == 1 else []
    if close := [parts[0]] if parts[0] in more else _close(parts[0], more):
        return f"{sentence} {node['_target_']} takes {close[0]}: add +{place}{close[0]}=VALUE."
    if place:
        return f"{sentence} {_listed(place.rstrip('.'), known)}"
    if others := _commands_with(key):
        return f"{sentence} {' and '.join(f'ser.{name}' for name in others)} has it."
    same = [leaf for leaf in _leaves(cfg) if leaf.split(".")[-1] == parts[-1]]
    meant = _meant(same[:3] or _close(parts[0], known))
    return f"{sentence}{meant} --help lists the groups, --cfg job all keys."


def check_added(overrides: Sequence[str], groups: Sequence[str], cfg: DictConfig) -> None:
    """Refuse top-level keys that a user adds: no command reads them.

    Parameters
    ----------
    overrides : sequence of str
    groups : sequence of str
        That the command has.
    cfg : DictConfig
        Without what the overrides add.

    Raises
    ------
    SerError
        Which names the key, and one that is like it.
    """
    for key in map(key_of, overrides):
        first = re.split("[.@/]", key)[0]
        if first not in cfg and first not in groups:
            raise SerError(unknown_key(first, cfg))


def check_values(cfg: DictConfig) -> None:
    """Refuse values of the top-level keys that nothing can be done with.

    Raises
    ------
    SerError
        Which names the key, its value and what fits.
    """
    for key, (fits, what) in _FITS.items():
        node, name = cfg, key
        if "." in key:
            section, _, name = key.partition(".")
            if section not in cfg:
                continue
            node = cfg[section]
            if not isinstance(node, DictConfig):
                given = f"{section}={_written(node)}"
                raise SerError(f"{given} does not fit: set keys of it, as {key}=VALUE.")
        if name in node and not fits(value := node[name]):
            raise SerError(f"{key}={_written(value)} does not fit: give {what}.")


def _written(value: object) -> str:
    """As a command line has it."""
    return "null" if value is None else shown(str(value))


def _is_whole(value: object, least: float = -float("inf"), most: float = float("inf")) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_limit(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (number and value >= 0)  # type: ignore[operator]


def _is_section_or_none(value: object) -> bool:
    return value is None or isinstance(value, DictConfig)


_FITS: dict[str, tuple[Any, str]] = {
    "seed": (
        lambda value: _is_whole(value, 0, _LARGEST_SEED),
        f"a whole number from 0 to {_LARGEST_SEED}",
    ),
    "cv.n_splits": (
        lambda value: value is None or _is_whole(value, 2),
        "how many folds, 2 or more, or null for ten",
    ),
    "cv.grouped": (lambda value: value is None or _is_switch(value), "true, false or null"),
    "permutations": (lambda value: _is_whole(value, 0), "a whole number, 0 for none"),
    "explain": (_is_switch, "true or false"),
    "report.paper": (_is_switch, "true or false"),
    "sweep.resume": (_is_switch, "true or false"),
    "compute.n_jobs": (
        lambda value: _is_whole(value) and value != 0,
        "how many workers, or -1 for one per core",
    ),
    "store": (_is_text, "a path"),
    "tracking.uri": (_is_text, "a path, or the address of a database or a server"),
    "tracking.experiment": (lambda value: value is not None, "a name"),
    "data.corpus": (lambda value: isinstance(value, DictConfig), "keys of it, as data.root=DIR"),
    "recipe": (lambda value: value is None or _is_text(value), "a name, or null"),
    "register": (lambda value: value is None or _is_text(value), "a name, or null"),
    "variants": (_is_section_or_none, "keys of it, as in conf/experiment/protocols.yaml, or null"),
    "tuner.n_trials": (
        lambda value: value is None or _is_whole(value, 0),
        "how many, or null for no limit",
    ),
    "tuner.timeout": (_is_limit, "seconds, or null for no limit"),
    "tuner.cpu_seconds": (_is_limit, "seconds, or null for no limit"),
    "tuner.nested": (_is_switch, "true or false"),
    "explore.max_clips": (lambda value: _is_whole(value, 1), "how many clips"),
    "explore.top": (lambda value: _is_whole(value, 1), "how many features"),
}


def _close(word: str, names: Sequence[str]) -> list[str]:
    return get_close_matches(word.lower(), names, n=3, cutoff=0.6)


def _meant(names: Sequence[str]) -> str:
    """The question whether it was one of them, with a space before it; nothing without a name."""
    return f" Did you mean {' or '.join(names)}?" if names else ""


def _listed(what: str, names: Sequence[str]) -> str:
    return f"{what} has {', '.join(sorted(names))}."


def _leaves(node: DictConfig, place: str = "") -> Iterator[str]:
    for name in map(str, node):
        child = node._get_node(name)
        yield f"{place}{name}"
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
            yield from _leaves(child, f"{place}{name}.")


def _parameters(target: object) -> list[str]:
    """Of the function or class that a config builds; none where there is no such thing."""
    try:
        return (
            list(inspect.signature(hydra.utils.get_object(str(target))).parameters)
            if target
            else []
        )
    except Exception:  # whatever it is
        return []


def _commands_with(group: str) -> list[str]:
    """The commands whose config has a group."""
    line = re.compile(rf"^  - {re.escape(group)}:", re.MULTILINE)
    return [file.stem for file in paths.CONF.glob("*.yaml") if line.search(file.read_text("utf-8"))]
