"""A search: a study's trials on training clips, then the best, tested; or that in every fold."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict

from ser import report
from ser.core import command
from ser.core.errors import SerError
from ser.core.overrides import Choices
from ser.core.redact import without_password
from ser.data.splits import Split
from ser.evaluation.protocol import inner_folds, pooled_metrics
from ser.report import terminal
from ser.tracking import run as tracking
from ser.tracking.run import Run
from ser.train import log as record
from ser.train.run import Outcome, load, log_config, settings_of, tags, tracked
from ser.tune.objective import Objective, features_key, overrides_of
from ser.tune.space import SearchSpace
from ser.tune.trials import Found, run_trials, value_of

METRICS = ("uar", "accuracy", "f1_macro")


def search(cfg: DictConfig, choices: Choices) -> tuple[str, str]:
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
        tags={**tags(cfg, choices, module="ser.tune"), "study": name},
        description=f"`{choices.command('ser.tune')}`",
    ) as parent:
        log_config(parent, cfg)
        clips, X, split = load(cfg, choices, parent)
        matrices = {features_key(cfg): X}
        if cfg.tuner.nested:
            text = _nested(cfg, choices, space, name, clips, split, matrices, parent)
            return parent.id, text
        _check_one_fold(split)
        objective = _objective(cfg, space, clips, split, matrices)
        found = run_trials(cfg, name, objective, parent, n_trials=cfg.tuner.n_trials)
        outcome = _evaluate_best(cfg, found, space, parent)
        parent.metrics({k: v for k, v in outcome.metrics.items() if k.startswith("test_")})
        parent.tags({"transductive": str(outcome.transductive).lower()})
        report.attach(parent)
    lines = [
        "",
        f"{'Interrupted: the' if found.interrupted else 'The'} best of {len(found.table)} trials "
        f"({found.done} of this command; {found.count('PRUNED')} pruned, {found.count('FAIL')} "
        f"failed), trial {found.best.number}: "
        f"cross-validated {cfg.tuner.metric} {100 * value_of(found.best):.1f} %",
        *(f"  {override}" for override in space.overrides(found.best.params)),
        outcome.text,
        f"study   {name} in {without_password(cfg.tuner.storage)}; "
        "the same command goes on with it",
    ]
    return outcome.run_id, "\n".join(lines)


def _nested(
    cfg: DictConfig,
    choices: Choices,
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
            tags={**tags(cfg, choices, module="ser.tune"), "study": name, "fold": number},
            description="A search on the training clips of one outer fold.",
            parent=parent,
        ) as run:
            objective = _objective(cfg, space, clips, alone, matrices)
            study = f"{name}-fold-{number}-of-{len(split.folds)}"
            found = run_trials(cfg, study, objective, run, n_trials=cfg.tuner.n_trials, total=True)
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
    record.log_confusion_matrix(parent, predictions, title=title)
    report.attach(parent)
    return terminal.of_nested_search(
        metrics,
        pd.DataFrame(chosen),
        title=f"{name} · {split}{' · TRANSDUCTIVE' if transductive else ''}",
        unit=split.unit,
        metric=cfg.tuner.metric,
        where=terminal.where(parent.id, parent.experiment, cfg.tracking.uri),
    )


def _objective(
    cfg: DictConfig,
    space: SearchSpace,
    clips: pd.DataFrame,
    split: Split,
    matrices: dict[str, np.ndarray],
) -> Objective:
    folds = inner_folds(clips, split, settings_of(cfg))
    return Objective(cfg, space, clips, split.grouped, folds, matrices)


def _evaluate_best(
    cfg: DictConfig, found: Found, space: SearchSpace, run: Run, *, fold: int | None = None
) -> Outcome:
    """The one look at test clips: a run as `ser.train` makes it, with the best trial's config."""
    best, choices = command.compose_again(overrides_of(space, found.best.params))
    with open_dict(best):  # how the config was found is the study's to say
        for key in ("tuner", "search_space"):
            del best[key]
    choices = choices.without("tuner", "search_space", "sampler", "pruner")
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
