"""One protocol from end to end: the split's folds, cross-validation, curves, and their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from ser.core.progress import bar
from ser.core.threads import one_thread
from ser.data.dataset import Dataset
from ser.data.folds import Split
from ser.evaluation.curves import Curve, learning_curve, validation_curve
from ser.evaluation.folds import FoldResult, evaluate_fold, fit_on, predictions_table
from ser.evaluation.metrics import scores
from ser.evaluation.parallel import Job, Workers, run_fits
from ser.evaluation.plan import Settings, plan
from ser.evaluation.uncertainty import permutation_uars, score_intervals
from ser.models.pipeline import inner_classifier, predict_emotions, without_probabilities


@dataclass(frozen=True)
class Evaluation:
    """Everything a protocol found out about a model.

    Attributes
    ----------
    data : Dataset
    split : Split
        What was evaluated, and by which protocol.
    labels : tuple of str
        Emotions, sorted.
    pipeline : Pipeline
        Fitted on the split's development part: all training clips of a single fold, or all clips
        where the split has several folds, each of which tested a model of its own.
    models : tuple of Pipeline
        Fitted on the training clips of each fold of the split; none of several folds, unless
        `Settings.keep_models`.
    metrics : dict of str to float
        ``train_accuracy``, ``cv_uar_mean``, ``test_f1_macro``, ``test_uar_low``, ...
    cv_scores : dict of str to list of float
        ``accuracy`` ... of every cross-validation fold; empty where the split has several folds.
    fold_scores : dict of str to list of float
        ``accuracy`` ... of every fold of the split.
    predictions : DataFrame
        One row for every prediction on a held-out clip: see `evaluation.predictions_table`.
    learning : Curve or None
    validation : tuple of Curve
    loss : dict of str to list of float
        ``train``, and ``validation`` where some was held out to stop by: loss of the final model
        after each epoch, where the classifier keeps it.
    layers : DataFrame
        fold, and what its selection of an encoder's layers learned; empty of other models.
    permuted : (n_permutations,) float
        Test UARs after the emotions were shuffled.
    warnings : tuple of str
        What the fits warned of.
    notes : tuple of str
        What was not as one may expect: see `ser.evaluation.plan.Plan`.
    """

    data: Dataset
    split: Split
    labels: tuple[str, ...]
    pipeline: Pipeline
    models: tuple[Pipeline, ...]
    metrics: dict[str, float]
    cv_scores: dict[str, list[float]]
    fold_scores: dict[str, list[float]]
    predictions: pd.DataFrame
    learning: Curve | None
    validation: tuple[Curve, ...]
    loss: dict[str, list[float]]
    layers: pd.DataFrame
    permuted: np.ndarray
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def part(self, name: str) -> pd.DataFrame:
        """Predictions of one part, ``cv``, ``validation`` or ``test``."""
        return self.predictions[self.predictions["part"] == name]


@one_thread()
def evaluate(pipeline: Pipeline, data: Dataset, split: Split, settings: Settings) -> Evaluation:
    """Fit and test on every fold of the split; cross-validate and draw curves on what trains.

    A split of one fold has a training part, which is cross-validated. A split of several folds is a
    cross-validation itself; its test scores are over the pooled held-out clips.

    Parameters
    ----------
    pipeline : Pipeline
        Not fitted.
    data : Dataset
    split : Split
    settings : Settings

    Raises
    ------
    SerError
        If there are too few clips or actors for the folds, or the folds would leak.
    """
    planned = plan(data, split, settings)
    labels, inner = data.emotions, planned.inner
    bare = data.bare()
    outer, cv, final, messages = _fit_all(pipeline, bare, split, inner, settings)
    learning, validation = _curves(pipeline, bare, inner, settings) if inner else (None, ())
    permuted = _permuted(pipeline, bare, split, settings)

    predictions = _predictions(data, split, outer, cv)
    cv_scores, fold_scores = (
        _by_metric([scores(bare.labels[r.test], r.predicted, r.proba, labels) for r in results])
        for results in (cv, outer)
    )
    metrics = {
        **_train_metrics(outer),
        **_spread("cv", cv_scores),
        **_part_metrics(predictions, "validation"),
        **pooled_metrics(predictions, split),
        **(_spread("test", fold_scores) if len(outer) > 1 else {}),
        **_model_metrics(final, outer),
        "n_development_clips": float(len(split.development)),
    }
    metrics |= _permuted_metrics(permuted, metrics["test_uar"])
    return Evaluation(
        data=data,
        split=split,
        labels=labels,
        pipeline=final,
        models=tuple(result.pipeline for result in outer if result.pipeline is not None),
        metrics=metrics,
        cv_scores=cv_scores,
        fold_scores=fold_scores,
        predictions=predictions,
        learning=learning,
        validation=validation,
        loss=_losses(final),
        layers=_layers(outer),
        permuted=permuted,
        warnings=messages,
        notes=planned.notes,
    )


def pooled_metrics(predictions: pd.DataFrame, split: Split) -> dict[str, float]:
    """Scores of all test clips, whichever fold predicted them, with their intervals.

    Parameters
    ----------
    predictions : DataFrame
        Rows of `evaluation.predictions_table`; those of other parts are left out.
    split : Split
        Says what the intervals are over: actors, or clips.

    Returns
    -------
    dict of str to float
        ``test_accuracy``, ``test_uar``, ``test_ece``, ..., and ``test_uar_low``, ``test_uar_high``,
        which one actor, or one clip, does not have.
    """
    test = predictions[predictions["part"] == "test"]
    units = test["actor"].to_numpy() if split.grouped else None
    true, predicted = test["true"].to_numpy(dtype=str), test["predicted"].to_numpy(dtype=str)
    intervals = score_intervals(true, predicted, units)
    ends = {
        f"test_{name}_{end}": value
        for name, interval in intervals.items()
        for end, value in zip(("low", "high"), interval, strict=True)
    }
    return _part_metrics(test, "test") | ends


def _fit_all(
    pipeline: Pipeline, data: Dataset, split: Split, inner: Split | None, settings: Settings
) -> tuple[list[FoldResult], list[FoldResult], Pipeline, tuple[str, ...]]:
    """Results of the split's folds, of the cross-validation, and the final model: all at once."""
    n_outer, grouped = len(split.folds), split.grouped
    keep = settings.keep_models or n_outer == 1
    jobs: list[Job] = [
        (evaluate_fold, (pipeline, data, fold, grouped, True, keep or bool(len(fold.validation))))
        for fold in split.folds
    ]
    if n_outer > 1:
        jobs.append((fit_on, (pipeline, data, np.arange(len(data)), grouped)))
    elif inner is not None:
        jobs += [(evaluate_fold, (pipeline, data, f, grouped, False, False)) for f in inner.folds]
    with progress(len(jobs), "Fitting", settings) as workers:
        results, messages = run_fits(jobs, pipeline, workers)
    outer, others = results[:n_outer], results[n_outer:]
    if n_outer > 1:
        return outer, [], others[0], messages
    return outer, others, outer[0].pipeline, messages


def _curves(
    pipeline: Pipeline, data: Dataset, inner: Split, settings: Settings
) -> tuple[Curve | None, tuple[Curve, ...]]:
    pipeline = without_probabilities(pipeline)
    learning, validation = None, []
    sizes = settings.learning_actors if inner.grouped else settings.learning_clips
    if sizes:
        with progress(len(inner.folds) * len(sizes), "Learning curve", settings) as workers:
            learning = learning_curve(
                pipeline, data, inner, sizes=sizes, seed=settings.seed, workers=workers
            )
    for parameter, values in settings.validation.items():
        total, title = len(inner.folds) * len(values), f"Validation curve: {parameter}"
        with progress(total, title, settings) as workers:
            curve = validation_curve(
                pipeline, data, inner, parameter=parameter, values=values, workers=workers
            )
            validation.append(curve)
    return learning, tuple(validation)


def _permuted(pipeline: Pipeline, data: Dataset, split: Split, settings: Settings) -> np.ndarray:
    total = settings.n_permutations * len(split.folds)
    with progress(total, "Permutations", settings) as workers:
        return permutation_uars(
            pipeline,
            data,
            split,
            n_permutations=settings.n_permutations,
            seed=settings.seed,
            workers=workers,
        )


def _predictions(
    data: Dataset, split: Split, outer: Sequence[FoldResult], cv: Sequence[FoldResult]
) -> pd.DataFrame:
    labels, validation = data.emotions, []
    for fold, result in zip(split.folds, outer, strict=True):
        if len(fold.validation):
            predicted, proba = predict_emotions(
                result.pipeline, data.features[fold.validation], labels
            )
            validation.append(
                replace(result, test=fold.validation, predicted=predicted, proba=proba)
            )
    tables = [
        predictions_table(data.clips, result, labels, part=part, fold=number)
        for part, results in (("cv", cv), ("validation", validation), ("test", outer))
        for number, result in enumerate(results)
    ]
    return pd.concat(tables, ignore_index=True)


def _permuted_metrics(permuted: np.ndarray, uar: float) -> dict[str, float]:
    if not len(permuted):
        return {}
    reached = float((permuted >= uar).sum())
    return {
        "permuted_uar_mean": float(permuted.mean()),
        "permuted_uar_std": float(permuted.std()),
        "permuted_p": (1 + reached) / (1 + len(permuted)),
    }


def _train_metrics(outer: Sequence[FoldResult]) -> dict[str, float]:
    by_metric = _by_metric([result.train_scores for result in outer])
    return {f"train_{name}": float(np.mean(values)) for name, values in by_metric.items()}


def _spread(part: str, by_metric: Mapping[str, list[float]]) -> dict[str, float]:
    numbers = {}
    for name, values in by_metric.items():
        numbers[f"{part}_{name}_mean"] = float(np.mean(values))
        numbers[f"{part}_{name}_std"] = float(np.std(values))
    return numbers


def _part_metrics(predictions: pd.DataFrame, part: str) -> dict[str, float]:
    """Scores over all clips of a part, whichever fold predicted them."""
    table = predictions[predictions["part"] == part]
    if table.empty:
        return {}
    true, predicted = table["true"].to_numpy(), table["predicted"].to_numpy()
    probabilities = table.filter(regex="^p_")
    labels = [column.removeprefix("p_") for column in probabilities]
    proba = probabilities.to_numpy()
    numbers = scores(true, predicted, proba, labels, per_fold=False)
    return {f"{part}_{name}": value for name, value in numbers.items()}


def _model_metrics(final: Pipeline, outer: Sequence[FoldResult]) -> dict[str, float]:
    numbers = {
        "fit_seconds": float(np.mean([result.fit_seconds for result in outer])),
        "predict_seconds": float(np.mean([result.predict_seconds for result in outer])),
    }
    oob = getattr(inner_classifier(final), "oob_score_", None)
    if oob is not None:
        numbers["oob_accuracy"] = float(oob)
    return numbers


def _layers(outer: Sequence[FoldResult]) -> pd.DataFrame:
    rows = [{"fold": n, **row} for n, result in enumerate(outer) for row in result.learned]
    return pd.DataFrame(rows)


def _losses(final: Pipeline) -> dict[str, list[float]]:
    classifier = inner_classifier(final)
    kept = {"train": "loss_curve_", "validation": "validation_loss_curve_"}
    losses = {part: list(getattr(classifier, name, None) or ()) for part, name in kept.items()}
    return {part: loss for part, loss in losses.items() if loss}


def _by_metric(folds: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    return {name: [fold[name] for fold in folds] for name in (folds[0] if folds else ())}


@contextmanager
def progress(total: int, title: str, settings: Settings) -> Iterator[Workers]:
    """Workers who move a bar, which is drawn for what takes longer than a second."""
    with bar(total=total, desc=title, unit="fit", delay=1, leave=False) as drawn:
        yield Workers(settings.n_jobs, drawn.update)
