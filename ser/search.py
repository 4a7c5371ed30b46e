"""A study's trials: drawn, cross-validated fold by fold, pruned, tracked; and the best of them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from joblib import effective_n_jobs
from omegaconf import DictConfig
from optuna.exceptions import ExperimentalWarning
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from tqdm import tqdm

from ser import cli, report, study_plots, tracking
from ser.errors import SerError
from ser.evaluation import scores
from ser.parallel import run_fits
from ser.pipeline import fit, without_probabilities
from ser.protocol import inner_folds
from ser.runs import features_of, load, log_config, model_of, settings_of, tags, tracked
from ser.search_space import SearchSpace
from ser.splits import Fold, Split
from ser.studies import WORKER, open_study
from ser.tracking import Run

METRICS = ("uar", "accuracy", "f1_macro")
MAX_FAILED = 5  # trials in a row


def search(cfg: DictConfig, choices: Mapping[str, str]) -> str:
    """Run a study's trials and track them, then evaluate the best.

    Returns
    -------
    str
        What the terminal shows.

    Raises
    ------
    SerError
        See `ser.tune.tune`.
    """
    if cfg.tuner.metric not in METRICS:
        raise SerError(f"tuner.metric={cfg.tuner.metric} is none of {', '.join(METRICS)}.")
    if cfg.tuner.n_trials is None and cfg.tuner.timeout is None:
        raise SerError("Give tuner.n_trials or tuner.timeout: the search would never end.")
    space = instantiate(cfg.search_space, _convert_="all")
    name = cfg.tuner.study or "-".join(
        str(choices[g]) for g in ("model", "split", "data", "features", "search_space")
    )
    with (
        tracking.start_run(
            uri=cfg.tracking.uri,
            experiment=cfg.tracking.experiment,
            name=f"tune-{name}",
            tags={**tags(cfg, choices), "study": name},
            description=report.description(choices, module="ser.tune"),
        ) as parent,
        open_study(cfg.tuner.storage, name) as (study, worker),
    ):
        log_config(parent, cfg)
        clips, X, split = load(cfg, choices, parent)
        _check_split(split)
        folds = inner_folds(clips, split, settings_of(cfg))
        objective = _Objective(cfg, space, clips, split, folds, {_features_key(cfg): X})
        study.sampler = instantiate(cfg.tuner.sampler, seed=_sampler_seed(cfg.seed, study))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # of Optuna, about itself
            study.pruner = instantiate(cfg.tuner.pruner)
        done, interrupted = _run_trials(study, worker, objective, cfg, parent)
        best = best_trial(study)
        if best is None:
            raise SerError("No trial has finished: give the study more trials or more time.")
        table = _trials_table(study)
        parent.table(table, "trials")
        for figure_name, figure in study_plots.figures(study).items():
            parent.figure(figure, figure_name)
        parent.metrics({f"best_cv_{cfg.tuner.metric}": best.value, "n_trials": len(table)})
        outcome = tracked(*cli.compose_again(_overrides(space, best.params)), parent=parent)
        parent.metrics({k: v for k, v in outcome.metrics.items() if k.startswith("test_")})
    lines = [
        "",
        f"{'Interrupted: the' if interrupted else 'The'} best of {len(table)} trials "
        f"({done} of this command), trial {best.number}: "
        f"cross-validated {cfg.tuner.metric} {100 * best.value:.1f} %",
        *(f"  {override}" for override in space.overrides(best.params)),
        outcome.text,
        f"study   {name} in {cfg.tuner.storage}; the same command goes on with it",
    ]
    return "\n".join(lines)


@dataclass(frozen=True)
class _Objective:
    """Mean score of a trial's config over the inner folds, fold by fold.

    Attributes
    ----------
    matrices : dict of str to (n_clips, n_features)
        Feature matrices by the settings of their features, filled as trials ask for them.
    """

    cfg: DictConfig
    space: SearchSpace
    clips: pd.DataFrame
    split: Split
    folds: Sequence[Fold]
    matrices: dict[str, np.ndarray]

    def __call__(self, trial: Trial) -> tuple[list[float], bool]:
        """Scores of the folds that were fitted, and whether the pruner stopped the rest."""
        overrides = _overrides(self.space, self.space.draw(trial))
        cfg, _ = cli.compose_again(overrides)
        pipeline, scaler = model_of(cfg)
        X = self._matrix(cfg)
        actors = self.clips["actor"].to_numpy()
        if scaler is not None:
            X = scaler.transform(X, actors)
        y = self.clips["emotion"].to_numpy(dtype=str)
        groups = actors if self.split.grouped else None
        pipeline = without_probabilities(pipeline)
        at_once = effective_n_jobs(cfg.compute.n_jobs)
        values: list[float] = []
        for start in range(0, len(self.folds), at_once):
            jobs = [
                (_score, (pipeline, X, y, groups, fold, self.cfg.tuner.metric))
                for fold in self.folds[start : start + at_once]
            ]
            results, _ = run_fits(jobs, pipeline, n_jobs=cfg.compute.n_jobs)
            for value in results:
                trial.report(value, step=len(values))
                values.append(value)
            if len(values) < len(self.folds) and trial.should_prune():
                return values, True
        return values, False

    def _matrix(self, cfg: DictConfig) -> np.ndarray:
        key = _features_key(cfg)
        if key not in self.matrices:
            self.matrices[key] = features_of(cfg, self.clips["path"].tolist()).X
        return self.matrices[key]


def _score(
    pipeline: object, X: np.ndarray, y: np.ndarray, groups: object, fold: Fold, metric: str
) -> float:
    some = None if groups is None else groups[fold.train]
    fitted = fit(pipeline, X[fold.train], y[fold.train], groups=some)
    return scores(y[fold.test], fitted.predict(X[fold.test]), None, ())[metric]


def _run_trials(
    study: Study,
    worker: str,
    objective: Callable[[Trial], tuple[list[float], bool]],
    cfg: DictConfig,
    parent: Run,
) -> tuple[int, bool]:
    """Run trials until the budget is spent: how many, and whether the user stopped them."""
    end = time.monotonic() + cfg.tuner.timeout if cfg.tuner.timeout else np.inf
    n_trials = cfg.tuner.n_trials or np.inf
    done = failed = 0
    with tqdm(total=cfg.tuner.n_trials, desc="Tuning", unit="trial", disable=None) as bar:
        while done < n_trials and time.monotonic() < end:
            trial = study.ask()
            try:
                trial.set_user_attr(WORKER, worker)
                _run_trial(study, trial, objective, cfg, parent)
                failed = 0
            except KeyboardInterrupt:
                study.tell(trial, state=TrialState.FAIL)
                return done, True
            except (SerError, ValueError) as error:
                # A draw can be impossible (more neighbours than clips); all of them cannot.
                study.tell(trial, state=TrialState.FAIL)
                failed += 1
                if failed == MAX_FAILED:
                    raise SerError(
                        f"{failed} trials failed one after the other: {error}"
                    ) from error
            done += 1
            bar.update()
            if best := best_trial(study):
                bar.set_postfix_str(f"best {cfg.tuner.metric} {100 * best.value:.1f} %")
    return done, False


def _run_trial(
    study: Study,
    trial: Trial,
    objective: Callable[[Trial], tuple[list[float], bool]],
    cfg: DictConfig,
    parent: Run,
) -> None:
    """One trial, and its run under the study's."""
    with tracking.start_run(
        uri=cfg.tracking.uri,
        experiment=cfg.tracking.experiment,
        name=f"trial-{trial.number}",
        tags={"trial": trial.number},
        description=f"Trial {trial.number} of a study; no test clip was looked at.",
        parent=parent,
    ) as run:
        try:
            values, pruned = objective(trial)
        finally:
            run.params(trial.params)
        value = float(np.mean(values))
        trial.set_user_attr("pruned", pruned)
        # A pruned trial is told with the mean of its folds: to the sampler that is worth more than
        # the last fold's, and the pruner sees to it that it is not the best.
        study.tell(trial, value)
        run.steps(f"fold_{cfg.tuner.metric}", values)
        run.metrics({f"cv_{cfg.tuner.metric}_mean": value, "n_folds": len(values)})
        run.tags({"pruned": str(pruned).lower()})


def _check_split(split: Split) -> None:
    if len(split.folds) > 1:
        raise SerError(
            f"The split has {len(split.folds)} folds, each with a training part of its own: one "
            "search over all of them would choose on clips that it is tested on. Tune under "
            "split=speaker or split=random."
        )


def _overrides(space: SearchSpace, values: Mapping[str, object]) -> list[str]:
    return [*space.overrides(values), "study=null"]


def _sampler_seed(seed: int, study: Study) -> int:
    """A seed that a study which goes on, or another worker on it, has not drawn from before."""
    return seed + 7919 * len(study.get_trials(deepcopy=False))


def _features_key(cfg: DictConfig) -> str:
    return str(cfg.features)


def best_trial(study: Study) -> FrozenTrial | None:
    """The trial with the best mean over all folds, or None before there is one."""
    finished = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not trial.user_attrs.get("pruned")
    ]
    return max(finished, key=lambda trial: trial.value, default=None)


def _trials_table(study: Study) -> pd.DataFrame:
    rows = []
    for trial in study.get_trials(deepcopy=False):
        state = "PRUNED" if trial.user_attrs.get("pruned") else trial.state.name
        seconds = trial.duration.total_seconds() if trial.duration else np.nan
        rows.append(
            {
                "trial": trial.number,
                "state": state,
                "value": trial.value,
                "folds": len(trial.intermediate_values),
                "seconds": seconds,
                **trial.params,
            }
        )
    return pd.DataFrame(rows)
