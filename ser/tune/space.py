"""What a study may vary: distributions in YAML -> values of a trial -> overrides of its config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import BaseTrial

from ser.core.errors import SerError


@dataclass(frozen=True)
class SearchSpace:
    """Parameters in the order they are drawn, some only under a condition.

    Attributes
    ----------
    parameters : mapping of str to distribution
        A name with a dot is a key of the config, and one of `GROUPS` a group's choice. Others are
        helpers: conditions and members of lists.
    conditions : mapping of str to mapping
        Parameter -> {earlier parameter: values it must have}; not drawn otherwise.
    lists : mapping of str to sequence of str
        Key of the config -> parameters that are its members, those that were drawn.
    """

    parameters: Mapping[str, BaseDistribution]
    conditions: Mapping[str, Mapping[str, Sequence[object]]]
    lists: Mapping[str, Sequence[str]]

    def draw(self, trial: BaseTrial) -> dict[str, object]:
        """Ask a trial for every parameter whose condition holds."""
        values: dict[str, object] = {}
        for name, distribution in self.parameters.items():
            condition = self.conditions.get(name, {})
            if all(values.get(other) in allowed for other, allowed in condition.items()):
                values[name] = _suggest(trial, name, distribution)
        return values

    def overrides(self, values: Mapping[str, object]) -> list[str]:
        """The command line that sets the config to drawn values, its own keys or new ones (``++``).

        >>> space = SearchSpace({}, {}, {"model.mlp.hidden_layer_sizes": ["one", "two"]})
        >>> space.overrides({"one": 20, "scaler": "minmax", "model.mlp.alpha": 0.1})
        ['scaler=minmax', '++model.mlp.alpha=0.1', '++model.mlp.hidden_layer_sizes=[20]']
        """
        single = [
            f"{'++' if '.' in name else ''}{name}={_as_yaml(value)}"
            for name, value in values.items()
            if "." in name or name in GROUPS
        ]
        several = [
            f"++{key}=[{','.join(_as_yaml(values[name]) for name in names if name in values)}]"
            for key, names in self.lists.items()
        ]
        return single + several


GROUPS = ("features", "scaler")  # config groups whose choice a study may draw


def search_space(
    parameters: Mapping[str, Mapping[str, Any]],
    lists: Mapping[str, Sequence[str]] | None = None,
) -> SearchSpace:
    """Search space of a ``conf/search_space`` YAML.

    Parameters
    ----------
    parameters : mapping
        Name -> `choices`, or `low` and `high` with perhaps `step` and `log` (integers where both
        bounds are); with perhaps `if`, a mapping of earlier names to the values they must have.
    lists : mapping, optional
        See `SearchSpace`.

    Raises
    ------
    SerError
        If an entry is neither of the two, or names a parameter that is not drawn before it.
    """
    distributions: dict[str, BaseDistribution] = {}
    conditions: dict[str, dict[str, list[object]]] = {}
    for name, entry in parameters.items():
        entry = dict(entry)
        condition = {k: list(v) for k, v in (entry.pop("if", None) or {}).items()}
        if unknown := [other for other in condition if other not in distributions]:
            raise SerError(f"search_space: {name} depends on {unknown[0]}, which is not before it.")
        if condition:
            conditions[name] = condition
        distributions[name] = _distribution(name, entry)
    lists = {key: list(names) for key, names in (lists or {}).items()}
    for key, names in lists.items():
        if unknown := [name for name in names if name not in distributions]:
            raise SerError(f"search_space: {key} lists {unknown[0]}, which is no parameter.")
    return SearchSpace(distributions, conditions, lists)


def _distribution(name: str, entry: Mapping[str, Any]) -> BaseDistribution:
    try:
        if set(entry) == {"choices"}:
            return CategoricalDistribution(list(entry["choices"]))
        whole = all(isinstance(entry[bound], int) for bound in ("low", "high"))
        return IntDistribution(**entry) if whole else FloatDistribution(**entry)
    except (KeyError, TypeError, ValueError) as error:
        raise SerError(
            f"search_space: {name} is {dict(entry)} ({error}); give choices, or low and high with "
            "perhaps step or log."
        ) from error


def _suggest(trial: BaseTrial, name: str, distribution: BaseDistribution) -> object:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        low, high, step = distribution.low, distribution.high, distribution.step
        return trial.suggest_int(name, low, high, step=step, log=distribution.log)
    if isinstance(distribution, FloatDistribution):
        start, end = distribution.low, distribution.high
        return trial.suggest_float(name, start, end, step=distribution.step, log=distribution.log)
    raise TypeError(f"{type(distribution).__name__} cannot be drawn from")


def _as_yaml(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
