"""An evaluation -> what a run logs and what the terminal says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix as count_confusions

from ser import plots
from ser.errors import SerError
from ser.evaluation import per_class, roc
from ser.pipeline import inner_classifier
from ser.protocol import Evaluation
from ser.splits import Split
from ser.store import Extraction

if TYPE_CHECKING:
    from ser.tracking import Run


def keep_readable(
    clips: pd.DataFrame, extraction: Extraction, run: Run
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The clips that have features, their features and content digests; the others are logged.

    Raises
    ------
    SerError
        If no clip is left.
    """
    good = ~clips["path"].isin(extraction.errors).to_numpy()
    run.metrics({"n_skipped_clips": float((~good).sum())})
    if not good.all():
        skipped = pd.DataFrame(extraction.errors.items(), columns=["path", "cause"])
        run.table(skipped, "skipped_clips")
        print(f"{len(skipped)} of {len(clips)} clips skipped; causes in tables/skipped_clips.csv.")
    if not good.any():
        raise SerError(f"None of the {len(clips)} clips can be used: {skipped['cause'].iloc[0]}.")
    return clips[good].reset_index(drop=True), extraction.X[good], extraction.content[good]


def log(run: Run, evaluation: Evaluation, clips: pd.DataFrame, split: Split, *, title: str) -> None:
    """Send an evaluation's numbers, tables and pictures to a run."""
    labels, test = evaluation.labels, evaluation.part("test")
    curves, macro_auc = roc(test["true"].to_numpy(), _proba(test, labels), labels)
    by_emotion = per_class(test["true"], test["predicted"], labels)
    run.metrics(evaluation.metrics | {"test_auc_macro": macro_auc})
    run.metrics({f"test_recall_{row.emotion}": row.recall for row in by_emotion.itertuples()})
    for name, values in evaluation.fold_scores.items():
        run.steps(f"cv_{name}", values)
    run.steps("train_loss", evaluation.loss, first=1)

    run.table(evaluation.predictions, "predictions")
    run.table(by_emotion, "per_class")
    counts = {
        part: count_confusions(table["true"], table["predicted"], labels=labels)
        for part, table in evaluation.predictions.groupby("part")
    }
    run.table(_confusion_table(counts, labels), "confusion_matrix")
    for part, matrix in counts.items():
        figure = plots.confusion_matrix(matrix, labels, title=f"{title} · {part}")
        run.figure(figure, f"confusion_matrix_{part}")
    run.figure(plots.roc_curves(curves, macro_auc=macro_auc, n_clips=len(test)), "roc")
    emotion = clips["emotion"].astype("category").cat.set_categories(labels)
    train_counts, test_counts = (
        emotion.iloc[rows].value_counts(sort=False).tolist()
        for rows in (split.fold.train, split.fold.test)
    )
    run.figure(plots.class_balance(train_counts, test_counts, labels), "class_balance")
    if evaluation.loss:
        n_clips = len(split.fold.train)
        run.figure(plots.loss_curve(evaluation.loss, n_clips=n_clips), "loss_curve")
    if evaluation.curve is not None:
        curve = evaluation.curve
        figure = plots.learning_curve(curve, n_labels=len(labels))
        run.figure(figure, "learning_curve")
        run.table(_curve_table(evaluation), "learning_curve")


def summary(evaluation: Evaluation, clips: pd.DataFrame, split: Split, *, title: str) -> str:
    """What the terminal shows of an evaluation: where it stands, and its scores."""
    numbers = evaluation.metrics
    known = "test actors never heard" if split.grouped else "test actors known to the model"
    n_folds = len(evaluation.fold_scores["accuracy"])
    lines = [
        "",
        f"{title} · {len(clips)} clips, {clips['actor'].nunique()} actors, "
        f"{len(evaluation.labels)} emotions · {known}",
        "",
        f"{'':28}{'accuracy %':>14}{'UAR %':>14}{'macro F1 %':>14}{'log loss':>16}",
    ]
    for head, row in (
        (f"train ({len(split.fold.train)} clips)", "train_{}"),
        (f"cross-validation ({n_folds} folds)", "cv_{}"),
        (f"test ({len(split.fold.test)} clips)", "test_{}"),
    ):
        cells = [_cell(numbers, row.format(m), 100) for m in ("accuracy", "uar", "f1_macro")]
        cells.append(_cell(numbers, row.format("log_loss"), 1))
        lines.append(f"{head:28}" + "".join(f"{c:>14}" for c in cells[:3]) + f"{cells[3]:>16}")
    if "oob_accuracy" in numbers:
        lines.append(f"{'out of bag':28}{100 * numbers['oob_accuracy']:>14.1f}")
    lines.append(f"{'chance':28}{'':>14}{100 / len(evaluation.labels):>14.1f}")
    if evaluation.warnings:
        lines += ["", *(f"The fit warned: {message}" for message in evaluation.warnings)]
    kind = type(inner_classifier(evaluation.pipeline)).__name__
    lines += ["", f"{kind} fitted in {numbers['fit_seconds']:.2f} s"]
    return "\n".join(lines)


def where(run_id: str, experiment: str, uri: str) -> str:
    """The run's id and the command that shows it."""
    uri = uri.replace(f"{Path.cwd()}/", "")  # as one would type it here
    return (
        f"run     {run_id} in experiment {experiment!r}\n"
        f"browse  ser-ui     (or: mlflow ui --backend-store-uri {uri})"
    )


def description(choices: Mapping[str, str]) -> str:
    """Markdown on top of the run's page: the command that makes the run again."""
    groups = " ".join(f"{group}={choice}" for group, choice in choices.items() if choice)
    return f"`python -m ser.train {groups}` and the changes in *Parameters*."


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


def versions(packages: Mapping[str, str]) -> str:
    """Lines of ``package==version``."""
    return "".join(f"{name}=={number}\n" for name, number in packages.items())


def counts(clips: pd.DataFrame) -> str:
    """Clips, actors and clips of each emotion, as JSON."""
    emotions = clips["emotion"].value_counts().to_dict()
    return json.dumps({"clips": len(clips), "actors": clips["actor"].nunique(), **emotions})


def _cell(numbers: Mapping[str, float], key: str, scale: float) -> str:
    digits = 1 if scale == 100 else 3
    if key in numbers:
        return f"{scale * numbers[key]:.{digits}f}"
    mean, deviation = numbers[f"{key}_mean"], numbers[f"{key}_std"]
    return f"{scale * mean:.{digits}f} ± {scale * deviation:.{digits}f}"


def _proba(predictions: pd.DataFrame, labels: tuple[str, ...]) -> np.ndarray:
    return predictions[[f"p_{emotion}" for emotion in labels]].to_numpy()


def _confusion_table(counts: dict[str, np.ndarray], labels: tuple[str, ...]) -> pd.DataFrame:
    tables = []
    for part, matrix in counts.items():
        table = pd.DataFrame(matrix, columns=[f"predicted_{e}" for e in labels])
        table.insert(0, "true", labels)
        table.insert(0, "part", part)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _curve_table(evaluation: Evaluation) -> pd.DataFrame:
    curve = evaluation.curve
    n_sizes, n_folds = curve.validation.shape
    return pd.DataFrame(
        {
            curve.unit: np.repeat(curve.sizes, n_folds),
            "fold": np.tile(np.arange(n_folds), n_sizes),
            "train_accuracy": curve.train.ravel(),
            "validation_accuracy": curve.validation.ravel(),
        }
    )
