"""Who speaks, in the features that a model leans on; and what is left when that is erased."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.linalg import eigh
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ser.check.findings import Finding
from ser.check.subject import Answers, Subject
from ser.data.dataset import Dataset
from ser.data.folds import Fold
from ser.evaluation.folds import fit_on
from ser.evaluation.parallel import run_fits
from ser.evaluation.protocol import progress
from ser.evaluation.uncertainty import jackknife, uar_over_units
from ser.models.pipeline import originals, predict_emotions

MOST_COLUMNS = 200  # principal components that the probe looks at
N_SPLITS = 5  # of the probe's clips
SMALL = 1e-3  # of the largest singular value: directions with less are noise


class Eraser(TransformerMixin, BaseEstimator):
    """Takes out of features whatever a linear model could tell of a label (LEACE).

    It is the smallest change, measured by the features' covariance, after which they and the label
    do not covary (Belrose et al. 2023, arXiv 2306.03819, theorem 4.2).
    """

    def fit(self, X: np.ndarray, y: np.ndarray) -> Eraser:
        """Learn what to take out.

        Parameters
        ----------
        X : (n_clips, n_columns)
        y : (n_clips,)
            The label: the actor.
        """
        self.mean_, deviation = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
        self.deviation_ = np.where(deviation > 0, deviation, 1)
        centred = (X - self.mean_) / self.deviation_
        size, axes = _axes(centred)
        white = centred @ axes / size  # (n_clips, rank), its columns orthonormal
        one_hot = (y[:, None] == np.unique(y)).astype(float)
        direction, weight, _ = np.linalg.svd(
            white.T @ (one_hot - one_hot.mean(axis=0)), full_matrices=False
        )
        direction = direction[:, weight > 1e-6 * np.sqrt(len(X))]
        self.into_, self.out_ = axes / size @ direction, axes * size @ direction
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Features (..., n_columns) without the label, in their own units and type."""
        standard = (X - self.mean_) / self.deviation_
        erased = standard @ self.into_ @ self.out_.T
        return np.asarray(X - erased * self.deviation_, dtype=X.dtype)


def _axes(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Singular values and right singular vectors, without those that are noise."""
    n, d = centred.shape
    square, vectors = eigh(centred.T @ centred if d <= n else centred @ centred.T)
    kept = square > SMALL**2 * square.max()
    size, vectors = np.sqrt(square[kept]), vectors[:, kept]
    return size, vectors if d <= n else centred.T @ vectors / size


def speaker(
    subject: Subject, answers: Answers, units: np.ndarray, limits: Mapping[str, float]
) -> list[Finding]:
    """How well the actor is told from features and answers, and UAR without what tells it.

    Parameters
    ----------
    subject : Subject
    answers : Answers
        To the clips as they are.
    units : (n_rows,)
        What the intervals are over.
    limits : mapping of str to float
        Of uar_lost.
    """
    data = subject.data
    actors = data.groups.astype(str)
    if len(np.unique(actors)) < 2:
        return []
    found = [_told("features as the classifier gets them", answers.view, actors)]
    if len(subject.split.folds) == 1:  # of several, the probe would tell the folds' models
        logits = np.log(np.maximum(answers.plain, 1e-6))
        found.append(_told("the answers' probabilities", logits, actors[subject.rows]))
    if subject.pipeline is not None:
        X = subject.scaled(data.features, data.groups)
        found.append(_told("features after erasure", originals(X), actors, erase=True))
        found += _erasure(subject, X, answers, units, limits)
    return [finding for finding in found if finding is not None]


def _told(what: str, X: np.ndarray, actors: np.ndarray, *, erase: bool = False) -> Finding | None:
    """How often a linear probe tells the actor of a clip, trained on others of all actors."""
    names, counts = np.unique(actors, return_counts=True)
    if len(names) < 2 or counts.min() < 2:
        return None
    folds = StratifiedKFold(min(N_SPLITS, counts.min()), shuffle=True, random_state=0)
    most = min(MOST_COLUMNS, X.shape[1], len(X) - -(-len(X) // N_SPLITS) - 1)
    steps = [StandardScaler(), PCA(most, whiten=True, random_state=0), LinearDiscriminantAnalysis()]
    probe = make_pipeline(*[Eraser()] * erase, *steps)
    told = cross_val_predict(probe, X, actors, cv=folds)
    value, low, high = jackknife(lambda rows: np.mean((told == actors)[rows]), actors)
    return Finding(
        part="speaker",
        check=what,
        measure="actors told by a linear probe",
        value=value,
        low=max(low, 0.0),
        high=min(high, 1.0),
        note=f"chance {100 / len(names):.1f} %",
    )


def _erasure(
    subject: Subject,
    X: np.ndarray,
    answers: Answers,
    units: np.ndarray,
    limits: Mapping[str, float],
) -> list[Finding]:
    """UAR of the same folds with the actor erased, by what each fold's training clips tell."""
    pipeline, split = subject.pipeline, subject.split
    data = replace(subject.data.bare(), X=X)
    jobs = [(_answer_erased, (pipeline, data, fold, split.grouped)) for fold in split.folds]
    with progress(len(jobs), "Fitting without the actor", subject.settings) as workers:
        results, _ = run_fits(jobs, pipeline, workers)
    labels, true = np.asarray(subject.labels), subject.data.labels[subject.rows]
    before = labels[answers.plain.argmax(axis=1)] == true
    after = np.concatenate(results) == true
    values = np.stack([after.astype(float), before.astype(float) - after])
    value, low, high = uar_over_units(values, true, units)
    about: dict[str, Any] = {"part": "speaker", "check": "actor erased inside the folds"}
    return [
        Finding(**about, measure="UAR", value=value[0], low=low[0], high=high[0]),
        Finding(
            **about,
            measure="UAR lost",
            value=value[1],
            low=low[1],
            high=high[1],
            limit=limits["uar_lost"],
            unit="points",
        ),
    ]


def _answer_erased(pipeline: Pipeline, data: Dataset, fold: Fold, grouped: bool) -> np.ndarray:
    """In a worker: a fold fitted and tested on features without the training actors."""
    eraser = Eraser().fit(originals(data.features)[fold.train], data.groups[fold.train])
    erased = replace(data, X=eraser.transform(data.features))
    fitted = fit_on(pipeline, erased, fold.train, grouped)
    return predict_emotions(fitted, erased.features[fold.test], data.emotions)[0]
