"""The jobs of a sweep -> a table over seeds, a picture, and what the terminal says."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ser import report
from ser.core.jobs import Job, varied
from ser.report import figures
from ser.report.terminal import where
from ser.tracking import queries
from ser.tracking.run import Run

SCORES = ("test_accuracy", "test_uar", "test_f1_macro")


def log(run: Run, jobs: Sequence[Job], *, uri: str) -> str:
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
        run.metrics({"best_test_uar": summary["test_uar_mean"].max()})
        title = f"{len(jobs)} jobs, mean and deviation over seeds"
        run.figure(figures.sweep(summary, title=title), "sweep")
        lines += ["", _text(summary)]
    report.attach(run)
    for job in failed:
        said = " ".join(f"{key}={value}" for key, value in differing[job.number].items())
        lines += ["", f"FAILED  {said}", f"        {job.error}"]
    return "\n".join([*lines, "", where(run.id, run.experiment, uri)])


def jobs_table(jobs: Sequence[Job], uri: str) -> pd.DataFrame:
    """One row for every job: what it varied, its state, and the scores of its run."""
    runs = queries.runs_by_id(uri, [job.run_id for job in jobs if job.run_id])
    rows = []
    for job, values in zip(jobs, varied(jobs).values(), strict=True):
        state = "failed" if job.error else "skipped" if job.skipped else "finished"
        row = {"job": job.number, **values, "state": state, "run_id": job.run_id or ""}
        if job.run_id:
            row["transductive"] = runs[job.run_id].tags.get("transductive") == "true"
            metrics = runs[job.run_id].metrics  # an exploration has no scores
            row |= {name: metrics[name] for name in SCORES if name in metrics}
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
        name, n, transductive, and mean and std of every score: the transductive ones last, each
        kind by its UAR, the best first. The deviation of one job is not a number.
    """
    table = table[table["run_id"] != ""]
    fixed = {"job", "state", "run_id", "transductive", "seed", *SCORES}
    keys = [column for column in table if column not in fixed]
    said = table[keys].apply(lambda column: [_say(column.name, value) for value in column])
    name = said.agg(" ".join, axis=1) if keys else pd.Series("all", table.index)
    groups = table.assign(name=name).groupby(["name", "transductive"], sort=False)
    summary = groups[list(SCORES)].agg(["mean", "std"])
    summary.columns = ["_".join(column) for column in summary.columns]
    summary.insert(0, "n", groups.size())
    summary = summary.reset_index()
    return summary.sort_values(
        ["transductive", "test_uar_mean"], ascending=[True, False], ignore_index=True
    )


def _say(key: str, value: str) -> str:
    """A choice by its name; a value with the last part of its key."""
    return value if "." not in key else f"{key.split('.')[-1]}={value}"


def _text(summary: pd.DataFrame) -> str:
    width = max(20, summary["name"].str.len().max() + 2)
    heads = ("jobs", "accuracy %", "UAR %", "macro F1 %")
    lines = [f"{'':{width}}{heads[0]:>6}" + "".join(f"{head:>16}" for head in heads[1:])]
    for transductive, rows in summary.groupby("transductive"):
        if transductive:
            lines.append("transductive: speakers' test clips went into their scaling")
        for row in rows.to_dict("records"):
            cells = [_spread(row[f"{s}_mean"], row[f"{s}_std"]) for s in SCORES]
            lines.append(f"{row['name']:{width}}{row['n']:>6}" + "".join(f"{c:>16}" for c in cells))
    return "\n".join(lines)


def _spread(mean: float, deviation: float) -> str:
    return f"{100 * mean:.1f}" + ("" if pd.isna(deviation) else f" ± {100 * deviation:.1f}")
