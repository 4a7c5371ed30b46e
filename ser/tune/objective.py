"""What a trial is worth: its config over the inner folds, fold by fold or epoch by epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from hydra.core.override_parser.overrides_parser import OverridesParser
from joblib import effective_n_jobs
from omegaconf import DictConfig, OmegaConf
from optuna.trial import Trial
from sklearn.pipeline import Pipeline

from ser.core.errors import SerError
from ser.core.experiment import Experiment
from ser.core.overrides import key_of
from ser.data.dataset import Dataset
from ser.data.folds import Fold, Split
from ser.evaluation.folds import fit_on
from ser.evaluation.metrics import METRICS, Metric
from ser.evaluation.parallel import Job, Workers, run_fits
from ser.models.partial_fit import EpochFit, has_epochs, trains_by_epochs
from ser.models.pipeline import (
    originals,
    predict_emotions,
    predicted,
    with_copies,
    without_probabilities,
)
from ser.train import build
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
    experiment : Experiment
        Of ``conf/tune.yaml``.
    space : SearchSpace
    data : Dataset
    split : Split
        Folds of the clips that may be learned from.
    matrices : dict of str to (n_clips, n_features)
        Feature matrices by the settings of their features, filled as trials ask for them.
    question : mapping of str to object
        What its scores depend on besides what is drawn (`question.question_of`).
    composed : dict of (tuple of str) to DictConfig
        Configs by the groups' choices in them, filled as trials draw them.
    """

    experiment: Experiment
    space: SearchSpace
    data: Dataset
    split: Split
    matrices: dict[str, np.ndarray]
    question: Mapping[str, object]
    composed: dict[tuple[str, ...], DictConfig] = field(default_factory=dict)

    def __call__(self, trial: Trial) -> Score:
        """Score the trial; it stops early where its pruner says so.

        Raises
        ------
        SerError
            If the drawn config cannot be.
        """
        values, seconds = _timed(self.space.draw, trial)
        score = Score(cpu_seconds=seconds)
        cfg = self._config(overrides_of(self.space, values))
        pipeline, scaler = build.model_pipeline(cfg)
        X = self._matrix(cfg)
        if scaler is not None:
            X = scaler.transform(X, self.data.groups)
        data = replace(self.data, X=X).bare()
        if not self._metric.needs_proba:
            pipeline = without_probabilities(pipeline)
        if self._tuner.prune_by == "epochs":
            if not has_epochs(pipeline[-1]):
                raise SerError(
                    f"{type(pipeline[-1]).__name__} has no epochs to prune by. Use "
                    "pruner=wilcoxon (fold by fold) or pruner=none."
                )
            if trains_by_epochs(pipeline[-1]):
                return self._by_epochs(trial, pipeline, data, score)
        return self._by_folds(trial, pipeline, data, score)

    def _config(self, overrides: list[str]) -> DictConfig:
        """A trial's config. Only groups' choices are composed, once; values are set in a copy."""
        groups = (*self.experiment.choices.groups, "variants")
        chosen = tuple(one for one in overrides if key_of(one) in groups)
        if chosen not in self.composed:
            self.composed[chosen] = self.experiment.vary(chosen).cfg
        cfg: DictConfig = self.composed[chosen].copy()
        parser = OverridesParser.create()
        for override in parser.parse_overrides([one for one in overrides if one not in chosen]):
            place, _, key = override.key_or_group.rpartition(".")
            of = OmegaConf.select(cfg, place) if place else cfg
            if not OmegaConf.is_dict(of) or OmegaConf.is_dict(of.get(key)):
                return self.experiment.vary(overrides).cfg  # Hydra knows what this comes to
            OmegaConf.update(cfg, override.key_or_group, override.value(), force_add=True)
        return cfg

    def _by_folds(self, trial: Trial, pipeline: Pipeline, data: Dataset, score: Score) -> Score:
        """As many folds at a time as there are workers, until the pruner has seen enough."""
        folds, grouped = self.split.folds, self.split.grouped
        at_once = effective_n_jobs(self.experiment.cfg.compute.n_jobs)
        for start in range(0, len(folds), at_once):
            jobs = [
                (_timed, (_fold_score, pipeline, data, fold, grouped, self._metric))
                for fold in folds[start : start + at_once]
            ]
            for value in self._run(jobs, pipeline, score):
                if self._tuner.prune_by == "folds":
                    trial.report(value, step=len(score.folds))
                score.folds.append(value)
            if len(score.folds) < len(folds) and trial.should_prune():
                score.pruned = True
                break
        return score

    def _by_epochs(self, trial: Trial, pipeline: Pipeline, data: Dataset, score: Score) -> Score:
        """All folds side by side, some epochs at a time, until they end or are pruned."""
        X, y, folds = data.features, data.labels, self.split.folds
        jobs: list[Job] = [
            (_timed, (EpochFit.start, pipeline, *with_copies(X[f.train], y[f.train], None)[:2]))
            for f in folds
        ]
        fits = self._run(jobs, pipeline, score)
        epochs = 0
        while not all(fit.ended for fit in fits):
            epochs += EPOCHS
            jobs = [(_timed, (fit.advance, epochs)) for fit in fits]
            fits = self._run(jobs, pipeline, score)
            score.folds = [
                _score_of(fit.pipeline, data, fold.test, self._metric)
                for fit, fold in zip(fits, folds, strict=True)
            ]
            score.epochs[epochs] = score.value
            trial.report(score.value, step=epochs)
            if trial.should_prune():
                score.pruned = True
                break
        return score

    def _run(self, jobs: list, pipeline: Pipeline, score: Score) -> list:
        workers = Workers(self.experiment.cfg.compute.n_jobs)
        results, _ = run_fits(jobs, pipeline, workers)
        score.cpu_seconds += sum(seconds for _, seconds in results)
        return [result for result, _ in results]

    @property
    def _metric(self) -> Metric:
        return METRICS[self._tuner.metric]

    @property
    def _tuner(self) -> DictConfig:
        return self.experiment.cfg.tuner

    def _matrix(self, cfg: DictConfig) -> np.ndarray:
        key = features_key(cfg)
        if key not in self.matrices:
            used, errors = build.with_features(cfg, self.data)
            if errors:  # the study's folds are of all its clips
                path, cause = next(iter(errors.items()))
                raise SerError(f"{len(errors)} clips cannot be used, as {path}: {cause}.")
            self.matrices[key] = used.features
        return self.matrices[key]


def features_key(cfg: DictConfig) -> str:
    """What a feature matrix depends on."""
    return str([cfg.features, cfg.augmentation])


def overrides_of(space: SearchSpace, values: dict[str, object]) -> list[str]:
    """The command line of a trial's config."""
    return [*space.overrides(values), "variants=null"]


def _timed(function: Callable[..., Any], *arguments: object) -> tuple[Any, float]:
    """A result and the CPU seconds of this thread; a fit has no other, as BLAS gets one."""
    start = time.thread_time()
    result = function(*arguments)
    return result, time.thread_time() - start


def _fold_score(
    pipeline: Pipeline, data: Dataset, fold: Fold, grouped: bool, metric: Metric
) -> float:
    """Fit on a fold's training clips; the score of its held-out ones."""
    return _score_of(fit_on(pipeline, data, fold.train, grouped), data, fold.test, metric)


def _score_of(fitted: Pipeline, data: Dataset, rows: np.ndarray, metric: Metric) -> float:
    X, y = originals(data.features)[rows], data.labels[rows]
    if not metric.needs_proba:
        return metric(y, predicted(fitted, X))
    return metric(y, *predict_emotions(fitted, X, data.emotions), data.emotions)
