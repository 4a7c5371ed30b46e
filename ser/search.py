"""A study: trials drawn, pruned and tracked until the budget is spent; then the best, tested."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict
from optuna.exceptions import ExperimentalWarning, TrialPruned
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from tqdm import tqdm

from ser import cli, report, study_plots, tracking
from ser.errors import SerError
from ser.objective import Objective, Score, features_key, overrides_of
from ser.protocol import inner_folds, pooled_metrics
from ser.runs import Outcome, load, log_config, settings_of, tags, tracked
from ser.search_space import SearchSpace
from ser.splits import Split
from ser.studies import WORKER, Worker, open_study
from ser.tracking import Run

METRICS = ("uar", "accuracy", "f1_macro")
MAX_FAILED = 5  # trials in a row
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def search(cfg: DictConfig, choices: Mapping[str, str]) -> tuple[str, str]:
    """Run a study's trials and track them, then evaluate the best.

    Returns
    -------
    run_id : str
        Of the best, or of the nested search.
    text : str
        What the terminal shows.

    Raises
    ------
    SerError
        See `ser.tune.tune`.
    KeyboardInterrupt
        If a nested search was stopped: what it has is tracked.
    """
    _check(cfg)
    space = instantiate(cfg.search_space, _convert_="all")
    name = cfg.tuner.study or "-".join(
        str(choices[g]) for g in ("model", "split", "data", "features", "search_space")
    )
    kind = "nested-tune" if cfg.tuner.nested else "tune"
    with tracking.start_run(
        uri=cfg.tracking.uri,
        experiment=cfg.tracking.experiment,
        name=f"{kind}-{name}",
        tags={**tags(cfg, choices), "study": name},
        description=report.description(choices, module="ser.tune"),
    ) as parent:
        log_config(parent, cfg)
        clips, X, split = load(cfg, choices, parent)
        matrices = {features_key(cfg): X}
        if cfg.tuner.nested:
            text = _nested(cfg, choices, space, name, clips, split, matrices, parent)
            return parent.id, text
        _check_one_fold(split)
        objective = _objective(cfg, space, clips, split, matrices)
        found = _run_study(cfg, name, objective, parent, n_trials=cfg.tuner.n_trials)
        outcome = _evaluate_best(cfg, found, space, parent)
        parent.metrics({k: v for k, v in outcome.metrics.items() if k.startswith("test_")})
        parent.tags({"transductive": str(outcome.transductive).lower()})
    lines = [
        "",
        f"{'Interrupted: the' if found.interrupted else 'The'} best of {len(found.table)} trials "
        f"({found.done} of this command; {found.count('PRUNED')} pruned, {found.count('FAIL')} "
        f"failed), trial {found.best.number}: "
        f"cross-validated {cfg.tuner.metric} {100 * found.best.value:.1f} %",
        *(f"  {override}" for override in space.overrides(found.best.params)),
        outcome.text,
        f"study   {name} in {cfg.tuner.storage}; the same command goes on with it",
    ]
    return outcome.run_id, "\n".join(lines)


def _nested(
    cfg: DictConfig,
    choices: Mapping[str, str],
    space: SearchSpace,
    name: str,
    clips: pd.DataFrame,
    split: Split,
    matrices: dict[str, np.ndarray],
    parent: Run,
) -> str:
    """A study inside every fold of the split; its best is tested on the fold's held-out clips."""
    outcomes, chosen = [], []
    for number, fold in enumerate(split.folds):
        print(f"outer fold {number + 1}/{len(split.folds)}", flush=True)
        alone = Split((fold,), split.unheard)
        with tracking.start_run(
            uri=cfg.tracking.uri,
            experiment=cfg.tracking.experiment,
            name=f"tune-fold-{number}",
            tags={**tags(cfg, choices), "study": name, "fold": number},
            description="A search on the training clips of one outer fold.",
            parent=parent,
        ) as run:
            objective = _objective(cfg, space, clips, alone, matrices)
            study = f"{name}-fold-{number}-of-{len(split.folds)}"
            found = _run_study(cfg, study, objective, run, n_trials=cfg.tuner.n_trials, total=True)
            outcome = _evaluate_best(cfg, found, space, run, fold=number)
            run.metrics({k: v for k, v in outcome.metrics.items() if k.startswith("test_")})
        outcomes.append(outcome)
        chosen.append({"fold": number, "cv": found.best.value, **found.best.params})
        if found.interrupted:
            raise KeyboardInterrupt
    predictions = pd.concat(
        [one.predictions.assign(fold=number) for number, one in enumerate(outcomes)],
        ignore_index=True,
    )
    metrics = pooled_metrics(predictions, split, seed=cfg.seed)
    metrics["best_cv_mean"] = float(np.mean([row["cv"] for row in chosen]))
    transductive = any(one.transductive for one in outcomes)
    parent.metrics(metrics)
    parent.tags({"transductive": str(transductive).lower()})
    parent.table(predictions, "predictions")
    parent.table(pd.DataFrame(chosen), "chosen")
    title = f"{name} · every fold tuned on its own training clips"
    report.log_confusion_matrix(parent, predictions, title=title)
    return report.nested_summary(
        metrics,
        pd.DataFrame(chosen),
        title=f"{name} · {split}{' · TRANSDUCTIVE' if transductive else ''}",
        unit=split.unit,
        metric=cfg.tuner.metric,
        where=report.where(parent.id, parent.experiment, cfg.tracking.uri),
    )


@dataclass(frozen=True)
class _Found:
    """What a study knows after a command.

    Attributes
    ----------
    best : FrozenTrial
    table : DataFrame
        All trials.
    done : int
        Trials of this command.
    interrupted : bool
    """

    best: FrozenTrial
    table: pd.DataFrame
    done: int
    interrupted: bool

    def count(self, state: str) -> int:
        """Trials in a state."""
        return int((self.table["state"] == state).sum())


def _objective(
    cfg: DictConfig,
    space: SearchSpace,
    clips: pd.DataFrame,
    split: Split,
    matrices: dict[str, np.ndarray],
) -> Objective:
    folds = inner_folds(clips, split, settings_of(cfg))
    return Objective(cfg, space, clips, split.grouped, folds, matrices)


def _run_study(
    cfg: DictConfig,
    name: str,
    objective: Objective,
    run: Run,
    *,
    n_trials: int | None,
    total: bool = False,
) -> _Found:
    """Open the study, run trials, and log what it then holds.

    Parameters
    ----------
    n_trials : int or None
        Of this command; of the study in all if `total`.
    """
    with open_study(cfg.tuner.storage, name) as (study, worker):
        study.sampler, study.pruner = _sampler_and_pruner(cfg, worker)
        if total and n_trials is not None:
            n_trials = max(0, n_trials - len(study.get_trials(deepcopy=False, states=FINISHED)))
        loop = _Loop(study, worker, objective, cfg, run, n_trials)
        loop.run()
        best = best_trial(study)
        if best is None:
            raise SerError("No trial has finished: give the study more trials or more time.")
        table = trials_table(study)
        run.table(table, "trials")
        for figure_name, figure in study_plots.figures(study).items():
            run.figure(figure, figure_name)
        numbers = {f"best_cv_{cfg.tuner.metric}": best.value, "n_trials": len(table)}
        run.metrics(numbers | {"cpu_seconds": table["cpu_seconds"].sum()})
    return _Found(best, table, loop.done, loop.interrupted)


class _Loop:
    """Trials, one after the other, until the budget is spent, the space is, or the user stops."""

    def __init__(
        self,
        study: Study,
        worker: Worker,
        objective: Objective,
        cfg: DictConfig,
        parent: Run,
        n_trials: int | None,
    ) -> None:
        self._study = study
        self._worker = worker
        self._objective = objective
        self._cfg = cfg
        self._parent = parent
        self._n_trials = n_trials
        self._failed: list[str] = []  # in a row
        self._drawing_since = time.thread_time()
        self.done = 0
        self.interrupted = False

    def run(self) -> None:
        """Run the trials; `done` and `interrupted` then say how it ended."""
        if self._n_trials == 0 or self._spent():
            return
        with tqdm(total=self._n_trials, desc="Tuning", unit="trial", disable=None) as self._bar:
            try:
                self._drawing_since = time.thread_time()
                self._study.optimize(
                    self._trial,
                    n_trials=self._n_trials,
                    timeout=self._cfg.tuner.timeout,
                    catch=(SerError, ValueError),
                    callbacks=[self._after],
                )
            except KeyboardInterrupt:
                self.interrupted = True

    def _trial(self, trial: Trial) -> float:
        """One trial, and its run under the study's."""
        drawing = time.thread_time() - self._drawing_since
        trial.set_user_attr(WORKER, self._worker.id)
        cfg = self._cfg
        with tracking.start_run(
            uri=cfg.tracking.uri,
            experiment=cfg.tracking.experiment,
            name=f"trial-{trial.number}",
            tags={"trial": trial.number},
            description=f"Trial {trial.number} of a study; no test clip was looked at.",
            parent=self._parent,
        ) as run:
            try:
                score = self._objective(trial)
            except Exception as error:
                if _interrupted(error):
                    raise KeyboardInterrupt from error
                self._failed.append(str(error))
                raise
            finally:
                run.params(trial.params)
            self._failed.clear()
            score.cpu_seconds += drawing
            trial.set_user_attr("cpu_seconds", score.cpu_seconds)
            trial.set_user_attr("pruned", score.pruned)
            self._log(run, score)
        if score.pruned and cfg.tuner.prune_by == "epochs":
            raise TrialPruned
        # A trial pruned fold by fold is told with the mean of its folds: to the sampler that is
        # worth more than the last fold's, and the pruner sees to it that it is not the best.
        return score.value

    def _log(self, run: Run, score: Score) -> None:
        metric = self._cfg.tuner.metric
        run.steps(f"fold_{metric}", score.folds)
        for epoch, value in score.epochs.items():
            run.steps(f"epoch_{metric}", [value], first=epoch)
        run.metrics(
            {
                f"cv_{metric}_mean": score.value,
                "n_folds": len(score.folds),
                "cpu_seconds": score.cpu_seconds,
            }
        )
        run.tags({"pruned": str(score.pruned).lower()})

    def _after(self, study: Study, trial: FrozenTrial) -> None:
        """Between two trials: the bar, and whether there is to be another one."""
        # A draw can be impossible (more neighbours than clips); all of them cannot.
        if len(self._failed) >= MAX_FAILED:
            raise SerError(
                f"{MAX_FAILED} trials failed one after the other: {self._failed[-1]}"
            ) from None
        self.done += 1
        self._bar.update()
        if best := best_trial(study):
            self._bar.set_postfix_str(f"best {self._cfg.tuner.metric} {100 * best.value:.1f} %")
        if self._spent():
            study.stop()
        self._drawing_since = time.thread_time()

    def _spent(self) -> bool:
        limit = self._cfg.tuner.cpu_seconds
        return limit is not None and _cpu_seconds(self._study) >= limit


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: OmegaConf's clean-up can fail in its stead."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _evaluate_best(
    cfg: DictConfig, found: _Found, space: SearchSpace, run: Run, *, fold: int | None = None
) -> Outcome:
    """The one look at test clips: a run as `ser.train` makes it, with the best trial's config."""
    best, choices = cli.compose_again(overrides_of(space, found.best.params))
    with open_dict(best):  # how the config was found is the study's to say
        for key in ("tuner", "search_space"):
            del best[key]
    choices = {k: v for k, v in choices.items() if k not in ("search_space", "sampler", "pruner")}
    return tracked(best, choices, parent=run, fold=fold)


def _check(cfg: DictConfig) -> None:
    tuner = cfg.tuner
    if tuner.metric not in METRICS:
        raise SerError(f"tuner.metric={tuner.metric} is none of {', '.join(METRICS)}.")
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


def _sampler_and_pruner(cfg: DictConfig, worker: Worker) -> tuple[object, object]:
    """A seed that neither the study nor another worker on it has drawn from before."""
    seed = cfg.tuner.seed + 7919 * worker.number
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of Optuna, about itself
        try:
            return instantiate(cfg.tuner.sampler, seed=seed), instantiate(cfg.tuner.pruner)
        except Exception as error:
            raise SerError(
                f"The sampler or the pruner cannot be made: {error.__cause__ or error}. See "
                "conf/sampler and conf/pruner."
            ) from error


def _cpu_seconds(study: Study) -> float:
    trials = study.get_trials(deepcopy=False)
    return sum(trial.user_attrs.get("cpu_seconds", 0.0) for trial in trials)


def best_trial(study: Study) -> FrozenTrial | None:
    """The trial with the best mean over all folds, or None before there is one."""
    finished = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not trial.user_attrs.get("pruned")
    ]
    return max(finished, key=lambda trial: trial.value, default=None)


def trials_table(study: Study) -> pd.DataFrame:
    """One row for every trial: state, value, folds or epochs reported, cost, and its parameters."""
    rows = []
    for trial in study.get_trials(deepcopy=False):
        state = "PRUNED" if trial.user_attrs.get("pruned") else trial.state.name
        seconds = trial.duration.total_seconds() if trial.duration else np.nan
        rows.append(
            {
                "trial": trial.number,
                "state": state,
                "value": trial.value,
                "reports": len(trial.intermediate_values),
                "seconds": seconds,
                "cpu_seconds": trial.user_attrs.get("cpu_seconds", np.nan),
                **trial.params,
            }
        )
    return pd.DataFrame(rows)
