"""What a run is made of, logged before it starts: config, clips, code; and whether it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import yaml

from ser.core import paths
from ser.core.overrides import ELSEWHERE, Choices
from ser.core.redact import masked
from ser.data.dataset import Dataset
from ser.tracking import provenance
from ser.tracking.run import Run


def run_tags(
    choices: Choices, corpus: str, *, module: str = "ser.train", **tags: str
) -> dict[str, str]:
    """What the UI filters runs by, and what makes the run again: choices, corpus and code.

    Parameters
    ----------
    choices : Choices
    corpus : str
    module : str
        Of the command.
    **tags : str
        Further ones.
    """
    groups = ("model", "features", "split", "scaler")
    return {
        **{group: choices[group] for group in groups if group in choices.groups},
        "corpus": corpus,
        **tags,
        "command": choices.command(module),
        **provenance.git_state(paths.PROJECT),
    }


def log_config(run: Run, config: Mapping[str, Any]) -> None:
    """Log a resolved config, as parameters and whole, and the packages' versions.

    Parameters
    ----------
    run : Run
    config : mapping
        Plain values; secrets are masked here.
    """
    logged: dict[str, Any] = masked(config)
    logged.pop("tracking", None)  # where the log lies is not part of the experiment
    whole = yaml.safe_dump(logged, sort_keys=False, allow_unicode=True)
    run.text(whole, "config.yaml")
    run.text(_requirements(provenance.package_versions()), "environment.txt")
    # What is only drawn is not what a run is compared by.
    logged.get("model", {}).pop("validation_curve", None)
    for key in ("listeners", "about"):
        logged["data"].pop(key, None)
    for section in ("data", "test_data"):
        logged.get(section, {}).get("corpus", {}).pop("labels", None)  # there already
    run.params(flat(logged))


def log_dataset(run: Run, data: Dataset, *, name: str, source: str, context: str) -> str:
    """Say in the run which clips went in, and to what purpose; return their fingerprint.

    Parameters
    ----------
    run : Run
    data : Dataset
        With the digests of its clips.
    name, source : str
        Of the corpus, and where it lies.
    context : str
        What the clips are used for: the split, or ``explore``.
    """
    fingerprint = fingerprint_of(data)
    run.dataset(
        name=name,
        fingerprint=fingerprint,
        source=source,
        profile=counts(data.clips),
        context=context,
    )
    run.tags({"data_fingerprint": fingerprint})
    return fingerprint


def fingerprint_of(data: Dataset) -> str:
    """Digest of what the clips hold and how they are labelled (`provenance.fingerprint`).

    Of features that are the user's own, what the clips hold is not known: their paths stand for it.
    """
    content = data.clips["path"].to_numpy(str) if data.digests is None else data.digests
    return provenance.fingerprint(data.clips, content.tolist())


def resume_key(config: Mapping[str, Any], fingerprint: str) -> str:
    """Digest of everything that a run's numbers depend on: config, code, packages, clips."""
    return digest_of(dependencies(config, fingerprint))


def dependencies(config: Mapping[str, Any], fingerprint: str) -> dict[str, object]:
    """Everything that a run's numbers depend on, by name: config, code, packages, clips."""
    resolved: dict[str, Any] = masked(config)
    for key in ELSEWHERE:
        resolved.pop(key)
    for key in ("root", "corpus"):
        resolved["data"].pop(key, None)
        resolved.get("test_data", {}).pop(key, None)
    made_by = {"code": provenance.code_digest(), "packages": provenance.package_versions()}
    return flat({**resolved, **made_by, "clips": fingerprint})


def digest_of(values: object, size: int = 16) -> str:
    """Digest of plain values: two hexadecimal digits for each byte of its size."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()


def flat(config: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested mapping -> dotted keys.

    >>> flat({"model": {"classifier": {"C": 3}}, "seed": 1})
    {'model.classifier.C': 3, 'seed': 1}
    """
    items: dict[str, object] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            items |= flat(value, f"{prefix}{key}.")
        else:
            items[f"{prefix}{key}"] = value
    return items


def counts(clips: pd.DataFrame) -> str:
    """Clips, actors and clips of each emotion, as JSON."""
    emotions = clips["emotion"].value_counts().to_dict()
    n_actors = clips["actor"].nunique()
    return json.dumps({"clips": len(clips), "actors": n_actors, "emotions": emotions})


def _requirements(packages: Mapping[str, str]) -> str:
    return "".join(f"{name}=={number}\n" for name, number in packages.items())
