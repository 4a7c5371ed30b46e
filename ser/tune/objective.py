"""What a trial is worth: its config over the inner folds, fold by fold or epoch by epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from omegaconf import DictConfig
from optuna.trial import Trial
from sklearn.pipeline import Pipeline

from ser.core import command
from ser.core.errors import SerError
from ser.data.splits import Fold
from ser.evaluation.metrics import scores
from ser.evaluation.parallel import Job, run_fits
from ser.models.partial_fit import EpochFit, has_epochs, trains_by_epochs
from ser.models.pipeline import fit, heard, with_copies, without_probabilities
from ser.train.run import features_of, model_of
from ser.tune.space import SearchSpace

EPOCHS = 10  # between two decisions of an epoch-by-epoch pruner


@dataclass
class Score:
    """What a trial found out.

    Attributes
    ----------
    folds : list of float
        Score of each inner fold that was fitted.
    epochs : dict of int to float
        Epoch -> mean score over the folds; empty unless the folds trained epoch by epoch.
    cpu_seconds : float
        Of drawing it and of the fits, wherever they ran.
    pruned : bool
        Whether the pruner stopped it.
    """

    folds: list[float] = field(default_factory=list)
    epochs: dict[int, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    pruned: bool = False

    @property
    def value(self) -> float:
        """Mean over the folds that were fitted."""
        return float(np.mean(self.folds))


@dataclass(frozen=True)
class Objective:
    """Draws a trial's config and cross-validates it on training clips.

    Attributes
    ----------
    cfg : DictConfig
        ``conf/tune.yaml``, composed.
    space : SearchSpace
    clips : DataFrame
    grouped : bool
        Whether the split keeps actors apart.
    folds : sequence of Fold
        Of the clips that may be learned from.
    matrices : dict of str to (n_clips, n_features)
        Feature matrices by the settings of their features, filled as trials ask for them.
    """

    cfg: DictConfig
    space: SearchSpace
    clips: pd.DataFrame
    grouped: bool
    folds: Sequence[Fold]
    matrices: dict[str, np.ndarray]

    def __call__(self, trial: Trial) -> Score:
        """Score the trial; it stops early where its pruner says so.

        Raises
        ------
        SerError
            If the drawn config cannot be.
        """
        values, seconds = _timed(self.space.draw, trial)
        score = Score(cpu_seconds=seconds)
        cfg, _ = command.compose_again(overrides_of(self.space, values))
        pipeline, scaler = model_of(cfg)
        X = self._matrix(cfg)
        if scaler is not None:
            X = scaler.transform(X, self.clips["actor"].to_numpy())
        pipeline = without_probabilities(pipeline)
        if self.cfg.tuner.prune_by == "epochs":
            if not has_epochs(pipeline[-1]):
                raise SerError(
                    f"{type(pipeline[-1]).__name__} has no epochs to prune by. Use "
                    "pruner=wilcoxon (fold by fold) or pruner=none."
                )
            if trains_by_epochs(pipeline[-1]):
                return self._by_epochs(trial, pipeline, X, score)
        return self._by_folds(trial, pipeline, X, score)

    def _by_folds(self, trial: Trial, pipeline: Pipeline, X: np.ndarray, score: Score) -> Score:
        """As many folds at a time as there are workers, until the pruner has seen enough."""
        y, groups = self._y(), self._groups()
        at_once = effective_n_jobs(self.cfg.compute.n_jobs)
        for start in range(0, len(self.folds), at_once):
            some = self.folds[start : start + at_once]
            jobs = [(_timed, (_score, pipeline, X, y, groups, fold, self._metric)) for fold in some]
            for value in self._run(jobs, pipeline, score):
                if self.cfg.tuner.prune_by == "folds":
                    trial.report(value, step=len(score.folds))
                score.folds.append(value)
            if len(score.folds) < len(self.folds) and trial.should_prune():
                score.pruned = True
                break
        return score

    def _by_epochs(self, trial: Trial, pipeline: Pipeline, X: np.ndarray, score: Score) -> Score:
        """All folds side by side, some epochs at a time, until they end or are pruned."""
        y = self._y()
        jobs: list[Job] = [
            (_timed, (EpochFit.start, pipeline, *with_copies(X[f.train], y[f.train], None)[:2]))
            for f in self.folds
        ]
        fits = self._run(jobs, pipeline, score)
        epochs = 0
        while not all(one.ended for one in fits):
            epochs += EPOCHS
            jobs = [(_timed, (one.advance, epochs)) for one in fits]
            fits = self._run(jobs, pipeline, score)
            score.folds = [
                scores(y[fold.test], one.pipeline.predict(heard(X)[fold.test]), None, ())[
                    self._metric
                ]
                for one, fold in zip(fits, self.folds, strict=True)
            ]
            score.epochs[epochs] = score.value
            trial.report(score.value, step=epochs)
            if trial.should_prune():
                score.pruned = True
                break
        return score

    def _run(self, jobs: list, pipeline: Pipeline, score: Score) -> list:
        results, _ = run_fits(jobs, pipeline, n_jobs=self.cfg.compute.n_jobs)
        score.cpu_seconds += sum(seconds for _, seconds in results)
        return [result for result, _ in results]

    def _y(self) -> np.ndarray:
        return self.clips["emotion"].to_numpy(dtype=str)

    def _groups(self) -> np.ndarray | None:
        return self.clips["actor"].to_numpy() if self.grouped else None

    @property
    def _metric(self) -> str:
        return self.cfg.tuner.metric

    def _matrix(self, cfg: DictConfig) -> np.ndarray:
        key = features_key(cfg)
        if key not in self.matrices:
            self.matrices[key] = features_of(cfg, self.clips["path"].tolist()).X
        return self.matrices[key]


def features_key(cfg: DictConfig) -> str:
    """What a feature matrix depends on."""
    return str([cfg.features, cfg.augmentation])


def overrides_of(space: SearchSpace, values: dict[str, object]) -> list[str]:
    """The command line of a trial's config."""
    return [*space.overrides(values), "study=null"]


def _timed(function: Callable[..., Any], *arguments: object) -> tuple[Any, float]:
    """A result and the CPU seconds of this thread; a fit has no other, as BLAS gets one."""
    start = time.thread_time()
    result = function(*arguments)
    return result, time.thread_time() - start


def _score(
    pipeline: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None,
    fold: Fold,
    metric: str,
) -> float:
    some = None if groups is None else groups[fold.train]
    fitted = fit(pipeline, X[fold.train], y[fold.train], groups=some)
    return scores(y[fold.test], fitted.predict(heard(X)[fold.test]), None, ())[metric]
