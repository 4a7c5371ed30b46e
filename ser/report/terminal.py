"""What the terminal shows of runs, nested searches and variants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ser.core.redact import without_password
from ser.evaluation.metrics import HEADLINES, METRICS, Metric, table_metrics
from ser.evaluation.protocol import Evaluation
from ser.models.pipeline import inner_classifier


def of_run(evaluation: Evaluation, *, title: str) -> str:
    """What the terminal shows of an evaluation: where it stands, and its scores."""
    clips, split = evaluation.data.clips, evaluation.split
    lines = [
        "",
        f"{title} · {len(clips)} clips, {clips['actor'].nunique()} actors, "
        f"{len(evaluation.labels)} emotions · {split}",
    ]
    if evaluation.data.transductive:
        lines.append(
            "TRANSDUCTIVE: each speaker's test clips, without labels, went into their scaling. "
            "Not to be compared with numbers of inductive runs."
        )
    lines += ["", *_table_of_scores(evaluation)]
    if evaluation.warnings:
        lines += ["", *(f"The fit warned: {message}" for message in evaluation.warnings)]
    kind = type(inner_classifier(evaluation.pipeline)).__name__
    lines += ["", f"{kind} fitted in {evaluation.metrics['fit_seconds']:.2f} s"]
    return "\n".join(lines)


def _table_of_scores(evaluation: Evaluation) -> list[str]:
    """A row for each part, then for what its scores are to be held against."""
    split, numbers, metrics = evaluation.split, evaluation.metrics, table_metrics()
    n_folds = len(split.folds)
    n_test = sum(len(fold.test) for fold in split.folds)
    n_train = round(float(np.mean([len(fold.train) for fold in split.folds])))
    about = "" if n_folds == 1 else "about "
    test = f"{n_test} clips" if n_folds == 1 else f"{n_test} clips, {n_folds} folds"
    lines = [_row("", {metric.name: _heading(metric) for metric in metrics})]
    for part, head in (
        ("train", f"train ({about}{n_train} clips)"),
        ("cv", f"cross-validation ({len(evaluation.cv_scores.get('uar', ()))} folds)"),
        ("validation", f"validation ({len(evaluation.part('validation'))} clips)"),
        ("test", f"test ({test})"),
    ):
        cells = {metric.name: metric.text_of_part(numbers, part) for metric in metrics}
        if any(cells.values()):
            lines.append(_row(head, cells))
    intervals = {metric.name: metric.text_of_interval(numbers) for metric in metrics}
    lines.append(_row(f"  95 % interval over {split.unit}s", intervals))
    if "oob_accuracy" in numbers:
        accuracy = METRICS["accuracy"].text(numbers["oob_accuracy"])
        lines.append(_row("out of bag", {"accuracy": accuracy}))
    uar = METRICS["uar"]
    if n_permutations := len(evaluation.permuted):
        shuffled = uar.text(numbers["permuted_uar_mean"], numbers["permuted_uar_std"])
        lines.append(_row(f"emotions shuffled, {n_permutations} times", {"uar": shuffled}))
    return [*lines, _row("chance", {"uar": uar.text(1 / len(evaluation.labels))})]


def of_nested_search(
    metrics: Mapping[str, float],
    chosen: pd.DataFrame,
    *,
    title: str,
    unit: str,
    metric: Metric,
    where: str,
) -> str:
    """What the terminal shows of a nested search: its number, and what each fold chose."""
    lines = ["", f"{title} · hyperparameters chosen inside each of {len(chosen)} outer folds", ""]
    for score in (METRICS[name] for name in reversed(HEADLINES)):
        interval = f"95 % interval over {unit}s {score.text_of_interval(metrics)}"
        value = score.text(metrics[f"test_{score.name}"])
        lines.append(f"{f'test {score.heading}':28}{value:>6}   {interval}")
    mean = metric.text(metrics["best_cv_mean"])
    head = f"best trials, CV {metric.name} {metric.unit}".strip()
    lines.append(f"{head:28}{mean:>6}   chosen for it: optimistic")
    shown = chosen.assign(cv=(metric.scale * chosen["cv"]).round(metric.digits))
    shown.columns = [column.split(".")[-1] for column in shown]
    return "\n".join([*lines, "", shown.to_string(index=False, na_rep=""), "", where])


def where(run_id: str, experiment: str, uri: str) -> str:
    """The run's id and the command that shows it."""
    uri = without_password(uri).replace(f"{Path.cwd()}/", "")  # as one would type it here
    return (
        f"run     {run_id} in experiment {experiment!r}\n"
        f"browse  ser-ui     (or: mlflow ui --backend-store-uri {uri})"
    )


def of_variants(table: pd.DataFrame) -> str:
    """Scores of several runs as text, the transductive ones apart."""
    accuracy, uar = METRICS["accuracy"], METRICS["uar"]
    columns = [accuracy.heading, uar.heading, "95 % interval", "10-fold %"]
    width = max(20, *(len(name) + 2 for name in table["name"]))
    published = "published" in table
    head = f"{'':{width}}" + "".join(f"{column:>16}" for column in columns)
    lines = [head + (f"{'published %':>16}" if published else "")]
    for kind, rows in table.groupby("transductive"):
        if kind:
            lines.append("transductive: speakers' test clips went into their scaling")
        for row in rows.to_dict("records"):
            cells = [
                accuracy.text_of_part(row, "test"),
                uar.text_of_part(row, "test"),
                uar.text_of_interval(row),
                accuracy.text_of_part(row, "cv") if row.get("cv_accuracy_mean", 0) > 0 else "",
            ]
            if published:
                cells.append("" if np.isnan(row["published"]) else f"{row['published']:.1f}")
            lines.append(f"{row['name']:{width}}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines)


def _row(head: str, cells: Mapping[str, str]) -> str:
    """A row of the table of scores: cells by metric, each under its heading."""
    line, end = head, 28
    for metric in table_metrics():
        end += max(14 if metric.unit == "%" else 16, len(_heading(metric)) + 2)
        if cell := cells.get(metric.name):
            line += cell.rjust(end - len(line))
    return line


def _heading(metric: Metric) -> str:
    return metric.heading if metric.unit == "%" else metric.label
