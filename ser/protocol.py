"""One protocol from end to end: cross-validation, test, curves, and every number of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from ser.curves import Curve, learning_curve
from ser.evaluation import FoldResult, evaluate_folds, predict, predictions_table, scores
from ser.pipeline import inner_classifier, without_probabilities
from ser.splits import Fold, Split, cross_validation_folds


@dataclass(frozen=True)
class Settings:
    """How a protocol is carried out.

    Attributes
    ----------
    n_splits : int
        Folds of the cross-validation.
    learning_clips, learning_actors : tuple of int
        What the learning curve trains on: clips, or actors under a grouped split; empty for none.
    seed : int
    n_jobs : int
        joblib workers; -1 for one per core.
    """

    n_splits: int
    learning_clips: tuple[int, ...]
    learning_actors: tuple[int, ...]
    seed: int
    n_jobs: int


@dataclass(frozen=True)
class Evaluation:
    """Everything a protocol found out about a model.

    Attributes
    ----------
    labels : tuple of str
        Emotions, sorted.
    pipeline : Pipeline
        Fitted on all training clips.
    metrics : dict of str to float
        ``train_accuracy``, ``cv_uar_mean``, ``test_f1_macro``, ...
    fold_scores : dict of str to list of float
        ``accuracy`` ... of every cross-validation fold.
    predictions : DataFrame
        One row for every prediction on a held-out clip: see `evaluation.predictions_table`.
    curve : Curve or None
    loss : list of float
        Training loss after each epoch, where the classifier keeps it.
    warnings : tuple of str
        What the fits warned of.
    """

    labels: tuple[str, ...]
    pipeline: Pipeline
    metrics: dict[str, float]
    fold_scores: dict[str, list[float]]
    predictions: pd.DataFrame
    curve: Curve | None
    loss: list[float]
    warnings: tuple[str, ...]

    def part(self, name: str) -> pd.DataFrame:
        """Predictions of one part, ``cv`` or ``test``."""
        return self.predictions[self.predictions["part"] == name]


def evaluate(
    pipeline: Pipeline, clips: pd.DataFrame, X: np.ndarray, split: Split, settings: Settings
) -> Evaluation:
    """Cross-validate on the training clips, fit on all of them, predict the test clips.

    Parameters
    ----------
    pipeline : Pipeline
        Not fitted.
    clips : (n_clips, ...) DataFrame
        With `emotion` and `actor`.
    X : (n_clips, n_features)
    split : Split
    settings : Settings

    Raises
    ------
    SerError
        If there are too few clips or actors for the folds.
    """
    y = clips["emotion"].to_numpy(dtype=str)
    actors = clips["actor"].to_numpy()
    groups = actors if split.grouped else None
    train = split.fold.train
    folds = [
        Fold(train[inner.train], train[inner.test])
        for inner in cross_validation_folds(
            y[train],
            actors[train],
            n_splits=settings.n_splits,
            grouped=split.grouped,
            seed=settings.seed,
        )
    ]
    with _progress(len(folds) + 1, "Fitting") as advance:
        # The fit on all training clips is one more job beside the folds.
        (*cv, test), messages = evaluate_folds(
            pipeline, X, y, groups, [*folds, split.fold], n_jobs=settings.n_jobs, advance=advance
        )
    curve = None
    sizes = settings.learning_actors if split.grouped else settings.learning_clips
    if sizes:
        with _progress(len(folds) * len(sizes), "Learning curve") as advance:
            curve = learning_curve(
                without_probabilities(pipeline),
                X,
                y,
                groups,
                folds,
                sizes=sizes,
                seed=settings.seed,
                n_jobs=settings.n_jobs,
                advance=advance,
            )
    labels = tuple(np.unique(y))
    fold_scores = _by_metric([scores(y[r.test], r.predicted, r.proba, labels) for r in cv])
    return Evaluation(
        labels=labels,
        pipeline=test.pipeline,
        metrics=_metrics(test, fold_scores, X, y, train, labels),
        fold_scores=fold_scores,
        predictions=pd.concat(
            [
                *(predictions_table(clips, r, labels, part="cv", fold=i) for i, r in enumerate(cv)),
                predictions_table(clips, test, labels, part="test", fold=0),
            ],
            ignore_index=True,
        ),
        curve=curve,
        loss=list(getattr(inner_classifier(test.pipeline), "loss_curve_", [])),
        warnings=messages,
    )


def _metrics(
    test: FoldResult,
    fold_scores: dict[str, list[float]],
    X: np.ndarray,
    y: np.ndarray,
    train: np.ndarray,
    labels: tuple[str, ...],
) -> dict[str, float]:
    on_train = scores(y[train], *predict(test.pipeline, X[train], labels), labels)
    on_test = scores(y[test.test], test.predicted, test.proba, labels)
    numbers = {f"train_{name}": value for name, value in on_train.items()}
    for name, values in fold_scores.items():
        numbers[f"cv_{name}_mean"] = float(np.mean(values))
        numbers[f"cv_{name}_std"] = float(np.std(values))
    numbers |= {f"test_{name}": value for name, value in on_test.items()}
    oob = getattr(inner_classifier(test.pipeline), "oob_score_", None)
    if oob is not None:
        numbers["oob_accuracy"] = float(oob)
    numbers["fit_seconds"] = test.fit_seconds
    numbers["predict_seconds"] = test.predict_seconds
    return numbers


def _by_metric(folds: list[dict[str, float]]) -> dict[str, list[float]]:
    return {name: [fold[name] for fold in folds] for name in folds[0]}


@contextmanager
def _progress(total: int, what: str) -> Iterator[Callable[[], object]]:
    """A bar for what takes longer than a second."""
    with tqdm(total=total, desc=what, unit="fit", delay=1, leave=False, disable=None) as bar:
        yield bar.update
