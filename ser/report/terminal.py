"""What the terminal shows of runs, nested searches and variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ser.core import paths
from ser.core.comparable import INDUCTIVE, KINDS, NOT_COMPARABLE, reason
from ser.core.printable import shown
from ser.core.redact import without_secrets
from ser.data.corpora import UNKNOWN
from ser.data.folds import counted
from ser.evaluation.metrics import HEADLINES, METRICS, Metric
from ser.evaluation.protocol import Evaluation
from ser.models.pipeline import inner_classifier
from ser.report.scores import interval_in_words, table_of_scores

if TYPE_CHECKING:
    from ser.tracking.run import Run


UI = "http://127.0.0.1:5000"  # where ser-ui serves


def of_run(evaluation: Evaluation, *, title: str, kind: str) -> str:
    """What the terminal shows of an evaluation of a kind: where it stands, and its scores."""
    clips, split = evaluation.data.clips, evaluation.split
    lines = [
        "",
        f"{shown(title)} · {len(clips)} clips, {_speakers(clips['actor'])}, "
        f"{len(evaluation.labels)} emotions · {split}",
    ]
    if kind != INDUCTIVE:
        lines.append(f"{kind.upper()}: {reason(kind)}. {NOT_COMPARABLE}")
    rows = table_of_scores(
        evaluation.metrics,
        over=f"{split.unit}s",
        n_labels=len(evaluation.labels),
        heads=_heads(evaluation),
    )
    lines += ["", *text_table(rows, least=28)]
    kind = type(inner_classifier(evaluation.pipeline)).__name__
    lines += ["", f"{kind} fitted in {evaluation.metrics['fit_seconds']:.2f} s"]
    return "\n".join(lines)


def _speakers(actors: pd.Series) -> str:
    return "speakers unknown" if set(actors) == {UNKNOWN} else counted(actors.nunique(), "actor")


def _heads(evaluation: Evaluation) -> dict[str, str]:
    """Of the table's rows, with clips and folds."""
    folds, cv = evaluation.split.folds, evaluation.cv_scores.get("uar", ())
    n_train = round(float(np.mean([len(fold.train) for fold in folds])))
    n_test = sum(len(fold.test) for fold in folds)
    several = len(folds) > 1
    return {
        "train": f"train ({'about ' if several else ''}{n_train} clips)",
        "cv": f"cross-validation ({len(cv)} folds)",
        "validation": f"validation ({len(evaluation.part('validation'))} clips)",
        "test": f"test ({n_test} clips{f', {len(folds)} folds' if several else ''})",
        "permuted": f"emotions shuffled, {len(evaluation.permuted)} times",
    }


def text_table(rows: Sequence[Sequence[str]], *, least: int = 20) -> list[str]:
    """Lines of a table: the first cell of each row on the left, the others on the right.

    Parameters
    ----------
    rows : sequence of sequence of str
        All of one length. A column is as wide as its widest cell, and two spaces.
    least : int
        Characters of the first column, at least; the others have 14.

    >>> text_table([["", "UAR %"], ["svm", "64.2"]], least=5)
    ['              UAR %', 'svm            64.2']
    """
    rows = [list(map(shown, row)) for row in rows]
    first, *others = ([len(cell) for cell in column] for column in zip(*rows, strict=True))
    widths = [max(14, max(lengths) + 2) for lengths in others]
    lines = []
    for head, *cells in rows:
        right = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        lines.append(f"{head:{max(least, *first)}}{right}".rstrip())
    return lines


def comparison(headings: Sequence[str], rows: Sequence[Sequence[str]], kinds: Sequence[str]) -> str:
    """A table of several runs, each kind apart.

    Parameters
    ----------
    headings : sequence of str
    rows : sequence of sequence of str
        Name and scores of each, in the order of `KINDS`.
    kinds : sequence of str
        Of each.
    """
    head, *lines = text_table([headings, *rows])
    for kind in reversed(KINDS[1:]):
        if kind in kinds:
            lines.insert(list(kinds).index(kind), f"{kind}: {reason(kind)}")
    lines = [head, *lines]
    return "\n".join(lines)


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
    head = f"{shown(title)} · hyperparameters chosen inside each of {len(chosen)} outer folds"
    lines = ["", head, ""]
    for score in (METRICS[name] for name in reversed(HEADLINES)):
        interval = interval_in_words(score, metrics, f"{unit}s")
        value = score.text(metrics[f"test_{score.name}"])
        lines.append(f"{f'test {score.heading}':28}{value:>6}   {interval}")
    head = f"best trials, CV {metric.name} {metric.unit}".strip()
    lines.append(f"{head:28}{metric.text(metrics['best_cv_mean']):>6}   chosen for it: optimistic")
    table = chosen.assign(cv=(metric.scale * chosen["cv"]).round(metric.digits))
    table.columns = [column.split(".")[-1] for column in table]
    return "\n".join([*lines, "", table.to_string(index=False, na_rep=""), "", where])


def where(run: Run, **pages: str) -> str:
    """The run's id, its pages by name among its files, and the link that shows it."""
    uri = without_secrets(run.uri)
    lines = [f"run     {run.id} in experiment {run.experiment!r}"]
    lines += [f"{name:8}{run.artifacts}/{page}" for name, page in pages.items()]
    link = f"#/experiments/{run.info.experiment_id}/runs/{run.id}"
    if uri.startswith(("http://", "https://")):
        lines.append(f"browse  {uri.rstrip('/')}/{link}")
    else:
        command = (
            "ser-ui" if run.uri == paths.tracking_uri() else f"MLFLOW_TRACKING_URI={uri} ser-ui"
        )
        lines.append(f"browse  {UI}/{link}     (start it: {command})")
    return "\n".join(lines).replace(f"{Path.cwd()}/", "")  # as one would type it here


def of_variants(table: pd.DataFrame) -> str:
    """Scores of several runs as text, each kind apart."""
    accuracy, uar = METRICS["accuracy"], METRICS["uar"]
    headings = ["", accuracy.heading, uar.heading, "95 % interval", "cross-validated %"]
    rows = [
        [
            row["name"],
            accuracy.text_of_part(row, "test"),
            uar.text_of_part(row, "test"),
            uar.text_of_interval(row),
            accuracy.text_of_part(row, "cv"),
        ]
        for row in table.to_dict("records")
    ]
    if "published" in table:
        headings.append("published %")
        for cells, value in zip(rows, table["published"], strict=True):
            cells.append("" if np.isnan(value) else f"{value:.1f}")
    return comparison(headings, rows, table["kind"].tolist())
