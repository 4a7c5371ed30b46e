"""What the terminal shows of runs, nested searches and studies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ser.core.redact import without_password
from ser.evaluation.protocol import Evaluation
from ser.models.pipeline import inner_classifier


def of_run(evaluation: Evaluation, *, title: str) -> str:
    """What the terminal shows of an evaluation: where it stands, and its scores."""
    clips, split = evaluation.data.clips, evaluation.split
    numbers, n_folds = evaluation.metrics, len(split.folds)
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
    lines += ["", f"{'':28}{'accuracy %':>14}{'UAR %':>14}{'macro F1 %':>14}{'log loss':>16}"]
    n_test = sum(len(fold.test) for fold in split.folds)
    n_train = round(float(np.mean([len(fold.train) for fold in split.folds])))
    about = "" if n_folds == 1 else "about "
    test = f"{n_test} clips" if n_folds == 1 else f"{n_test} clips, {n_folds} folds"
    for head, row in (
        (f"train ({about}{n_train} clips)", "train_{}"),
        (f"cross-validation ({len(evaluation.cv_scores.get('uar', ()))} folds)", "cv_{}"),
        (f"validation ({len(evaluation.part('validation'))} clips)", "validation_{}"),
        (f"test ({test})", "test_{}"),
    ):
        cells = [_cell(numbers, row.format(m), 100) for m in ("accuracy", "uar", "f1_macro")]
        cells.append(_cell(numbers, row.format("log_loss"), 1))
        if any(cells):
            lines.append(f"{head:28}" + "".join(f"{c:>14}" for c in cells[:3]) + f"{cells[3]:>16}")
    ends = [
        f"{100 * numbers[f'test_{m}_low']:.1f} to {100 * numbers[f'test_{m}_high']:.1f}"
        for m in ("accuracy", "uar")
    ]
    head = f"  95 % interval over {split.unit}s"
    lines.append(f"{head:28}" + "".join(f"{end:>14}" for end in ends))
    if "oob_accuracy" in numbers:
        lines.append(f"{'out of bag':28}{100 * numbers['oob_accuracy']:>14.1f}")
    if len(evaluation.permuted):
        mean, deviation = 100 * numbers["permuted_uar_mean"], 100 * numbers["permuted_uar_std"]
        head = f"emotions shuffled, {len(evaluation.permuted)} times"
        lines.append(f"{head:42}{f'{mean:.1f} ± {deviation:.1f}':>14}")
    lines.append(f"{'chance':42}{100 / len(evaluation.labels):>14.1f}")
    if evaluation.warnings:
        lines += ["", *(f"The fit warned: {message}" for message in evaluation.warnings)]
    kind = type(inner_classifier(evaluation.pipeline)).__name__
    lines += ["", f"{kind} fitted in {numbers['fit_seconds']:.2f} s"]
    return "\n".join(lines)


def of_nested_search(
    metrics: Mapping[str, float],
    chosen: pd.DataFrame,
    *,
    title: str,
    unit: str,
    metric: str,
    where: str,
) -> str:
    """What the terminal shows of a nested search: its number, and what each fold chose."""
    lines = ["", f"{title} · hyperparameters chosen inside each of {len(chosen)} outer folds", ""]
    for name, head in (("accuracy", "test accuracy %"), ("uar", "test UAR %")):
        low, high = (100 * metrics[f"test_{name}_{end}"] for end in ("low", "high"))
        value = 100 * metrics[f"test_{name}"]
        lines.append(f"{head:28}{value:6.1f}   95 % interval over {unit}s {low:.1f} to {high:.1f}")
    mean = 100 * metrics["best_cv_mean"]
    lines.append(f"{f'best trials, CV {metric} %':28}{mean:6.1f}   chosen for it: optimistic")
    shown = chosen.assign(cv=(100 * chosen["cv"]).round(1))
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
    columns = ["accuracy %", "UAR %", "95 % interval", "10-fold %"]
    width = max(20, *(len(name) + 2 for name in table["name"]))
    published = "published" in table
    head = f"{'':{width}}" + "".join(f"{column:>16}" for column in columns)
    lines = [head + (f"{'published %':>16}" if published else "")]
    for kind, rows in table.groupby("transductive"):
        if kind:
            lines.append("transductive: speakers' test clips went into their scaling")
        for row in rows.to_dict("records"):
            interval = f"{100 * row['test_uar_low']:.1f} to {100 * row['test_uar_high']:.1f}"
            cells = [
                f"{100 * row['test_accuracy']:.1f}",
                f"{100 * row['test_uar']:.1f}",
                interval,
                _cell(row, "cv_accuracy", 100) if row.get("cv_accuracy_mean", 0) > 0 else "",
            ]
            if published:
                cells.append("" if np.isnan(row["published"]) else f"{row['published']:.1f}")
            lines.append(f"{row['name']:{width}}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines)


def _cell(numbers: Mapping[str, float], key: str, scale: float) -> str:
    """A score, or its mean and deviation over folds; empty where there is neither."""
    digits = 1 if scale == 100 else 3
    if key in numbers:
        return f"{scale * numbers[key]:.{digits}f}"
    if f"{key}_mean" not in numbers:
        return ""
    mean, deviation = numbers[f"{key}_mean"], numbers[f"{key}_std"]
    return f"{scale * mean:.{digits}f} ± {scale * deviation:.{digits}f}"
