"""What the log holds of a run -> one page: scores, confusions, curves, and how to make it again.

The page is built from the run's metrics, tags and files alone, so that it can be made of any run,
at any time, on any machine that reaches the log. What a run has not (a study has no confusion
matrix, a run without curves no pictures of them) the page leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import yaml

from ser.core.comparable import NOT_COMPARABLE, kind_of, reason
from ser.evaluation.metrics import HEADLINES, METRICS
from ser.report.captions import TABLES, in_order
from ser.report.html import render
from ser.report.pictures import pictures
from ser.report.scores import (
    PARTS,
    interval_in_words,
    table_of_scores,
)
from ser.tracking.tables import read_table, reading

if TYPE_CHECKING:
    from ser.tracking.queries import LoggedRun

MAX_ROWS = 60  # of a table on the page; the file has all


@dataclass(frozen=True)
class Confusion:
    """A part's confusion matrix, ready to be shown.

    Attributes
    ----------
    part : str
        What was predicted: "test clips", "cross-validation".
    clips : int
    labels : tuple of str
    rows : tuple
        True emotion, its number of clips, and for each label (clips, percent of the row).
    """

    part: str
    clips: int
    labels: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[tuple[int, float], ...]], ...]


def render_run_page(run: LoggedRun, folder: Path) -> str:
    """The run's page.

    Parameters
    ----------
    run : LoggedRun
    folder : Path
        Its artifacts: ``config.yaml``, ``environment.txt``, ``tables/*.csv``, ``figures/*.png``;
        any of them may be missing.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    SerError
        If one of the files is damaged.
    """
    tables = {}
    for file in sorted(folder.glob("tables/*.csv")):
        with reading(run.id, f"tables/{file.name}"):
            tables[file.stem] = read_table(file)
    with reading(run.id, "config.yaml"):
        config = _read_text(folder / "config.yaml")
        listeners = ((yaml.safe_load(config) or {}).get("data") or {}).get("listeners") or {}
    with reading(run.id, "tables/confusion_matrix.csv"):
        confused = confusions(tables.get("confusion_matrix"))
    with reading(run.id, "tables/per_class.csv"):
        by_emotion = emotions(tables.get("per_class"), listeners)
    with reading(run.id, "tables/breakdown.csv"):
        by_factor = factors(tables.get("breakdown"))
    with reading(run.id, "environment.txt"):
        environment = _read_text(folder / "environment.txt")
    with reading(run.id, "figures"):
        shown = list(pictures(folder / "figures").values())
    n_labels = len(confused[0].labels) if confused else None
    return render(
        "report.html",
        run=run,
        started=f"{run.started:%Y-%m-%d %H:%M} UTC",
        cards=cards(run.metrics, run.tags, listeners),
        kind=kind_of(run.tags),
        reason=reason(kind_of(run.tags)),
        not_comparable=NOT_COMPARABLE,
        chance=100 / n_labels if n_labels else None,
        scores=table_of_scores(
            run.metrics, over=run.tags.get("interval_over", ""), n_labels=n_labels, heads={}
        ),
        confusions=confused,
        emotions=by_emotion,
        factors=by_factor,
        pictures=shown,
        tables=list(_tables(tables)),
        config=config,
        environment=environment,
    )


def cards(
    metrics: Mapping[str, float], tags: Mapping[str, str], listeners: Mapping[str, float]
) -> list[tuple[str, str, str]]:
    """The scores of the test clips, in short: name, value, and what to know of it."""
    shown = []
    for metric in (METRICS[name] for name in HEADLINES):
        if f"test_{metric.name}" not in metrics:
            continue
        note = interval_in_words(metric, metrics, tags.get("interval_over", ""))
        head = metric.label[0].upper() + metric.label[1:]
        value = metric.text_with_unit(metrics[f"test_{metric.name}"])
        shown.append((f"{head}, test clips", value, note))
    if cv := METRICS["accuracy"].text_of_part(metrics, "cv"):
        shown.append(("Accuracy, cross-validation", f"{cv} %", "mean ± deviation over folds"))
    if "test_ece" in metrics:
        value = METRICS["ece"].text_with_unit(metrics["test_ece"])
        shown.append(("Calibration error", value, "accuracy against confidence"))
    if shown and "overall" in listeners:
        value = f"{listeners['overall']:.1f} %"
        shown.append(("Human listeners", value, "accuracy, published for the corpus"))
    return shown


def confusions(table: pd.DataFrame | None) -> list[Confusion]:
    """Every part's confusion matrix, the test clips' first."""
    if table is None:
        return []
    labels = tuple(c.removeprefix("predicted_") for c in table.columns[2:])
    matrices = []
    for part in sorted(table["part"].unique(), key=list(PARTS).index, reverse=True):
        matrix = table[table["part"] == part]
        counts = matrix.iloc[:, 2:].to_numpy()
        support = counts.sum(axis=1)
        percent = 100 * counts / np.maximum(support, 1)[:, None]
        rows = tuple(
            (true, int(n), tuple(zip(row.tolist(), share.tolist(), strict=True)))
            for true, n, row, share in zip(matrix["true"], support, counts, percent, strict=True)
        )
        matrices.append(Confusion(PARTS[part], int(support.sum()), labels, rows))
    return matrices


def emotions(table: pd.DataFrame | None, listeners: Mapping[str, float]) -> list[dict[str, object]]:
    """Recall, precision, F1 (percent) and clips of every emotion, and the listeners' recall."""
    if table is None:
        return []
    return [
        {
            "name": row.emotion,
            "recall": 100 * row.recall,
            "precision": 100 * row.precision,
            "f1": 100 * row.f1,
            "clips": int(row.support),
            "listeners": listeners.get(row.emotion),
        }
        for row in table.itertuples()
    ]


def factors(table: pd.DataFrame | None) -> dict[str, list[tuple[str, float, float, int]]]:
    """Level, accuracy and UAR (percent) and clips, by every factor besides the emotion."""
    if table is None:
        return {}
    return {
        factor: [
            (str(row.level), 100 * row.accuracy, 100 * row.uar, int(row.clips))
            for row in levels.itertuples()
        ]
        for factor, levels in table.groupby("factor", sort=False)
        if factor != "emotion"
    }


def _tables(
    tables: Mapping[str, pd.DataFrame],
) -> Iterator[tuple[str, str, list[str], list[list[object]], int]]:
    """Title, caption, columns, the first rows, and the number of rows of each table."""
    for name, caption in in_order(TABLES, tables).items():
        if not caption.own_section:
            table = tables[name]
            rows = table.head(MAX_ROWS).to_numpy(dtype=object).tolist()
            yield caption.title, caption.text, list(map(str, table.columns)), rows, len(table)


def _read_text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""
