"""The suite: what is measured and what passes, from ``conf/check.yaml`` or a copy of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from ser.core import paths
from ser.core.errors import SerError
from ser.features.alteration import check_kind

NAME = "check.yaml"


@dataclass(frozen=True)
class Suite:
    """Settings of each part; None of one that is left out.

    Attributes
    ----------
    robustness, fairness, confidence, speaker, new_speaker : dict or None
    """

    robustness: dict[str, Any] | None
    fairness: dict[str, Any] | None
    confidence: dict[str, Any] | None
    speaker: dict[str, Any] | None
    new_speaker: dict[str, Any] | None


def read_suite(file: Path | None = None) -> Suite:
    """The suite of ``conf/check.yaml``, or of a file with some of its keys.

    Raises
    ------
    SerError
        If the file cannot be read, has another key, or a value that is none.
    """
    own = yaml.safe_load((paths.CONF / NAME).read_text(encoding="utf-8"))
    if file is not None:
        own = _merged(own, _read(file), "", file)
    if own["robustness"] is not None:
        alterations = own["robustness"]["alterations"]
        for kind, values in alterations.items():
            alterations[kind] = values if isinstance(values, list) else [values]
            for value in alterations[kind]:
                check_kind(kind, value)
    return Suite(**own)


def _read(file: Path) -> object:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = str(error).replace("\n", " ")
        raise SerError(
            f"{file} cannot be read as a suite ({reason}): copy {paths.CONF / NAME} and change it."
        ) from error


def _merged(own: Mapping[str, Any], given: object, prefix: str, file: Path) -> dict[str, Any]:
    """The suite with a file's keys over its own; alterations and lists are replaced whole."""
    if not isinstance(given, Mapping):
        raise SerError(
            f"{file}: {prefix.rstrip('.') or 'the file'} is no mapping of keys to values."
        )
    merged = dict(own)
    for key, value in given.items():
        name = f"{prefix}{key}"
        if key not in own:
            close = get_close_matches(str(key), own, n=1)
            hint = f" Did you mean {close[0]}?" if close else f" It may have {', '.join(own)}."
            raise SerError(f"{file}: there is no key {name}.{hint}")
        if isinstance(own[key], dict) and name != "robustness.alterations":
            value = (
                None if value is None and not prefix else _merged(own[key], value, f"{name}.", file)
            )
        elif expected := _expected(value, own[key], key):
            raise SerError(f"{file}: {name} is {value!r}: give {expected}, such as {own[key]!r}.")
        merged[key] = value
    return merged


def _expected(value: object, own: object, key: str) -> str:
    """What should stand in place of a value; empty if it may stand."""
    if isinstance(own, list):
        fits = isinstance(value, list) and value and all(_is_count(each, 0) for each in value)
        return "" if fits else "numbers of clips from 0"
    if isinstance(own, int):
        return "" if _is_count(value, 1) else "a whole number from 1"
    if isinstance(own, float):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        ends = (0, 1) if key == "level" else ()  # a level is neither
        fits = is_number and 0 <= value <= 1 and value not in ends  # type: ignore[operator]
        return "" if fits else f"a share {'between 0 and 1' if ends else 'from 0 to 1'}"
    return "" if isinstance(value, dict) else "values by kind"


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
