"""What a study asks: all that a trial's score depends on, besides the values that it draws.

It is kept in the study, as scores of two questions cannot stand side by side: the better one may
have been had on other clips, folds or by another metric, even on clips that are now to be tested.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ser.data.dataset import Dataset
from ser.data.folds import Split
from ser.tracking.inputs import dependencies, digest_of, fingerprint_of

# What is done with the best, what a search may cost, and how clips are found: no score depends
# on it. The clips themselves have a fingerprint.
_NOT_ASKED = (
    *("data", "test_data", "curves", "explain", "permutations", "register", "report"),
    *("tuner", "variants"),
    "model.validation_curve",
)
_SHOWN = 6  # differences that an error lists


def question_of(config: Mapping[str, Any], data: Dataset, split: Split) -> dict[str, object]:
    """What the trials of a study are scored on, and by what, by name.

    Parameters
    ----------
    config : mapping
        Of ``conf/tune.yaml``, resolved, as plain values.
    data : Dataset
        With the digests of its clips.
    split : Split
        The folds that a trial is scored on.

    Returns
    -------
    dict of str to object
        Plain values: the config's keys, ``metric``, ``prune_by``, and digests of the clips, the
        folds, the code and, by ``packages.NAME``, the packages' versions.
    """
    depends = dependencies(config, fingerprint_of(data))
    asked = {key: value for key, value in depends.items() if not _is_in(key, _NOT_ASKED)}
    tuner = config["tuner"]
    asked |= {"metric": tuner["metric"], "prune_by": tuner["prune_by"]}
    asked["folds"] = _digest_of_folds(data, split)
    return json.loads(json.dumps(asked))  # as a storage gives it back


def short_digest(question: Mapping[str, object]) -> str:
    """Eight hexadecimal digits, for a study's name."""
    return digest_of(question, 4)


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> str:
    """What two questions differ in, with both values.

    >>> differences({"seed": 1, "metric": "uar"}, {"seed": 2, "metric": "uar"})
    'seed: 1 -> 2'
    """
    keys = sorted(k for k in {**before, **now} if before.get(k, "-") != now.get(k, "-"))
    listed = [f"{k}: {before.get(k, '-')} -> {now.get(k, '-')}" for k in keys[:_SHOWN]]
    if len(keys) > _SHOWN:
        listed.append(f"and {len(keys) - _SHOWN} more")
    return "; ".join(listed)


def _is_in(key: str, sections: tuple[str, ...]) -> bool:
    return any(key == section or key.startswith(f"{section}.") for section in sections)


def _digest_of_folds(data: Dataset, split: Split) -> str:
    """Of which clips each fold trains and tests on, by what they hold."""
    digests = np.asarray(data.digests, dtype=str)
    parts = [sorted(digests[rows]) for fold in split.folds for rows in (fold.train, fold.test)]
    return digest_of(parts, 8)
