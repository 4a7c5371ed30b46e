"""A search: a study's trials on training clips, then the best, tested; or that in every fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict

from ser import report
from ser.core.comparable import INDUCTIVE, KINDS, TAGS
from ser.core.errors import SerError
from ser.core.experiment import Experiment, JobResult
from ser.core.overrides import TOLD
from ser.core.printable import markdown_code
from ser.core.redact import without_secrets
from ser.data.dataset import Dataset
from ser.data.folds import Split, of_fold
from ser.evaluation.breakdown import confusions
from ser.evaluation.metrics import METRICS, tunable
from ser.evaluation.plan import inner_split
from ser.evaluation.protocol import pooled_metrics
from ser.report import terminal
from ser.report.run_figures import confusion_figures
from ser.tracking.inputs import log_config
from ser.tracking.run import Run, start_run
from ser.train import build
from ser.train.dry import check_clips, check_run
from ser.train.run import Outcome, load_and_split, run_experiment, train_tags
from ser.tune.objective import Objective, features_key, overrides_of
from ser.tune.question import question_of, short_digest
from ser.tune.space import SearchSpace
from ser.tune.trials import StudyResult, run_trials, value_of

# Samplers that Optuna only offers beside a package of others.
_PACKAGE_OF = {"optuna.samplers.CmaEsSampler": "cmaes", "optuna.samplers.GPSampler": "torch"}


@dataclass(frozen=True, kw_only=True)
class SearchResult(JobResult):
    """What a search ended with.

    Attributes
    ----------
    run_id : str
        Of the run that tested the best, or of the nested search.
    study : str
        The study's name; of a nested search, what its folds' studies have in common.
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
    name: str
    data: Dataset
    matrices: dict[str, np.ndarray]

    @property
    def cfg(self) -> DictConfig:
        return self.experiment.cfg

    def inner(self, split: Split) -> Split:
        """Folds of the training clips of a split of one fold: what trials are scored on."""
        return inner_split(self.data, split, build.evaluation_settings(self.cfg))

    def run_trials(self, inner: Split, run: Run, suffix: str = "") -> StudyResult:
        """A study on the folds of some training clips; the run says which study."""
        question = question_of(build.plain(self.cfg), self.data, inner)
        name = f"{self.name}{suffix}"
        if self.cfg.tuner.study is None:
            name += f"-{short_digest(question)}"
        run.tags({"study": name})
        objective = Objective(
            self.experiment, self.space, self.data, inner, self.matrices, question
        )
        return run_trials(name, objective, run, total=self.cfg.tuner.nested)

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
    check_run(cfg, build.model_pipeline(cfg)[0])
    space = instantiate(cfg.search_space, _convert_="all")
    name = cfg.tuner.study or "-".join(str(choices[g]) for g in (*TOLD, "search_space"))
    kind = "nested-tune" if cfg.tuner.nested else "tune"
    with start_run(
        uri=cfg.tracking.uri,
        experiment=cfg.tracking.experiment,
        name=experiment.run_name(*TOLD, "search_space", before=kind),
        tags={**train_tags(experiment, "ser.tune"), "kind": kind},
        description=markdown_code(choices.command("ser.tune")),
    ) as parent:
        log_config(parent, build.plain(cfg))
        data, split = load_and_split(experiment, parent, lambda *of: _check_folds(cfg, *of))
        matrices = {features_key(cfg): data.features}
        of_all = _Search(experiment, space, name, data, matrices)
        if cfg.tuner.nested:
            return _nested(of_all, split, parent)
        result = of_all.run_trials(of_all.inner(split), parent)
        outcome = of_all.evaluate_best(result, parent)
        parent.metrics({k: v for k, v in outcome.metrics.items() if k.startswith("test_")})
        parent.tags(_kind_tags(outcome) | {"best_run": outcome.run_id})
        report.attach(parent, with_paper=cfg.report.paper)
    return SearchResult(
        run_id=outcome.run_id,
        text=_search_text(of_all, result, outcome, parent),
        study=result.study,
        best_params=result.best.params,
        trials=result.trials,
        metrics=outcome.metrics,
    )


def _search_text(of_all: _Search, result: StudyResult, outcome: Outcome, parent: Run) -> str:
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
        f"study   {result.study} in {without_secrets(cfg.tuner.storage)}; "
        "the same command, code and packages go on with it",
        f"which settings mattered: python -m ser.report {parent.id}",
    ]
    return "\n".join(lines)


def _nested(of_all: _Search, split: Split, parent: Run) -> SearchResult:
    """A study inside every fold of the split; its best is tested on the fold's held-out clips."""
    cfg = of_all.cfg
    outcomes, chosen = [], []
    for number in range(len(split.folds)):
        with start_run(
            uri=cfg.tracking.uri,
            experiment=cfg.tracking.experiment,
            name=f"tune-fold-{number}",
            tags={
                **train_tags(of_all.experiment, "ser.tune"),
                "kind": "tune",
                "fold": number,
            },
            description="A search on the training clips of one outer fold.",
            parent=parent,
        ) as run:
            inner = of_all.inner(of_fold(split, number))
            inside = len(inner.folds)
            print(f"outer fold {number + 1}/{len(split.folds)}, {inside} folds inside", flush=True)
            result = of_all.run_trials(inner, run, f"-fold-{number}-of-{len(split.folds)}")
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
    cfg, name = of_all.cfg, of_all.name
    predictions = pd.concat(
        [outcome.predictions.assign(fold=number) for number, outcome in enumerate(outcomes)],
        ignore_index=True,
    )
    metrics = pooled_metrics(predictions, split)
    metrics["best_cv_mean"] = float(np.mean(chosen["cv"]))
    kind = max((outcome.kind for outcome in outcomes), key=KINDS.index)
    parent.metrics(metrics)
    for outcome in sorted(outcomes, key=lambda outcome: KINDS.index(outcome.kind)):
        parent.tags(_kind_tags(outcome))
    parent.table(predictions, "predictions")
    parent.table(chosen, "chosen")
    protocol = f"{split}, every fold tuned on its own training clips"
    parent.table(confusions(predictions), "confusion_matrix")
    for figure, draw in confusion_figures(name, predictions, protocol).items():
        parent.figure(draw, figure)
    report.attach(parent, with_paper=cfg.report.paper)
    text = terminal.of_nested_search(
        metrics,
        chosen,
        title=f"{name} · {split}{'' if kind == INDUCTIVE else f' · {kind.upper()}'}",
        unit=split.unit,
        metric=METRICS[cfg.tuner.metric],
        where=terminal.where(parent, report="report.html"),
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


def _kind_tags(outcome: Outcome) -> dict[str, str]:
    return {tag: value for tag, value in outcome.logged.tags.items() if tag in TAGS}


def _check(cfg: DictConfig) -> None:
    tuner = cfg.tuner
    needed = _PACKAGE_OF.get(str(tuner.sampler.get("_target_")))
    if needed and find_spec(needed) is None:
        raise SerError(f"This sampler needs the package {needed}: pip install {needed}.")
    if tuner.metric not in tunable():
        raise SerError(f"tuner.metric={tuner.metric} is none of {', '.join(tunable())}.")
    if tuner.prune_by not in ("folds", "epochs"):
        raise SerError(f"tuner.prune_by={tuner.prune_by} is neither folds nor epochs.")
    if tuner.n_trials is None and tuner.timeout is None and tuner.cpu_seconds is None:
        raise SerError(
            "Give tuner.n_trials, tuner.timeout or tuner.cpu_seconds: the search would never end."
        )


def _check_folds(cfg: DictConfig, data: Dataset, split: Split) -> None:
    """Whether a search can choose on training clips of the split, or of each of its folds."""
    if len(split.folds) > 1 and not cfg.tuner.nested:
        raise SerError(
            f"The split has {len(split.folds)} folds, each with a training part of its own: one "
            "search over all of them would choose on clips that it is tested on. Use "
            "tuner.nested=true, which searches inside every fold, or tune under split=speaker or "
            "split=random."
        )
    for number in range(len(split.folds)):
        fold = of_fold(split, number)
        inner_split(data, fold, build.evaluation_settings(cfg))
        check_clips(cfg, data, fold)
