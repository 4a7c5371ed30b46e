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

from ser.report import html as pages

if TYPE_CHECKING:
    from ser.tracking.queries import LoggedRun

METRICS = {"accuracy": "accuracy %", "uar": "UAR %", "f1_macro": "macro F1 %"}
PARTS = {
    "train": "clips trained on",
    "cv": "cross-validation",
    "validation": "validation clips",
    "test": "test clips",
}
MAX_ROWS = 60  # of a table on the page; the file has all

# Pictures in the page's order: what to look for in each. Others follow under their own names.
CAPTIONS = {
    "variants": "Test UAR of the variants with their 95 % intervals; the dotted line is chance.",
    "sweep": "Test UAR of the sweep's configs, mean and standard deviation over seeds.",
    "breakdown": "Accuracy by everything known of the clips; diamonds are human listeners, where "
    "the corpus tells how they did.",
    "feature_importance": "UAR lost when features are shuffled among each actor's test clips, with "
    "95 % intervals over actors: what the model leans on.",
    "learning_curve": "What more training data would bring. Where the line of the held-out folds "
    "is flat, more of the same will not help; the gap above it is what was learned by heart.",
    "roc_and_precision_recall": "Each emotion against the rest, for every threshold on its "
    "probability. An area of 0.5 on the left is chance.",
    "reliability": "Whether the probabilities can be believed: bars on the diagonal are as often "
    "right as they say.",
    "loss_curve": "Training loss after each epoch of the final fit.",
    "permutations": "UAR after the emotions were shuffled among the clips: it must lie at chance, "
    "or test clips leak into the training.",
    "class_balance": "Clips of every emotion.",
    "accuracy_by_actor": "Accuracy of each actor's clips in every run: what the test compares.",
    "optimization_history": "Score of each trial, and the best so far. No test clip was looked at.",
    "intermediate_values": "Scores of each trial fold by fold, or epoch by epoch.",
    "slice": "Score against each parameter, a dot for each trial.",
    "parallel_coordinate": "Each trial a line through its parameters to its score.",
    "importance_fanova": "Which parameters move the score, over the whole space (fANOVA).",
    "importance_ped_anova": "Which parameters decide who is in the best tenth (PED-ANOVA).",
    "contour": "Score over the two parameters that matter most.",
}
# On the page as tables, which a phone and a screen reader can show.
_AS_TABLES = "confusion_matrix"
_OWN_SECTION = ("predictions", "confusion_matrix", "per_class", "breakdown", "reliability")


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


def page(run: LoggedRun, folder: Path) -> str:
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
    """
    tables = {file.stem: pd.read_csv(file) for file in sorted(folder.glob("tables/*.csv"))}
    config = _text(folder / "config.yaml")
    listeners = ((yaml.safe_load(config) or {}).get("data") or {}).get("listeners") or {}
    return pages.render(
        "report.html",
        run=run,
        started=f"{run.started:%Y-%m-%d %H:%M} UTC",
        cards=cards(run.metrics, run.tags, listeners),
        chance=_chance(tables),
        parts=scores_by_part(run.metrics),
        confusions=confusions(tables.get("confusion_matrix")),
        emotions=emotions(tables.get("per_class"), listeners),
        factors=factors(tables.get("breakdown")),
        figures=list(_figures(folder / "figures")),
        tables=[_shown(name, t) for name, t in tables.items() if not name.startswith(_OWN_SECTION)],
        config=config,
        environment=_text(folder / "environment.txt"),
    )


def cards(
    metrics: Mapping[str, float], tags: Mapping[str, str], listeners: Mapping[str, float]
) -> list[tuple[str, str, str]]:
    """The scores of the test clips, in short: name, value, and what to know of it."""
    found = []
    for name, head in (("uar", "UAR, test clips"), ("accuracy", "Accuracy, test clips")):
        if f"test_{name}" not in metrics:
            continue
        note = ""
        if f"test_{name}_low" in metrics:
            low, high = (100 * metrics[f"test_{name}_{end}"] for end in ("low", "high"))
            over = f" over {tags['interval_over']}" if "interval_over" in tags else ""
            note = f"{low:.1f} to {high:.1f} (95 % interval{over})"
        found.append((head, f"{100 * metrics[f'test_{name}']:.1f} %", note))
    if "cv_accuracy_mean" in metrics:
        mean, deviation = (100 * metrics[f"cv_accuracy_{m}"] for m in ("mean", "std"))
        value = f"{mean:.1f} ± {deviation:.1f} %"
        found.append(("Accuracy, cross-validation", value, "mean ± deviation over folds"))
    if "test_ece" in metrics:
        value = f"{100 * metrics['test_ece']:.1f} points"
        found.append(("Calibration error", value, "accuracy against confidence"))
    if found and "overall" in listeners:
        value = f"{listeners['overall']:.1f} %"
        found.append(("Human listeners", value, "accuracy, published for the corpus"))
    return found


def scores_by_part(metrics: Mapping[str, float]) -> list[tuple[str, ...]]:
    """Accuracy, UAR, macro F1 and log loss of every part that the run has."""
    rows = []
    for part, name in PARTS.items():
        cells = [_score(metrics, f"{part}_{metric}", 100, 1) for metric in METRICS]
        cells.append(_score(metrics, f"{part}_log_loss", 1, 3))
        if any(cells):
            rows.append((name, *cells))
    return rows


def confusions(table: pd.DataFrame | None) -> list[Confusion]:
    """Every part's confusion matrix, the test clips' first."""
    if table is None:
        return []
    labels = tuple(c.removeprefix("predicted_") for c in table.columns[2:])
    found = []
    for part in sorted(table["part"].unique(), key=list(PARTS).index, reverse=True):
        some = table[table["part"] == part]
        counts = some.iloc[:, 2:].to_numpy()
        support = counts.sum(axis=1)
        percent = 100 * counts / np.maximum(support, 1)[:, None]
        rows = tuple(
            (true, int(n), tuple(zip(row.tolist(), share.tolist(), strict=True)))
            for true, n, row, share in zip(some["true"], support, counts, percent, strict=True)
        )
        found.append(Confusion(PARTS[part], int(support.sum()), labels, rows))
    return found


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
            for row in some.itertuples()
        ]
        for factor, some in table.groupby("factor", sort=False)
        if factor != "emotion"
    }


def _chance(tables: Mapping[str, pd.DataFrame]) -> float | None:
    """UAR of guessing, in percent."""
    table = tables.get("confusion_matrix")
    return None if table is None else 100 / (table.shape[1] - 2)


def _figures(folder: Path) -> Iterator[tuple[str, str, str, bool]]:
    """Title, caption, data URI and whether it is small, of each picture in `CAPTIONS`'s order."""
    order = list(CAPTIONS)
    files = sorted(
        folder.glob("*.png"),
        key=lambda f: (order.index(f.stem) if f.stem in order else len(order), f.stem),
    )
    for file in files:
        if not file.stem.startswith(_AS_TABLES):
            title = file.stem.replace("_", " ").replace("curve ", "curve: ").capitalize()
            title = title.replace("Roc", "ROC")
            data = file.read_bytes()
            uri = pages.data_uri(data, "image/png")
            yield title, CAPTIONS.get(file.stem, ""), uri, pages.is_small(data)


def _shown(name: str, table: pd.DataFrame) -> tuple[str, list[str], list[list[object]], int]:
    """Name, columns, the first rows, and the number of rows of a table."""
    rows = table.head(MAX_ROWS).to_numpy(dtype=object).tolist()
    return name.replace("_", " "), list(map(str, table.columns)), rows, len(table)


def _score(metrics: Mapping[str, float], key: str, scale: float, digits: int) -> str:
    """A score, or its mean and deviation over folds; empty where there is neither."""
    if key in metrics:
        return f"{scale * metrics[key]:.{digits}f}"
    if f"{key}_mean" not in metrics:
        return ""
    mean, deviation = scale * metrics[f"{key}_mean"], scale * metrics[f"{key}_std"]
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""
