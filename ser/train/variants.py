"""A study: several variants of one config, each a run under a parent that compares them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import pandas as pd

from ser import report
from ser.core import command, paths
from ser.core.errors import SerError
from ser.report import figures, terminal
from ser.tracking import provenance
from ser.tracking import run as tracking
from ser.train.run import Outcome, tracked

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ser.core.overrides import Choices


def run_study(cfg: DictConfig, choices: Choices) -> str:
    """Run every variant of ``cfg.study``, then log one table and one picture of them all.

    Parameters
    ----------
    cfg : DictConfig
        ``conf/train.yaml`` with an experiment whose `study` has `variants` (name -> overrides) or
        a `grid` (group -> choices, all combinations), and perhaps `common` (overrides of all) and
        `published` (name -> accuracy in percent).
    choices : Choices

    Returns
    -------
    str
        What the terminal shows.

    Raises
    ------
    SerError
        If the study has no variants, or one of them fails; what is finished stays.
    """
    planned = variants(cfg.study)
    name = f"{choices['experiment']}-{cfg.data.name}"
    with tracking.start_run(
        uri=cfg.tracking.uri,
        experiment=cfg.tracking.experiment,
        name=name,
        tags={
            "study": choices["experiment"],
            "corpus": cfg.data.name,
            "command": choices.command(),
            **provenance.git_state(paths.PROJECT),
        },
        description=f"{cfg.study.title}: `{choices.command()}`",
    ) as parent:
        outcomes = {}
        for number, (variant, overrides) in enumerate(planned.items(), start=1):
            print(f"{number}/{len(planned)}  {variant}", flush=True)
            every = [*(cfg.study.get("common") or []), *overrides]
            composed = command.compose_again(every, leave_out=["experiment", "study"])
            outcomes[variant] = tracked(*composed, parent=parent)
        table = _table(outcomes, cfg.study.get("published") or {})
        parent.table(table, "study")
        parent.metrics(
            {
                # MLflow takes few signs besides letters in a metric's name.
                re.sub(r"[^\w.-]+", "_", row["name"]) + "_test_uar": row["test_uar"]
                for row in table.to_dict("records")
            }
        )
        chance = 1 / next(iter(outcomes.values())).n_labels
        title = f"{cfg.study.title} · {cfg.data.name}"
        parent.figure(figures.intervals(table, chance=chance, title=title), "study")
        report.attach(parent)
    where = terminal.where(parent.id, parent.experiment, cfg.tracking.uri)
    return f"\n{title}\n\n{terminal.of_study(table)}\n\n{where}"


def variants(study: Mapping[str, Any]) -> dict[str, list[str]]:
    """Name and overrides of every run of a study.

    Raises
    ------
    SerError
        If it has none.
    """
    if study.get("grid"):
        groups = list(study["grid"])
        return {
            " ".join(combination): [f"{g}={c}" for g, c in zip(groups, combination, strict=True)]
            for combination in product(*study["grid"].values())
        }
    named = {name: list(overrides) for name, overrides in (study.get("variants") or {}).items()}
    if not named:
        raise SerError("The experiment's study has neither variants nor a grid.")
    return named


def _table(outcomes: Mapping[str, Outcome], published: Mapping[str, float]) -> pd.DataFrame:
    rows = []
    for variant, outcome in outcomes.items():
        row = {"name": variant, "transductive": outcome.transductive, **outcome.metrics}
        if published:
            row["published"] = published.get(variant, float("nan"))
        rows.append(row | {"run_id": outcome.run_id})
    # A number that saw the test speakers never stands among those that did not.
    return pd.DataFrame(rows).sort_values("transductive", kind="stable", ignore_index=True)
