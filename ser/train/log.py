"""An evaluation -> what a run logs of it: numbers, tables, pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ser import report
from ser.core import paths
from ser.core.redact import without_secrets
from ser.data import kinds
from ser.data.corpora import speakers_known
from ser.data.dataset import Dataset
from ser.data.duplicates import check_copies
from ser.data.folds import Split
from ser.evaluation.breakdown import breakdown, confusions, per_class
from ser.evaluation.layers import has_layers, layer_scores
from ser.evaluation.plan import Settings
from ser.evaluation.probabilities import reliability
from ser.evaluation.protocol import Evaluation
from ser.features import settings
from ser.features.pretraining import pretraining_tags
from ser.features.resampling import rates_of
from ser.models.pipeline import inner_classifier
from ser.models.trained import TrainedModel, check_loadable
from ser.models.training_clips import describe
from ser.report import figures, model_card, training_figures
from ser.report.explanation import log_explanation
from ser.report.run_figures import run_figures
from ser.tracking import provenance, queries
from ser.tracking.inputs import log_config, log_dataset
from ser.tracking.origin import THIS_MODEL
from ser.tracking.queries import LoggedRun
from ser.tracking.registry import CARD
from ser.tracking.run import start_run
from ser.train.dry import check_place

if TYPE_CHECKING:
    from ser.tracking.run import Run


def log_skipped(run: Run, errors: Mapping[str, str], n_clips: int) -> None:
    """Log the clips that could not be read, and say how many.

    Parameters
    ----------
    run : Run
    errors : mapping of str to str
        Path -> why the clip could not be used.
    n_clips : int
        Of the corpus.
    """
    if errors:
        run.metrics({"n_skipped_clips": float(len(errors))})
        run.table(pd.DataFrame(errors.items(), columns=["path", "cause"]), "skipped_clips")
        print(f"{len(errors)} of {n_clips} clips skipped; causes in tables/skipped_clips.csv.")


def log_doubts(run: Run, data: Dataset, split: Split) -> None:
    """Tell the terminal and the run what its clips make doubtful: rates, copies, told labels.

    Raises
    ------
    SerError
        If the split may part clips with the same sound: `ser.data.duplicates.check_copies`.
    """
    if data.recordings is not None:
        _log_rates(run, data)
        for warning in kinds.warnings(data, parts=_parts(split, len(data)), grouped=split.grouped):
            run.warn(warning)
    if not speakers_known(data.clips):
        run.warn(
            "Nobody knows who speaks in these clips (data.speaker=null): a voice may be on both "
            "sides of the split, and the score is then too high for a new speaker."
        )
    said = check_copies(data, split)
    if said and data.duplicates == "keep":
        run.tags({"duplicates": "kept"})
        run.warn(said)
    elif said:
        print(said)


def _log_rates(run: Run, data: Dataset) -> None:
    lowest = min(kinds.rates(data.recordings), default=0)
    for rate in sorted(rate for rate in rates_of(data.feature_set) if rate is not None):
        if said := kinds.rates_said(data, rate):
            run.tags({"resampled_to": f"{rate} Hz"})
            say = run.warn if rate > lowest else print
            say(said)


def _parts(split: Split, n_clips: int) -> np.ndarray | None:
    """Partition of each clip; None where several folds make each a test clip once."""
    if len(split.folds) > 1:
        return None
    parts = np.full(n_clips, "validation", dtype=object)
    parts[split.folds[0].train] = "train"
    parts[split.folds[0].test] = "test"
    return parts


def log_whole_evaluation(
    run: Run,
    evaluation: Evaluation,
    *,
    about: str | None,
    listeners: Mapping[str, float],
    explain: Settings | None,
    with_paper: bool = False,
) -> None:
    """Log everything that an evaluation found out: numbers, pictures, page, card and model.

    Parameters
    ----------
    run : Run
    evaluation : Evaluation
    about : str or None
        What there is to know of the corpus.
    listeners : mapping of str to float
        Emotion -> recall of human listeners, in percent; may be empty.
    explain : Settings or None
        Of the evaluation, where what the model leans on is wanted too.
    with_paper : bool
        Whether the run gets the files of `ser.report.paper`.
    """
    for note in evaluation.notes:
        run.warn(note)
    for message in evaluation.warnings:
        run.warn(f"The fit warned: {message}")
    log_evaluation(run, evaluation, listeners=listeners)
    if explain is not None:
        log_explanation(run, evaluation, explain)
    report.attach(run, with_paper=with_paper)
    about = about or "nothing is said of it"
    card = "It could not be written."
    with run.decoration(CARD):
        card = without_secrets(model_card.card(run.so_far(), evaluation, about=about))
    run.text(card, CARD)
    data, n_folds = evaluation.data, len(evaluation.split.folds)
    scored = f"the procedure: {n_folds} other models, each on clips that it never heard"
    run.tags({"scored": scored if n_folds > 1 else THIS_MODEL})
    if data.feature_set is not None:  # without one nothing leads from audio to the Pipeline
        training = describe(evaluation.pipeline, data.select(evaluation.split.development))
        model = TrainedModel(evaluation.pipeline, data.feature_set, data.transductive, training)
        run.model(model, card)


def track_evaluation(
    evaluation: Evaluation, *, uri: str, experiment: str, tags: Mapping[str, str]
) -> LoggedRun:
    """Log an evaluation that no config describes as a run of its own.

    Parameters
    ----------
    evaluation : Evaluation
    uri : str
        MLflow's tracking URI.
    experiment : str
    tags : mapping of str to str

    Raises
    ------
    SerError
        If the log cannot be written, or the model could not be loaded again.
    """
    data, split, pipeline = evaluation.data, evaluation.split, evaluation.pipeline
    check_place(uri)
    if data.feature_set is not None:
        check_loadable(pipeline, data.feature_set)
    scaler = pipeline.named_steps.get("scaler")
    about = pretraining_tags([data.feature_set, pipeline], [data.corpus]) | {
        "model": type(inner_classifier(pipeline)).__name__,
        "features": type(data.feature_set).__name__,
        "split": split.name or "split",
        "scaler": type(scaler).__name__ if scaler is not None else "none",
        "corpus": data.corpus,
        "transductive": str(data.transductive).lower(),
        "protocol": str(split),
        "interval_over": f"{split.unit}s",
    }
    name = "-".join(about[key] for key in ("model", "split", "corpus", "features"))
    with start_run(
        uri=uri,
        experiment=experiment,
        name=name,
        tags={**about, **provenance.git_state(paths.PROJECT), **tags},
        description=str(pipeline),
    ) as run:
        features = settings(data.feature_set) if data.feature_set is not None else {}
        parameters = {key: str(value) for key, value in pipeline.get_params().items()}
        config = {"data": {"name": data.corpus}, "features": features, "pipeline": parameters}
        log_config(run, config)
        log_doubts(run, data, split)
        folder = os.path.commonpath(data.clips["path"].tolist())
        log_dataset(run, data, name=data.corpus, source=folder, context=about["split"])
        log_whole_evaluation(run, evaluation, about=None, listeners={}, explain=None)
    return queries.find_run(uri, run.id)


def log_evaluation(run: Run, evaluation: Evaluation, *, listeners: Mapping[str, float]) -> None:
    """Send an evaluation's numbers, tables and pictures to a run."""
    split, labels, test = evaluation.split, evaluation.labels, evaluation.part("test")
    true, predicted, proba = test["true"].to_numpy(), test["predicted"].to_numpy(), _proba(test)
    by_emotion = per_class(true, predicted, labels)

    run.metrics(evaluation.metrics)
    for row in by_emotion.itertuples():
        key = f"test_recall_{row.emotion}"  # an emotion may be called macro
        run.metrics({key if key not in evaluation.metrics else f"{key}'": row.recall})
    for name, values in evaluation.cv_scores.items():
        run.steps(f"cv_fold_{name}", values)
    if len(split.folds) > 1:
        for name, values in evaluation.fold_scores.items():
            run.steps(f"fold_{name}", values)
    for part, loss in evaluation.loss.items():
        run.steps(f"epoch_{part}_loss", loss, first=1)

    run.table(by_emotion, "per_class")
    run.table(breakdown(test), "breakdown")
    run.table(reliability(true, predicted, proba)[0], "reliability")
    run.table(confusions(evaluation.predictions), "confusion_matrix")
    tables = _tables(evaluation)
    for name, table in tables.items():
        run.table(table, name)
    for name, draw in run_figures(run.so_far(), tables, listeners).items():
        run.figure(draw, name)
    balance = _balance(evaluation.data.clips, split, labels)
    run.figure(partial(figures.plot_class_balance, balance, labels), "class_balance")
    if evaluation.loss:
        n_clips = int(evaluation.metrics["n_development_clips"])
        about = f"{run.so_far().name} · {n_clips} training clips"
        draw = partial(training_figures.plot_loss_curve, evaluation.loss, about=about)
        run.figure(draw, "loss_curve")


def _tables(evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    """The tables that figures are drawn of, by name."""
    tables = {"predictions": evaluation.predictions}
    if evaluation.learning is not None:
        tables["learning_curve"] = evaluation.learning.table
    for curve in evaluation.validation:
        tables[f"validation_curve_{curve.name}"] = curve.table
    if len(evaluation.permuted):
        tables["permutations"] = pd.DataFrame({"uar": evaluation.permuted})
    if len(evaluation.layers):
        tables["chosen_layers"] = evaluation.layers
    if has_layers(evaluation.data.feature_set):
        tables["layers"] = layer_scores(evaluation.data, evaluation.split.development)
    return tables


def _proba(predictions: pd.DataFrame) -> np.ndarray:
    return predictions.filter(regex="^p_").to_numpy()


def _balance(clips: pd.DataFrame, split: Split, labels: tuple[str, ...]) -> dict[str, list[int]]:
    """Clips of every emotion in the parts of a single fold, or in all."""
    emotion = clips["emotion"].astype("category").cat.set_categories(labels)
    rows = {"all": np.arange(len(clips))}
    if len(split.folds) == 1:
        fold = split.folds[0]
        rows = {"training": fold.train, "validation": fold.validation, "test": fold.test}
    counts = {k: emotion.iloc[r].value_counts(sort=False).tolist() for k, r in rows.items()}
    return {k: v for k, v in counts.items() if sum(v)}
