"""What a config was composed from, and the command that composes it again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ser.core.redact import masked_override

# Where things lie and how many cores there are: no number depends on it.
ELSEWHERE = ("tracking", "store", "compute", "sweep")
TOLD = ("model", "split", "data", "features")  # groups whose choices stand in a run's name
UNTOLD = {"data": "ravdess", "features": "notebook"}  # but for these, the defaults
# What a run's name tells otherwise, or no number depends on.
_NOT_IN_NAMES = (
    *("data.root", "data.table", "data.name", "data.test", "explain", "register"),
    *("report.paper", "tuner.nested", "tuner.storage", "scaler=speaker", "variants=null"),
)
LONGEST = 100  # characters of a run's name
_LONGEST_VALUE = 24  # and of a value in it


@dataclass(frozen=True)
class Choices:
    """Choice of every config group, and the overrides that made them.

    Attributes
    ----------
    groups : mapping of str to str
        ``choices["model"]`` is the choice of one.
    overrides : tuple of str
        As on the command line.
    """

    groups: Mapping[str, str]
    overrides: tuple[str, ...] = ()

    def __getitem__(self, group: str) -> str:
        return self.groups[group]

    def without(self, *keys: str) -> Choices:
        """The same without some groups, and without the overrides of them or of keys in them."""
        groups = {group: choice for group, choice in self.groups.items() if group not in keys}
        kept = tuple(o for o in self.overrides if _first(o) not in keys)
        return Choices(groups, kept)

    def command(self, module: str = "ser.train") -> str:
        """The command line that makes the same numbers again, wherever its data and log lie.

        Secrets are masked in it: it goes into the log.

        >>> Choices({}, ("model=svm", "model.classifier.C=3", "compute=dask")).command()
        'python -m ser.train model=svm model.classifier.C=3'
        """
        kept = [o for o in self.overrides if _first(o) not in ELSEWHERE]
        if not any(_first(o) == "experiment" for o in kept):
            kept = [o for o in kept if o != "variants=null"]  # which it is already
        return shlex.join(["python", "-m", module, *map(masked_override, kept)])


def run_name(parts: Sequence[str], overrides: Sequence[str], told: Sequence[str] = TOLD) -> str:
    """A run's name: some parts, and what else the command line says that may change its numbers.

    Parameters
    ----------
    parts : sequence of str
    overrides : sequence of str
        Secrets in them are left out, of paths only the last part is told, and long values are cut.
    told : sequence of str
        Groups and keys whose choices the parts tell.

    >>> run_name(["svm", "loso"], ["model=svm", "model.classifier.C=3", "seed=2", "store=/x"])
    'svm-loso C=3 seed=2'
    """
    given = {
        key_of(override): override
        for override in overrides
        if not {override, key_of(override)} & {*told, *_NOT_IN_NAMES}
        and _first(override) not in (*ELSEWHERE, "curves")
        and masked_override(override) == override
    }
    last = [key.split(".")[-1] for key in given]
    words = ["-".join(parts)]
    for (key, override), name in zip(given.items(), last, strict=True):
        name = name if last.count(name) == 1 else ".".join(key.split(".")[-2:])
        _, equals, value = override.partition("=")
        words.append(f"{name}={_short(value)}" if equals else f"~{name}")
    name = " ".join(words)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _short(value: str) -> str:
    """A value as names have it: of paths the last part, of numbers four digits.

    >>> _short("'/data/my calls.csv'"), _short("0.00123456789"), _short("[1,2,3]")
    ('my calls.csv', '0.001235', '[1,2,3]')
    """
    value = value.strip("'\"")
    if re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", value):
        return f"{float(value):.4g}"
    value = re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    return value if len(value) <= _LONGEST_VALUE else f"{value[: _LONGEST_VALUE - 1]}…"


def key_of(override: str) -> str:
    """The key or group that an override is of.

    >>> key_of("++model.classifier.C=3")
    'model.classifier.C'
    """
    return override.lstrip("+~").split("=")[0]


def _first(override: str) -> str:
    """The group or top-level key that an override is of: ``model`` of ``+model.classifier.C=3``."""
    return key_of(override).split(".")[0].split("/")[0].split("@")[0]
