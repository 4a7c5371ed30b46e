"""What of a protocol is known before anything is fitted: its inner folds, and what they cannot be.

The clip table alone decides it. So commands ask before they extract a feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from sklearn.pipeline import Pipeline

from ser.core.errors import SerError
from ser.data.dataset import Dataset
from ser.data.folds import (
    Fold,
    Split,
    check,
    counted,
    cross_validation_folds,
    lacking,
    most_folds,
)
from ser.evaluation.folds import evaluate_fold
from ser.evaluation.parallel import Workers, run_fits

N_SPLITS = 10  # folds of a cross-validation, where the clips allow so many
FEW_CLIPS = 100  # training clips, below which a model is tried before features are extracted


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a protocol is carried out.

    Attributes
    ----------
    n_splits : int or None
        Folds of the cross-validation; None for ten, or as many as the training clips allow.
    grouped : bool or None
        Whether these folds keep actors apart; None for as the split does.
    learning_clips, learning_actors : tuple of int
        What the learning curve trains on: clips, or actors under a grouped split; empty for none.
    validation : mapping of str to sequence
        Parameter of the pipeline (``classifier__alpha``) -> values to draw a validation curve of.
    keep_models : bool
        Whether the models of several folds stay in memory, to be explained.
    n_permutations : int
        Shuffles of the emotions for the permutation check; 0 for none.
    seed : int
    n_jobs : int
        joblib workers; -1 for one per core.
    """

    seed: int
    n_splits: int | None = None
    grouped: bool | None = None
    learning_clips: tuple[int, ...] = ()
    learning_actors: tuple[int, ...] = ()
    validation: Mapping[str, Sequence[object]] = field(default_factory=dict)
    keep_models: bool = False
    n_permutations: int = 0
    n_jobs: int = -1

    @property
    def draws_curves(self) -> bool:
        """Whether there are learning or validation curves to draw."""
        return bool(self.learning_clips or self.learning_actors or self.validation)


@dataclass(frozen=True)
class Plan:
    """Which folds are fitted.

    Attributes
    ----------
    split : Split
    inner : Split or None
        Cross-validation folds of the clips that may be learned from; None where none are wanted,
        or the clips allow none.
    notes : tuple of str
        What is not as one may expect of it: fewer folds than ten, emotions without a test clip.
    """

    split: Split
    inner: Split | None
    notes: tuple[str, ...]

    @property
    def scored(self) -> tuple[Fold, ...]:
        """Folds whose held-out clips are scored: the split's and, of one fold, those inside."""
        inside = self.inner.folds if self.inner and len(self.split.folds) == 1 else ()
        return self.split.folds + inside


def plan(data: Dataset, split: Split, settings: Settings) -> Plan:
    """Check a split, and find its cross-validation folds where the run has some.

    A split of several folds is a cross-validation itself: it has folds inside for curves only.

    Parameters
    ----------
    data : Dataset
        With or without features.
    split : Split
    settings : Settings

    Raises
    ------
    SerError
        If a fold cannot be fitted or tested, there are too few clips or actors for the folds that
        are asked for, or the folds would leak.
    """
    check(split, data.clips)
    for key in ("learning_clips", "learning_actors"):
        if min(getattr(settings, key), default=1) < 1:
            sizes = list(getattr(settings, key))
            raise SerError(f"curves.{key.replace('_', '.')}={sizes}: give numbers of 1 or more.")
    inner, notes = None, _untested(data, split)
    if len(split.folds) == 1 or settings.draws_curves:
        inner, note = _inner(data, split, settings)
        notes += note
    return Plan(split, inner, notes)


def inner_split(data: Dataset, split: Split, settings: Settings) -> Split:
    """The split's cross-validation folds of the clips that may be learned from.

    Raises
    ------
    SerError
        If the clips allow none, or the folds share actors where the split does not.
    """
    inner, notes = _inner(data, split, settings)
    if inner is None:
        raise SerError(notes[0])
    return inner


def try_model(pipeline: Pipeline, data: Dataset, planned: Plan, shape: tuple[int, ...]) -> None:
    """Fit a model on noise in the place of the features, on the folds with the fewest clips.

    Whether five neighbours, or two clips of every emotion, can be found is known without a feature.
    A fit on so few clips takes less than their extraction.

    Parameters
    ----------
    pipeline : Pipeline
        Not fitted.
    data : Dataset
        Without features.
    planned : Plan
    shape : tuple of int
        Of a clip's features: (n_features,) or (1 + n_copies, n_features).

    Raises
    ------
    ClipsRefusedError
        If the model cannot be fitted on a fold, or cannot predict after it.
    """
    y, folds = data.labels, planned.scored
    fewest = min(range(len(folds)), key=lambda n: len(folds[n].train))
    rarest = min(range(len(folds)), key=lambda n: np.unique_counts(y[folds[n].train]).counts.min())
    few = [folds[n] for n in {fewest, rarest} if len(folds[n].train) < FEW_CLIPS]
    if not few:
        return
    jobs = []
    for fold in few:
        tried = data.select(np.concatenate([fold.train, fold.test[:FEW_CLIPS]]))
        X = np.random.default_rng(0).standard_normal((len(tried), *shape), dtype=np.float32)
        train, test = np.split(np.arange(len(tried)), [len(fold.train)])
        tried = replace(tried, X=X).bare()
        grouped = planned.split.grouped
        jobs.append((evaluate_fold, (pipeline, tried, Fold(train, test), grouped, False, False)))
    run_fits(jobs, pipeline, Workers(1))  # what they warn of, the fits on features will


def _inner(data: Dataset, split: Split, settings: Settings) -> tuple[Split | None, tuple[str, ...]]:
    """Inner folds, or None, and what there is to say of their number."""
    grouped = split.grouped if settings.grouped is None else settings.grouped
    if split.grouped and not grouped:
        raise SerError(
            "cv.grouped=false cannot go with a split that keeps actors apart: what is chosen on "
            "folds that share actors is chosen for known voices, and tested on unknown ones. "
            "Leave cv.grouped out, or use split=random."
        )
    rows = split.development
    y, actors = data.labels[rows], data.groups[rows]
    most, why = most_folds(y, actors, grouped=grouped)
    wanted = settings.n_splits
    for n_splits in range(min(N_SPLITS, most), 1, -1) if wanted is None else (wanted,):
        folds = cross_validation_folds(
            y, actors, n_splits=n_splits, grouped=grouped, seed=settings.seed
        )
        if (emotion := lacking(y, folds)) is None:
            inner = tuple(Fold(rows[fold.train], rows[fold.test]) for fold in folds)
            fewer = wanted is None and n_splits < N_SPLITS
            note = f"{n_splits} cross-validation folds instead of {N_SPLITS}: the clips have only"
            return replace(split, folds=inner), (f"{note} {why}.",) if fewer else ()
        n_actors = len(np.unique(actors[y == emotion]))
        why = f"{counted(n_actors, 'training actor')} with clips of {emotion}"
    if wanted is not None:
        raise SerError(
            f"cv.n_splits={wanted} would leave a fold no training clip of {emotion}: the clips "
            f"have only {why}. Give another number, or leave cv.n_splits out."
        )
    return None, (f"No cross-validation and no learning curve: the clips have only {why}.",)


def _untested(data: Dataset, split: Split) -> tuple[str, ...]:
    """What there is to say of emotions that no test clip has."""
    tested = np.unique(data.labels[np.concatenate([fold.test for fold in split.folds])])
    missing = sorted(set(data.emotions) - set(tested))
    if not missing:
        return ()
    over = f"the recall of {tested[0]}" if len(tested) == 1 else "over the other emotions"
    return (f"No test clip is of {', '.join(missing)}: UAR is {over} alone.",)
