"""Variants: several configs on top of one, each a run under a parent that compares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import pandas as pd

from ser import report
from ser.core import paths
from ser.core.comparable import order
from ser.core.errors import SerError
from ser.core.experiment import Experiment, JobResult
from ser.core.printable import markdown, markdown_code, shown
from ser.report import terminal
from ser.report.comparison_figures import plot_intervals
from ser.tracking import provenance
from ser.tracking.run import start_run
from ser.train import build
from ser.train.dry import check_run
from ser.train.run import Outcome, run_experiment
from ser.train.sweep import SEVERAL


@dataclass(frozen=True, kw_only=True)
class VariantsResult(JobResult):
    """What is left of the variants: no run that could stand for all, but a table of them.

    Attributes
    ----------
    table : DataFrame
        name, kind, the metrics, test clips, chance, perhaps `published`, and run_id of every
        variant.
    parent_id : str
        Of the run that has them under it.
    """

    table: pd.DataFrame
    parent_id: str


def run_variants(experiment: Experiment) -> VariantsResult:
    """Run every variant of the experiment, then log one table and one picture of them all.

    Parameters
    ----------
    experiment : Experiment
        Of ``conf/train.yaml``, whose `variants` has `title`, and `runs` (name -> overrides) or a
        `grid` (group -> choices, all combinations), and perhaps `common` (overrides of all) and
        `published` (name -> accuracy in percent).

    Raises
    ------
    SerError
        If there are no variants, or one of them fails; what is finished stays.
    """
    cfg, choices = experiment.cfg, experiment.choices
    planned = {
        name: experiment.vary(
            [*(cfg.variants.get("common") or []), *overrides], leave_out=["experiment", "variants"]
        )
        for name, overrides in overrides_by_name(cfg.variants).items()
    }
    for variant in planned.values():
        check_run(variant.cfg, build.model_pipeline(variant.cfg)[0])
    configs = [variant.cfg for variant in planned.values()]
    corpus = "+".join(dict.fromkeys(each.data.name for each in configs))
    experiments = {each.tracking.experiment for each in configs}
    title = f"{cfg.variants.title} · {corpus}"
    recipe = choices.groups.get("experiment") or "variants"
    with start_run(
        uri=cfg.tracking.uri,
        experiment=experiments.pop() if len(experiments) == 1 else SEVERAL,
        name=f"{recipe}-{corpus}",
        tags={
            "kind": "variants",
            "recipe": recipe,
            "corpus": corpus,
            "command": choices.command(),
            **provenance.git_state(paths.PROJECT),
        },
        description=f"{markdown(cfg.variants.title)}: {markdown_code(choices.command())}",
    ) as parent:
        outcomes = {}
        for number, (name, variant) in enumerate(planned.items(), start=1):
            print(f"{number}/{len(planned)}  {shown(name)}", flush=True)
            outcomes[name] = run_experiment(variant, parent=parent)
        table = _table(outcomes, cfg.variants.get("published") or {})
        parent.table(table, "variants")
        parent.metrics(
            {f"{row['name']}_test_uar": row["test_uar"] for row in table.to_dict("records")}
        )
        parent.figure(partial(plot_intervals, table, about=title), "variants")
        report.attach(parent, with_paper=cfg.report.paper)
    where = terminal.where(parent, report="report.html")
    text = f"\n{title}\n\n{terminal.of_variants(table)}\n\n{where}"
    return VariantsResult(run_id=None, text=text, table=table, parent_id=parent.id)


def overrides_by_name(variants: Mapping[str, Any]) -> dict[str, list[str]]:
    """Name and overrides of every variant.

    Raises
    ------
    SerError
        If there is none.
    """
    if variants.get("grid"):
        groups = list(variants["grid"])
        return {
            " ".join(combination): [f"{g}={c}" for g, c in zip(groups, combination, strict=True)]
            for combination in product(*variants["grid"].values())
        }
    named = {name: list(overrides) for name, overrides in (variants.get("runs") or {}).items()}
    if not named:
        raise SerError("The experiment's 'variants' has neither runs nor a grid.")
    return named


def _table(outcomes: Mapping[str, Outcome], published: Mapping[str, float]) -> pd.DataFrame:
    rows = []
    for variant, outcome in outcomes.items():
        row = {"name": variant, "kind": outcome.kind, **outcome.metrics}
        row |= {"clips": len(outcome.predictions), "chance": 1 / outcome.n_labels}
        row["interval_over"] = outcome.logged.tags.get("interval_over", "")
        if published:
            row["published"] = published.get(variant, float("nan"))
        rows.append(row | {"run_id": outcome.run_id})
    # A number that saw the test speakers never stands among those that did not.
    return pd.DataFrame(rows).sort_values("kind", key=order, kind="stable", ignore_index=True)
