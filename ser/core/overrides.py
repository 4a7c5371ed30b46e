"""What a config was composed from, and the command that composes it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from ser.core.redact import masked_override

# Where things lie and how many cores there are: no number depends on it.
ELSEWHERE = ("tracking", "store", "compute", "sweep")


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


def key_of(override: str) -> str:
    """The key or group that an override is of.

    >>> key_of("++model.classifier.C=3")
    'model.classifier.C'
    """
    return override.lstrip("+~").split("=")[0]


def _first(override: str) -> str:
    """The group or top-level key that an override is of: ``model`` of ``+model.classifier.C=3``."""
    return key_of(override).split(".")[0].split("/")[0].split("@")[0]
