"""A search: a study's trials on training clips, then the best, tested; or that in every fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict

from ser import report
from ser.core.errors import SerError
from ser.core.experiment import Experiment, JobResult
from ser.core.redact import without_password
from ser.data.dataset import Dataset
from ser.data.folds import Split
from ser.evaluation.metrics import METRICS, tunable
from ser.evaluation.protocol import inner_split, pooled_metrics
from ser.report import terminal
from ser.tracking.inputs import log_config
from ser.tracking.run import Run, start_run
from ser.train import build
from ser.train.log import log_confusion_matrix
from ser.train.run import Outcome, load_and_split, run_experiment, train_tags
from ser.tune.objective import Objective, features_key, overrides_of
from ser.tune.space import SearchSpace
from ser.tune.trials import StudyResult, run_trials, value_of


@dataclass(frozen=True, kw_only=True)
class SearchResult(JobResult):
    """What a search ended with.

    Attributes
    ----------
    run_id : str
        Of the run that tested the best, or of the nested search.
    study : str
        The study's name.
    best_params : mapping
        Of the best trial; of a nested search, those of each fold by its number.
    trials : DataFrame
        All trials of the study; of a nested search, the best of each fold.
    metrics : mapping of str to float
        Of the test clips.
    """

    run_id: str
    study: str
    best_params: Mapping[Any, Any]
    trials: pd.DataFrame
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class _Search:
    """What every study of a search needs."""

    experiment: Experiment
    space: SearchSpace
    study: str
    data: Dataset
    matrices: dict[str, np.ndarray]

    @property
    def cfg(self) -> DictConfig:
        return self.experiment.cfg

    def objective(self, split: Split) -> Objective:
        """What a trial is worth on the training clips of a split of one fold."""
        inner = inner_split(self.data, split, build.evaluation_settings(self.cfg))
        return Objective(self.experiment, self.space, self.data, inner, self.matrices)

    def evaluate_best(self, result: StudyResult, run: Run, fold: int | None = None) -> Outcome:
        """The one look at test clips: a run of ``ser.train`` with the best trial's config."""
        best = self.experiment.vary(overrides_of(self.space, result.best.params))
        with open_dict(best.cfg):  # how the config was found is the study's to say
            for key in ("tuner", "search_space"):
                del best.cfg[key]
        choices = best.choices.without("tuner", "search_space", "sampler", "pruner")
        return run_experiment(replace(best, choices=choices), parent=run, fold=fold)


def search(experiment: Experiment) -> SearchResult:
    """Run a study's trials and track them, then evaluate the best.

    Parameters
    ----------
    experiment : Experiment
        Of ``conf/tune.yaml``.

    Raises
    ------
    SerError
        See `ser.tune.tune`.
    KeyboardInterrupt
        If a nested search was stopped: what it has is tracked.
    """
    cfg, choices = experiment.cfg, experiment.choices
    _check(cfg)
    space = instantiate(cfg.search_space, _convert_="all")
    name = cfg.tuner.study or "-".join(
        str(choices[g]) for g in ("model", "split", "data", "features", "search_space")
    )
    kind = "nested-tune" if cfg.tuner.nested else "tune"
    with start_run(
        uri=cfg.tracking.uri,
        experiment=cfg.tracking.experiment,
        name=f"{kind}-{name}",
        tags={**train_tags(experiment, "ser.tune"), "kind": kind, "study": name},
        description=f"`{choices.command('ser.tune')}`",
    ) as parent:
        log_config(parent, build.plain(cfg))
        data, split = load_and_split(experiment, parent)
        matrices = {features_key(cfg): data.features}
        of_all = _Search(experiment, space, name, data, matrices)
        if cfg.tuner.nested:
            return _nested(of_all, split, parent)
        _check_one_fold(split)
        result = run_trials(cfg, name, of_all.objective(split), parent)
        outcome = of_all.evaluate_best(result, parent)
        parent.metrics({k: v for k, v in outcome.metrics.items() if k.startswith("test_")})
        parent.tags({"transductive": str(outcome.transductive).lower()})
        report.attach(parent)
    return SearchResult(
        run_id=outcome.run_id,
        text=_search_text(of_all, result, outcome),
        study=name,
        best_params=result.best.params,
        trials=result.trials,
        metrics=outcome.metrics,
    )


def _search_text(of_all: _Search, result: StudyResult, outcome: Outcome) -> str:
    cfg = of_all.cfg
    metric = METRICS[cfg.tuner.metric]
    the = "Interrupted: the" if result.interrupted else "The"
    lines = [
        "",
        f"{the} best of {len(result.trials)} trials "
        f"({result.n_run} of this command; {result.count('PRUNED')} pruned, "
        f"{result.count('FAIL')} failed), trial {result.best.number}: "
        f"cross-validated {metric.name} {metric.text_with_unit(value_of(result.best))}",
        *(f"  {override}" for override in of_all.space.overrides(result.best.params)),
        outcome.text,
        f"study   {of_all.study} in {without_password(cfg.tuner.storage)}; "
        "the same command goes on with it",
    ]
    return "\n".join(lines)


def _nested(of_all: _Search, split: Split, parent: Run) -> SearchResult:
    """A study inside every fold of the split; its best is tested on the fold's held-out clips."""
    cfg, name = of_all.cfg, of_all.study
    outcomes, chosen = [], []
    for number, fold in enumerate(split.folds):
        print(f"outer fold {number + 1}/{len(split.folds)}", flush=True)
        study = f"{name}-fold-{number}-of-{len(split.folds)}"
        with start_run(
            uri=cfg.tracking.uri,
            experiment=cfg.tracking.experiment,
            name=f"tune-fold-{number}",
            tags={
                **train_tags(of_all.experiment, "ser.tune"),
                "kind": "tune",
                "study": name,
                "fold": number,
            },
            description="A search on the training clips of one outer fold.",
            parent=parent,
        ) as run:
            objective = of_all.objective(replace(split, folds=(fold,)))
            result = run_trials(cfg, study, objective, run, total=True)
            outcome = of_all.evaluate_best(result, run, fold=number)
            run.metrics({k: v for k, v in outcome.metrics.items() if k.startswith("test_")})
        outcomes.append(outcome)
        chosen.append({"fold": number, "cv": result.best.value, **result.best.params})
        if result.interrupted:
            raise KeyboardInterrupt
    return _log_nested(of_all, split, parent, outcomes, pd.DataFrame(chosen))


def _log_nested(
    of_all: _Search, split: Split, parent: Run, outcomes: list[Outcome], chosen: pd.DataFrame
) -> SearchResult:
    """Pool the folds' test clips, and log what each fold chose."""
    cfg, name = of_all.cfg, of_all.study
    predictions = pd.concat(
        [outcome.predictions.assign(fold=number) for number, outcome in enumerate(outcomes)],
        ignore_index=True,
    )
    metrics = pooled_metrics(predictions, split)
    metrics["best_cv_mean"] = float(np.mean(chosen["cv"]))
    transductive = any(outcome.transductive for outcome in outcomes)
    parent.metrics(metrics)
    parent.tags({"transductive": str(transductive).lower()})
    parent.table(predictions, "predictions")
    parent.table(chosen, "chosen")
    title = f"{name} · every fold tuned on its own training clips"
    log_confusion_matrix(parent, predictions, title=title)
    report.attach(parent)
    text = terminal.of_nested_search(
        metrics,
        chosen,
        title=f"{name} · {split}{' · TRANSDUCTIVE' if transductive else ''}",
        unit=split.unit,
        metric=METRICS[cfg.tuner.metric],
        where=terminal.where(parent.id, parent.experiment, cfg.tracking.uri),
    )
    params = chosen.drop(columns="cv").set_index("fold").to_dict("index")
    return SearchResult(
        run_id=parent.id,
        text=text,
        study=name,
        best_params=params,
        trials=chosen,
        metrics=metrics,
    )


def _check(cfg: DictConfig) -> None:
    tuner = cfg.tuner
    if tuner.metric not in tunable():
        raise SerError(f"tuner.metric={tuner.metric} is none of {', '.join(tunable())}.")
    if tuner.prune_by not in ("folds", "epochs"):
        raise SerError(f"tuner.prune_by={tuner.prune_by} is neither folds nor epochs.")
    if tuner.n_trials is None and tuner.timeout is None and tuner.cpu_seconds is None:
        raise SerError(
            "Give tuner.n_trials, tuner.timeout or tuner.cpu_seconds: the search would never end."
        )


def _check_one_fold(split: Split) -> None:
    if len(split.folds) > 1:
        raise SerError(
            f"The split has {len(split.folds)} folds, each with a training part of its own: one "
            "search over all of them would choose on clips that it is tested on. Use "
            "tuner.nested=true, which searches inside every fold, or tune under split=speaker or "
            "split=random."
        )
