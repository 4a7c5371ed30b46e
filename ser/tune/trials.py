"""The trials of a study: drawn, pruned and tracked until the budget is spent."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig
from optuna.exceptions import ExperimentalWarning, TrialPruned
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from ser.core import interrupts
from ser.core.errors import SerError
from ser.core.progress import bar
from ser.evaluation.metrics import METRICS
from ser.tracking.run import Run, start_run
from ser.tune import figures
from ser.tune.objective import Objective, Score
from ser.tune.storage import WORKER, Worker, open_study

MAX_FAILED = 5  # trials in a row
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class StudyResult:
    """What a study knows after a command.

    Attributes
    ----------
    best : FrozenTrial
    trials : DataFrame
        All of them: see `trials_table`.
    n_run : int
        Trials of this command.
    interrupted : bool
    study : str
        Its name.
    """

    best: FrozenTrial
    trials: pd.DataFrame
    n_run: int
    interrupted: bool
    study: str

    def count(self, state: str) -> int:
        """Trials in a state."""
        return int((self.trials["state"] == state).sum())


def run_trials(name: str, objective: Objective, run: Run, *, total: bool = False) -> StudyResult:
    """Open the study, run trials, and log what it then holds.

    Parameters
    ----------
    name : str
        Of the study.
    objective : Objective
    run : Run
        The trials' runs are under it.
    total : bool
        Whether ``tuner.n_trials`` is of the study in all, not of this command.

    Raises
    ------
    SerError
        If the storage cannot be used, the study asks something else, no trial has finished, or
        none of this command's could be scored.
    """
    cfg, n_trials = objective.experiment.cfg, objective.experiment.cfg.tuner.n_trials
    metric = METRICS[cfg.tuner.metric]
    with open_study(
        cfg.tuner.storage,
        name,
        question=objective.question,
        higher_is_better=metric.higher_is_better,
    ) as (study, worker):
        study.sampler, study.pruner = _sampler_and_pruner(cfg, worker)
        if total and n_trials is not None:
            n_trials = max(0, n_trials - len(study.get_trials(deepcopy=False, states=FINISHED)))
        loop = _Loop(study, worker, objective, run, n_trials)
        loop.run()
        best = best_trial(study)
        if best is None or loop.all_failed:
            raise SerError(_why_none_finished(loop))
        table = trials_table(study)
        run.table(table, "trials")
        with run.decoration("figures of the study"):
            for figure_name, draw in figures.figures(study, metric).items():
                run.figure(draw, figure_name)
        numbers = {f"best_cv_{metric.name}": value_of(best), "n_trials": float(len(table))}
        run.metrics(numbers | {"cpu_seconds": table["cpu_seconds"].sum()})
    return StudyResult(best, table, loop.n_run, loop.interrupted, name)


def _why_none_finished(loop: _Loop) -> str:
    if loop.last_error:
        return (
            f"None of the {loop.n_run} trials of this command could be scored; the last said: "
            f"{loop.last_error}"
        )
    return "No trial has finished: give the study more trials or more time."


def best_trial(study: Study) -> FrozenTrial | None:
    """The trial with the best mean over all folds, or None before there is one."""
    finished = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not trial.user_attrs.get("pruned")
    ]
    lower = study.direction == StudyDirection.MINIMIZE
    return (min if lower else max)(finished, key=value_of, default=None)


def value_of(trial: FrozenTrial) -> float:
    """Its score; a trial that is complete has one."""
    assert trial.value is not None
    return trial.value


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


class _Loop:
    """Trials, one after the other, until the budget is spent, the space is, or the user stops."""

    def __init__(
        self,
        study: Study,
        worker: Worker,
        objective: Objective,
        parent: Run,
        n_trials: int | None,
    ) -> None:
        self._study = study
        self._worker = worker
        self._objective = objective
        self._cfg = objective.experiment.cfg
        self._parent = parent
        self._n_trials = n_trials
        self._n_failed = 0  # in a row
        self._drawing_since = time.thread_time()
        self.last_error = ""
        self.n_run = 0
        self.interrupted = False

    @property
    def all_failed(self) -> bool:
        """Whether there were trials, and the user has not stopped them, and none has a score."""
        return 0 < self.n_run == self._n_failed and not self.interrupted

    def run(self) -> None:
        """Run the trials; `n_run` and `interrupted` then say how it ended."""
        if self._n_trials == 0 or self._spent():
            return
        with bar(total=self._n_trials, desc="Tuning", unit="trial") as self._bar:
            try:
                self._drawing_since = time.thread_time()
                self._study.optimize(
                    self._trial,
                    n_trials=self._n_trials,
                    timeout=self._cfg.tuner.timeout,
                    catch=(SerError, ValueError),
                    callbacks=[self._after],
                )
            except (KeyboardInterrupt, Exception) as error:
                # Ctrl-C while Optuna writes comes out as an error of its lock on the journal.
                if not _interrupted(error):
                    raise
                self.interrupted = True
                interrupts.forget()  # the best of what there is is tested all the same

    def _trial(self, trial: Trial) -> float:
        """One trial, and its run under the study's."""
        drawing = time.thread_time() - self._drawing_since
        trial.set_user_attr(WORKER, self._worker.id)
        cfg = self._cfg
        with start_run(
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
                self.last_error = str(error)
                raise
            finally:
                run.params(trial.params)
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
        self._n_failed = self._n_failed + 1 if trial.state == TrialState.FAIL else 0
        # A draw can be impossible (more neighbours than clips); all of them cannot.
        if self._n_failed >= MAX_FAILED:
            raise SerError(
                f"{MAX_FAILED} trials failed one after the other: {self.last_error}"
            ) from None
        self.n_run += 1
        if best := best_trial(study):
            metric = METRICS[self._cfg.tuner.metric]
            text = f"best {metric.name} {metric.text_with_unit(value_of(best))}"
            self._bar.set_postfix_str(text, refresh=False)
        self._bar.update()
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


def _sampler_and_pruner(cfg: DictConfig, worker: Worker) -> tuple[BaseSampler, BasePruner]:
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
