"""The jobs of a sweep -> a table over seeds, a picture, and what the terminal says."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd

from ser import report
from ser.core.comparable import INDUCTIVE, kind_of, order
from ser.core.jobs import Job, varied
from ser.evaluation.metrics import Metric, table_metrics
from ser.report.comparison_figures import plot_intervals
from ser.report.terminal import comparison, where
from ser.tracking.queries import runs_by_id
from ser.tracking.run import Run

_QUESTION = ("corpus", "data_fingerprint", "split")  # tags: what makes scores comparable


def log_sweep(run: Run, jobs: Sequence[Job], *, uri: str) -> str:
    """Send a sweep's tables and picture to its run.

    Parameters
    ----------
    run : Run
        The sweep's.
    jobs : sequence of Job
    uri : str
        MLflow's tracking URI.

    Returns
    -------
    str
        What the terminal shows.
    """
    table = jobs_table(jobs, uri)
    run.table(table, "jobs")
    failed, differing = [job for job in jobs if job.error], varied(jobs)
    run.metrics({"n_jobs": len(jobs), "n_failed": len(failed)})
    run.tags({"failed_jobs": len(failed)})
    lines = ["", f"Sweep of {len(jobs)} jobs, {sum(job.skipped for job in jobs)} there already"]
    if "test_uar" in table:
        summary = over_seeds(table)
        run.table(summary, "sweep")
        asked = {key.split(".")[0] for job in failed for key in differing[job.number]}
        # Else the best is of the easiest question; what a failed job was tested on is not known.
        if len(set(table["tested_on"].dropna())) == 1 and not asked & {"data", "split"}:
            run.metrics(_best(summary))
        about = " · ".join([run.so_far().name, *table["protocol"].dropna().unique()])
        run.figure(partial(plot_intervals, summary, about=about), "sweep")
        lines += ["", _sweep_text(summary)]
    report.attach(run)
    for job in failed:
        overrides = " ".join(f"{key}={value}" for key, value in differing[job.number].items())
        lines += ["", f"FAILED  {overrides}", f"        {job.error}"]
    return "\n".join([*lines, "", where(run, report="report.html")])


def _best(summary: pd.DataFrame) -> dict[str, float]:
    """The best mean UAR of each kind; those that are not inductive have their kind in the name."""
    best = summary.groupby("kind")["test_uar_mean"].max()
    names = {kind: f"best_{kind.replace(', ', '_')}_test_uar" for kind in best.index}
    return {names[kind].replace(f"_{INDUCTIVE}", ""): value for kind, value in best.items()}


def jobs_table(jobs: Sequence[Job], uri: str) -> pd.DataFrame:
    """One row for every job: what it varied, its state, and the scores of its run."""
    runs = runs_by_id(uri, [job.run_id for job in jobs if job.run_id])
    rows = []
    for job, values in zip(jobs, varied(jobs).values(), strict=True):
        state = "failed" if job.error else "skipped" if job.skipped else "finished"
        row = {"job": job.number, **values, "state": state, "run_id": job.run_id or ""}
        if job.run_id:
            tags = runs[job.run_id].tags
            row["tested_on"] = " ".join(str(tags.get(key)) for key in _QUESTION)
            row["protocol"] = tags.get("protocol", "")
            row["kind"] = kind_of(tags)
            metrics = runs[job.run_id].metrics  # an exploration has no scores
            row |= {name: metrics[name] for name in _score_names() if name in metrics}
        rows.append(row)
    return pd.DataFrame(rows)


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and deviation of the scores over the jobs that differ in their seed alone.

    Parameters
    ----------
    table : DataFrame
        See `jobs_table`.

    Returns
    -------
    DataFrame
        name, n, kind, and mean and std of every score: in the order of `KINDS`, each kind by its
        UAR, the best first. The deviation of one job is not a number.
    """
    table = table[table["run_id"] != ""]
    scores = [name for name in _score_names() if name in table]
    fixed = {"job", "state", "run_id", "tested_on", "protocol", "kind", "seed", *scores}
    keys = [column for column in table if column not in fixed]
    choices = table[keys].apply(lambda column: [_choice(column.name, value) for value in column])
    name = choices.agg(" ".join, axis=1) if keys else pd.Series("all", table.index)
    groups = table.assign(name=name).groupby(["name", "kind"], sort=False)
    summary = groups[scores].agg(["mean", "std"])
    summary.columns = ["_".join(column) for column in summary.columns]
    summary.insert(0, "n", groups.size())
    summary = summary.reset_index()
    by_uar = summary.sort_values("test_uar_mean", ascending=False)
    return by_uar.sort_values("kind", key=order, kind="stable", ignore_index=True)


def _choice(key: str, value: str) -> str:
    """A choice by its name; a value with the last part of its key."""
    return value if "." not in key else f"{key.split('.')[-1]}={value}"


def _sweep_text(summary: pd.DataFrame) -> str:
    metrics = [metric for metric in _metrics() if f"test_{metric.name}_mean" in summary]
    rows = [
        [row["name"], str(row["n"]), *(metric.text_of_part(row, "test") for metric in metrics)]
        for row in summary.to_dict("records")
    ]
    headings = ["", "jobs", *(metric.heading for metric in metrics)]
    return comparison(headings, rows, summary["kind"].tolist())


def _metrics() -> list[Metric]:
    """What a sweep is ranked by, and the like: more of each is better."""
    return [metric for metric in table_metrics() if metric.higher_is_better]


def _score_names() -> list[str]:
    return [f"test_{metric.name}" for metric in _metrics()]
