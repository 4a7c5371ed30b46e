"""One protocol from end to end: the split's folds, cross-validation, curves, and their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from ser.core.errors import SerError
from ser.core.threads import one_thread
from ser.data.splits import Fold, Split, check, cross_validation_folds
from ser.evaluation.curves import Curve, learning_curve, validation_curve
from ser.evaluation.folds import FoldResult, evaluate_fold, predictions_table
from ser.evaluation.metrics import reliability, scores
from ser.evaluation.parallel import Job, run_fits
from ser.evaluation.uncertainty import bootstrap_intervals, permutation_uars
from ser.models.pipeline import fit, inner_classifier, predict, without_probabilities


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a protocol is carried out.

    Attributes
    ----------
    n_splits : int
        Folds of the cross-validation.
    grouped : bool or None
        Whether these folds keep actors apart; None for as the split does.
    learning_clips, learning_actors : tuple of int
        What the learning curve trains on: clips, or actors under a grouped split; empty for none.
    validation : mapping of str to sequence
        Parameter of the pipeline (``classifier__alpha``) -> values to draw a validation curve of.
    keep_models : bool
        Whether the models of several folds stay in memory, to be explained.
    n_permutations : int
        Shuffles of the emotions for the permutation check; 0 for none.
    seed : int
    n_jobs : int
        joblib workers; -1 for one per core.
    """

    n_splits: int
    seed: int
    grouped: bool | None = None
    learning_clips: tuple[int, ...] = ()
    learning_actors: tuple[int, ...] = ()
    validation: Mapping[str, Sequence[object]] = field(default_factory=dict)
    keep_models: bool = False
    n_permutations: int = 0
    n_jobs: int = -1


@dataclass(frozen=True)
class Evaluation:
    """Everything a protocol found out about a model.

    Attributes
    ----------
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
    permuted : (n_permutations,) float
        Test UARs after the emotions were shuffled.
    warnings : tuple of str
        What the fits warned of.
    """

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
    permuted: np.ndarray
    warnings: tuple[str, ...]

    def part(self, name: str) -> pd.DataFrame:
        """Predictions of one part, ``cv``, ``validation`` or ``test``."""
        return self.predictions[self.predictions["part"] == name]


@one_thread()
def evaluate(
    pipeline: Pipeline, clips: pd.DataFrame, X: np.ndarray, split: Split, settings: Settings
) -> Evaluation:
    """Fit and test on every fold of the split; cross-validate and draw curves on what trains.

    A split of one fold has a training part, which is cross-validated. A split of several folds is a
    cross-validation itself; its test scores are over the pooled held-out clips.

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
        If there are too few clips or actors for the folds, or the folds would leak.
    """
    y = clips["emotion"].to_numpy(dtype=str)
    groups = clips["actor"].to_numpy() if split.grouped else None
    labels = tuple(np.unique(y))
    check(split, clips)
    curves = settings.learning_clips or settings.learning_actors or settings.validation
    inner = []
    if len(split.folds) == 1 or curves:
        inner = inner_folds(clips, split, settings)
    outer, cv, final, messages = _fit_all(pipeline, X, y, groups, split, inner, settings)
    learning, validation = _curves(pipeline, X, y, groups, inner, settings)
    permuted = _permuted(pipeline, X, y, groups, split, settings)

    predictions = _predictions(clips, X, split, outer, cv, labels)
    cv_scores, fold_scores = (
        _by_metric([scores(y[r.test], r.predicted, r.proba, labels) for r in results])
        for results in (cv, outer)
    )
    metrics = {
        **_train_metrics(outer),
        **_spread("cv", cv_scores),
        **_part_metrics(predictions, "validation"),
        **pooled_metrics(predictions, split, seed=settings.seed),
        **(_spread("test", fold_scores) if len(outer) > 1 else {}),
        **_model_metrics(final, outer),
        "n_development_clips": float(len(split.development)),
    }
    if len(permuted):
        metrics["permuted_uar_mean"] = float(permuted.mean())
        metrics["permuted_uar_std"] = float(permuted.std())
        beaten = float((permuted >= metrics["test_uar"]).sum())
        metrics["permuted_p"] = (1 + beaten) / (1 + len(permuted))
    return Evaluation(
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
        permuted=permuted,
        warnings=messages,
    )


def pooled_metrics(predictions: pd.DataFrame, split: Split, *, seed: int) -> dict[str, float]:
    """Scores of all test clips, whichever fold predicted them, with their intervals.

    Parameters
    ----------
    predictions : DataFrame
        Rows of `evaluation.predictions_table`; those of other parts are left out.
    split : Split
        Says what the intervals are over: actors, or clips.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict of str to float
        ``test_accuracy``, ``test_uar``, ``test_uar_low``, ``test_uar_high``, ``test_ece``, ...
    """
    test = predictions[predictions["part"] == "test"]
    units = test["actor"].to_numpy() if split.grouped else None
    true, predicted = test["true"].to_numpy(dtype=str), test["predicted"].to_numpy(dtype=str)
    intervals = bootstrap_intervals(true, predicted, units, seed=seed)
    ends = {
        f"test_{name}_{end}": value
        for name, interval in intervals.items()
        for end, value in zip(("low", "high"), interval, strict=True)
    }
    return _part_metrics(test, "test") | ends


def inner_folds(clips: pd.DataFrame, split: Split, settings: Settings) -> list[Fold]:
    """Cross-validation folds of the clips that may be learned from, as rows of the clip table.

    Raises
    ------
    SerError
        If there are too few clips or actors, or the folds share actors where the split does not.
    """
    grouped = split.grouped if settings.grouped is None else settings.grouped
    if split.grouped and not grouped:
        raise SerError(
            "cv.grouped=false cannot go with a split that keeps actors apart: what is chosen on "
            "folds that share actors is chosen for known voices, and tested on unknown ones. "
            "Leave cv.grouped out, or use split=random."
        )
    some = split.development
    folds = cross_validation_folds(
        clips["emotion"].to_numpy(dtype=str)[some],
        clips["actor"].to_numpy()[some],
        n_splits=settings.n_splits,
        grouped=grouped,
        seed=settings.seed,
    )
    return [Fold(some[fold.train], some[fold.test]) for fold in folds]


def _fit_all(
    pipeline: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None,
    split: Split,
    inner: Sequence[Fold],
    settings: Settings,
) -> tuple[list[FoldResult], list[FoldResult], Pipeline, tuple[str, ...]]:
    """Results of the split's folds, of the cross-validation, and the final model: all at once."""
    data = (pipeline, X, y, groups)
    n_outer = len(split.folds)
    keep = settings.keep_models or n_outer == 1
    jobs: list[Job] = [
        (evaluate_fold, (*data, fold, True, keep or bool(len(fold.validation))))
        for fold in split.folds
    ]
    if n_outer == 1:
        jobs += [(evaluate_fold, (*data, fold, False, False)) for fold in inner]
    else:
        jobs.append((fit, (pipeline, X, y, groups)))
    with _progress(len(jobs), "Fitting") as advance:
        results, messages = run_fits(jobs, pipeline, n_jobs=settings.n_jobs, advance=advance)
    outer, rest = results[:n_outer], results[n_outer:]
    if n_outer == 1:
        return outer, rest, outer[0].pipeline, messages
    return outer, [], rest[0], messages


def _curves(
    pipeline: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None,
    folds: Sequence[Fold],
    settings: Settings,
) -> tuple[Curve | None, tuple[Curve, ...]]:
    bare = without_probabilities(pipeline)
    learning, validation = None, []
    sizes = settings.learning_clips if groups is None else settings.learning_actors
    if sizes:
        with _progress(len(folds) * len(sizes), "Learning curve") as advance:
            learning = learning_curve(
                bare,
                X,
                y,
                groups,
                folds,
                sizes=sizes,
                seed=settings.seed,
                n_jobs=settings.n_jobs,
                advance=advance,
            )
    for parameter, values in settings.validation.items():
        with _progress(len(folds) * len(values), f"Validation curve: {parameter}") as advance:
            curve = validation_curve(
                bare,
                X,
                y,
                groups,
                folds,
                parameter=parameter,
                values=values,
                n_jobs=settings.n_jobs,
                advance=advance,
            )
            validation.append(curve)
    return learning, tuple(validation)


def _permuted(
    pipeline: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None,
    split: Split,
    settings: Settings,
) -> np.ndarray:
    total = settings.n_permutations * len(split.folds)
    with _progress(total, "Permutations") as advance:
        return permutation_uars(
            pipeline,
            X,
            y,
            groups,
            split.folds,
            n_permutations=settings.n_permutations,
            seed=settings.seed,
            n_jobs=settings.n_jobs,
            advance=advance,
        )


def _predictions(
    clips: pd.DataFrame,
    X: np.ndarray,
    split: Split,
    outer: Sequence[FoldResult],
    cv: Sequence[FoldResult],
    labels: tuple[str, ...],
) -> pd.DataFrame:
    validation = []
    for fold, result in zip(split.folds, outer, strict=True):
        if len(fold.validation):
            predicted, proba = predict(result.pipeline, X[fold.validation], labels)
            validation.append(
                replace(result, test=fold.validation, predicted=predicted, proba=proba)
            )
    tables = [
        predictions_table(clips, result, labels, part=part, fold=number)
        for part, results in (("cv", cv), ("validation", validation), ("test", outer))
        for number, result in enumerate(results)
    ]
    return pd.concat(tables, ignore_index=True)


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
    numbers = scores(true, predicted, proba, labels)
    numbers["ece"] = reliability(true, predicted, proba)[1]
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


def _losses(final: Pipeline) -> dict[str, list[float]]:
    classifier = inner_classifier(final)
    kept = {"train": "loss_curve_", "validation": "validation_loss_curve_"}
    losses = {part: list(getattr(classifier, name, None) or ()) for part, name in kept.items()}
    return {part: loss for part, loss in losses.items() if loss}


def _by_metric(folds: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    return {name: [fold[name] for fold in folds] for name in (folds[0] if folds else ())}


@contextmanager
def _progress(total: int, what: str) -> Iterator[Callable[[], object]]:
    """A bar for what takes longer than a second."""
    with tqdm(total=total, desc=what, unit="fit", delay=1, leave=False, disable=None) as bar:
        yield bar.update
