"""One experiment, one run: extract, split, evaluate, log, and keep the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from ser.core.comparable import kind_of
from ser.core.experiment import Experiment, JobResult
from ser.core.overrides import TOLD, Choices
from ser.core.printable import markdown_code
from ser.data import cross_corpus
from ser.data.dataset import Dataset
from ser.data.folds import Split, of_fold
from ser.evaluation.protocol import Evaluation, evaluate
from ser.features.pretraining import pretraining_tags
from ser.report import terminal
from ser.report.explanation import PAGE as EXPLANATION
from ser.tracking import queries
from ser.tracking.inputs import (
    fingerprint_of,
    log_config,
    log_dataset,
    resume_key,
    run_tags,
)
from ser.tracking.queries import LoggedRun
from ser.tracking.run import Run, start_run
from ser.train import build
from ser.train.dry import check_clips, check_run
from ser.train.log import log_doubts, log_skipped, log_whole_evaluation

# What a frozen recipe is made of: with another choice or key of these it is no more itself.
FROZEN = ("features", "augmentation", "scaler", "selection", "model", "split", "cv", "calibrate")


@dataclass(frozen=True, kw_only=True)
class Outcome(JobResult):
    """What is left of a run once it is tracked.

    Attributes
    ----------
    run_id, name : str
    kind : str
        Of its numbers: see `ser.core.comparable`.
    metrics : mapping of str to float
    n_labels : int
    predictions : DataFrame
        On test clips: see `folds.predictions_table`.
    logged : LoggedRun
        What the log holds of the run.
    """

    run_id: str
    name: str
    kind: str
    metrics: Mapping[str, float]
    n_labels: int
    predictions: pd.DataFrame
    logged: LoggedRun


def run_experiment(
    experiment: Experiment, *, parent: Run | None = None, fold: int | None = None
) -> Outcome:
    """Extract, split, evaluate, log, and keep the model.

    Parameters
    ----------
    experiment : Experiment
        Of ``conf/train.yaml``.
    parent : Run, optional
        The run that this one belongs to.
    fold : int, optional
        Only this fold of the split; all of them unless given.

    Raises
    ------
    SerError
        If the data, the config or the store is at fault; the run is then marked FAILED.
    """
    cfg, choices = experiment.cfg, experiment.choices
    pipeline, scaler = build.model_pipeline(cfg)
    settings = build.evaluation_settings(cfg)
    check_run(cfg, pipeline)
    suffixes = ["transductive"] * bool(scaler) + ([] if fold is None else [f"fold-{fold}"])
    name = experiment.run_name(*TOLD, after=suffixes)
    with start_run(
        uri=cfg.tracking.uri,
        experiment=cfg.tracking.experiment,
        name=name,
        tags=train_tags(experiment),
        description=markdown_code(choices.command()),
        parent=parent,
    ) as run:
        log_config(run, build.plain(cfg))
        data, split = load_and_split(
            experiment, run, lambda data, split: check_clips(cfg, data, of_fold(split, fold))
        )
        split = of_fold(split, fold)
        if scaler is not None:
            X = scaler.transform(data.features, data.groups)
            data = replace(data, X=X, transductive=True)
        evaluation = evaluate(pipeline, data, split, settings)
        log_whole_evaluation(
            run,
            evaluation,
            about=cfg.data.get("about"),
            listeners=cfg.data.get("listeners") or {},
            explain=settings if cfg.explain else None,
            with_paper=cfg.report.paper,
        )
        logged = run.so_far()
    pages = {"report": "report.html"} | ({"explain": EXPLANATION} if cfg.explain else {})
    return _outcome(evaluation, logged, terminal.where(run, **pages))


def _outcome(evaluation: Evaluation, run: LoggedRun, where: str) -> Outcome:
    kind = kind_of(run.tags)
    return Outcome(
        run_id=run.id,
        text=f"{terminal.of_run(evaluation, title=run.name, kind=kind)}\n{where}",
        name=run.name,
        kind=kind,
        metrics=evaluation.metrics,
        n_labels=len(evaluation.labels),
        predictions=evaluation.part("test"),
        logged=run,
    )


def finished_before(experiment: Experiment) -> LoggedRun | None:
    """A FINISHED run of the same resolved config, code, packages and clips, if there is one.

    Raises
    ------
    SerError
        If the data or the store is at fault.
    """
    cfg = experiment.cfg
    data, _ = build.with_features(cfg, build.load(cfg)[0])
    key = resume_key(build.plain(cfg), fingerprint_of(data))
    return queries.finished_with_key(cfg.tracking.uri, cfg.tracking.experiment, key)


def train_tags(experiment: Experiment, module: str = "ser.train") -> dict[str, str]:
    """The tags of a run of ``conf/train.yaml``, or of a command whose config has no model."""
    cfg, parts = experiment.cfg, [instantiate(experiment.cfg.features)]
    tags = {"test_corpus": cfg.test_data.name} if "test_data" in cfg else {}
    if cfg.get("recipe") is not None:
        tags["recipe"] = f"{cfg.recipe}{', changed' * _changed(experiment.choices)}"
    tags["synthetic"] = str(cfg.data.get("synthetic", False)).lower()
    if "model" in cfg:
        model, scaler = build.model_pipeline(cfg)
        parts.append(model)
        tags["transductive"] = str(scaler is not None).lower()
    tags |= pretraining_tags(parts, [corpus.name for corpus in _corpora(cfg)])
    return run_tags(experiment.choices, cfg.data.name, module=module, **tags)


def _changed(choices: Choices) -> bool:
    """Whether a frozen recipe was given with something else in place of a part of its own."""
    if choices.without("recipe") != choices:  # a variant's, which is made of overrides
        return False
    return choices.without(*FROZEN).overrides != choices.overrides


def _corpora(cfg: DictConfig) -> list[DictConfig]:
    """The config's corpus, or its two."""
    return [corpus for corpus in (cfg.data, cfg.get("test_data")) if corpus is not None]


def load_and_split(
    experiment: Experiment, run: Run, check: Callable[[Dataset, Split], object]
) -> tuple[Dataset, Split]:
    """Data set and split of an experiment; the run says which clips went in.

    Parameters
    ----------
    experiment : Experiment
    run : Run
    check : callable
        Called with the clips and their split before a feature is extracted; it refuses what cannot
        be evaluated.

    Raises
    ------
    SerError
        If the corpus, a clip or the store is at fault, the split does not fit the clips, or parts
        two that hold the same sound.
    """
    cfg = experiment.cfg
    data, fingerprint = load_data(
        experiment,
        run,
        context=experiment.choices["split"],
        check=lambda data: check(data, instantiate(cfg.split, data.clips)),
    )
    split = instantiate(cfg.split, data.clips)
    log_doubts(run, data, split)
    run.tags({"resume_key": resume_key(build.plain(cfg), fingerprint)})
    run.tags({"protocol": split, "interval_over": f"{split.unit}s"})
    return data, split


def load_data(
    experiment: Experiment,
    run: Run,
    *,
    context: str,
    check: Callable[[Dataset], object] = lambda data: None,
) -> tuple[Dataset, str]:
    """Data set of an experiment, and its fingerprint; the run says what was skipped or left out.

    `check` is called with the clips before their features are extracted.

    Raises
    ------
    SerError
        If the corpus, a clip or the store is at fault.
    """
    cfg = experiment.cfg
    data, left_out = build.load(cfg)
    if left_out is not None:
        _say_what_is_left_out(left_out, run)
    check(data)
    used, errors = build.with_features(cfg, data, say=run.warn)
    log_skipped(run, errors, len(data))
    corpora = _corpora(cfg)
    source = " and ".join(str(corpus.get("root") or corpus.get("table")) for corpus in corpora)
    name = cfg.data.name
    return used, log_dataset(run, used, name=name, source=source, context=context)


def _say_what_is_left_out(left_out: pd.DataFrame, run: Run) -> None:
    """Tell the terminal and the run what is left out."""
    run.metrics({"n_left_out_clips": float(left_out["clips"].sum())})
    if len(left_out):
        run.table(left_out, "left_out_clips")
        print(f"Left out, as only one of the corpora has them: {cross_corpus.described(left_out)}.")
