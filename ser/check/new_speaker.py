"""A new speaker's first sixty clips: what a model gains by hearing some of them, unlabelled.

A model of features that are scaled by speaker needs the mean and deviation of the speaker's
features. Of few clips these are uncertain, so they are blended with those of the training actors.
With no clip of the new speaker the model is inductive; with all that are tested it is transductive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.pipeline import Pipeline

from ser.check.findings import Finding
from ser.check.subject import Subject
from ser.data.dataset import Dataset
from ser.data.folds import Fold, cross_validation_folds
from ser.evaluation.folds import fit_on
from ser.evaluation.parallel import run_fits
from ser.evaluation.protocol import progress
from ser.evaluation.uncertainty import uar_over_units
from ser.models.pipeline import originals, predict_emotions
from ser.models.scaling import MIN_CLIPS, SpeakerScaler

PRIOR_CLIPS = 10.0  # clips that the training actors' deviation counts for
N_SPLITS = 6  # of actors, where the run's folds do not keep them apart


@dataclass(frozen=True)
class Voices:
    """What is known of a speaker's features before the first clip: of the training actors.

    Attributes
    ----------
    mean, variance : (n_columns,) float
        Mean of the actors' means, and of their variances.
    between : (n_columns,) float
        Variance of the actors' means.
    """

    mean: np.ndarray
    variance: np.ndarray
    between: np.ndarray

    def scaled(self, X: np.ndarray, heard: np.ndarray) -> np.ndarray:
        """Vectors of a speaker, of whom some clips were heard.

        The mean is the Bayes estimate for normal means: the clips' own, drawn towards the actors'
        by as much as it is uncertain. The variance is that of the clips and of `PRIOR_CLIPS`
        others.

        Parameters
        ----------
        X : (n_clips, n_columns)
        heard : (n_heard, n_columns)
            Perhaps none.
        """
        n = len(heard)
        own = heard.mean(axis=0) if n else self.mean
        spread = heard.var(axis=0) if n > 1 else self.variance
        certainty = n * self.between / np.maximum(n * self.between + self.variance, 1e-12)
        mean = certainty * own + (1 - certainty) * self.mean
        n_own = n if n > 1 else 0
        variance = (n_own * spread + PRIOR_CLIPS * self.variance) / (n_own + PRIOR_CLIPS)
        return ((X - mean) / np.sqrt(np.where(variance > 0, variance, 1))).astype(np.float32)


def learn_voices(X: np.ndarray, actors: np.ndarray) -> Voices:
    """What speakers are like.

    Parameters
    ----------
    X : (n_clips, n_columns)
    actors : (n_clips,)
    """
    of_actor = [X[actors == actor].astype(np.float64) for actor in np.unique(actors)]
    means = np.array([own.mean(axis=0) for own in of_actor])
    variances = np.array([own.var(axis=0) for own in of_actor])
    n = np.mean([len(own) for own in of_actor])
    between = np.maximum(means.var(axis=0, ddof=1) - variances.mean(axis=0) / n, 0)
    return Voices(means.mean(axis=0), variances.mean(axis=0), between)


def new_speaker(subject: Subject, clips: Sequence[int], draws: int) -> list[Finding]:
    """UAR on new speakers of whom so many clips were heard, without their labels.

    Parameters
    ----------
    subject : Subject
        Of a run.
    clips : sequence of int
        How many clips are heard; those that no actor has so many of are left out.
    draws : int
        Of the clips, drawn at random, over which hits are averaged.
    """
    data, pipeline = subject.data, subject.pipeline
    counts = np.unique(data.groups, return_counts=True)[1]
    if pipeline is None or len(counts) < 4 or counts.min() < MIN_CLIPS:
        return []
    heard = [n for n in clips if n <= counts.max()]
    folds = subject.split.folds if subject.split.grouped else _folds(data, subject.settings.seed)
    bare = data.bare()
    jobs = [(_hits, (pipeline, bare, fold, heard, draws)) for fold in folds]
    with progress(len(jobs), "Fitting for new speakers", subject.settings) as workers:
        results, _ = run_fits(jobs, pipeline, workers)
    rows = np.concatenate([fold.test for fold in folds])
    hits = np.concatenate(results, axis=1)
    uar, low, high = uar_over_units(hits, data.labels[rows], data.groups[rows].astype(str))
    return [
        Finding(
            part="new speaker",
            check=f"{n} unlabelled clips",
            measure="UAR",
            value=uar[i],
            low=low[i],
            high=high[i],
            note=_note(n, np.unique(data.groups[rows], return_counts=True)[1]),
        )
        for i, n in enumerate(heard)
    ]


def _note(n: int, counts: np.ndarray) -> str:
    """What is to be known of a number of clips, by how many each speaker has.

    >>> _note(5, np.array([9, 5])), _note(60, np.array([71, 35]))[-26:]
    ('transductive: they are among the test clips', '1 of 2 speakers have fewer')
    """
    if n == 0:
        return "inductive"
    few = f"; {(counts < n).sum()} of {len(counts)} speakers have fewer" * bool((counts < n).any())
    return f"transductive: they are among the test clips{few}"


def _folds(data: Dataset, seed: int) -> list[Fold]:
    """Folds of whole actors, where the run's own do not keep them apart."""
    n_splits = min(N_SPLITS, len(np.unique(data.groups)))
    return cross_validation_folds(
        data.labels, data.groups, n_splits=n_splits, grouped=True, seed=seed
    )


def _hits(
    pipeline: Pipeline, data: Dataset, fold: Fold, heard: Sequence[int], draws: int
) -> np.ndarray:
    """In a worker: of a fold's test clips, how often each is right, by clips heard before."""
    actors, X = data.groups, originals(data.features)
    train = data.select(fold.train)
    train = replace(train, X=SpeakerScaler().transform(train.features, train.groups))
    fitted = fit_on(pipeline, train, np.arange(len(train)), grouped=True)
    voices = learn_voices(X[fold.train], actors[fold.train])
    rng = np.random.default_rng(0)
    hits = np.zeros((len(heard), len(fold.test)))
    for actor in np.unique(actors[fold.test]):
        own = X[fold.test][actors[fold.test] == actor]
        versions = [
            voices.scaled(own, own[rng.permutation(len(own))[:n]])
            for n in heard
            for _ in range(draws)
        ]
        predicted, _ = predict_emotions(fitted, np.concatenate(versions), data.emotions)
        right = (
            predicted.reshape(len(heard), draws, -1)
            == data.labels[fold.test][actors[fold.test] == actor]
        )
        hits[:, actors[fold.test] == actor] = right.mean(axis=1)
    return hits
