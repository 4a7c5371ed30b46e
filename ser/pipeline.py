"""Config steps -> one scikit-learn Pipeline: everything that learns, in the order that it does."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.utils._param_validation import InvalidParameterError

from ser.calibration import TemperatureScaling
from ser.errors import SerError


def build_pipeline(steps: Mapping[str, BaseEstimator | None], *, seed: int) -> Pipeline:
    """Pipeline of the named steps, the last of which is the classifier.

    Parameters
    ----------
    steps : mapping of str to estimator
        In order; a step of None is left out.
        A classifier that has only decision values gets a `TemperatureScaling` around it.
    seed : int
        For the calibration's folds.
    """
    named = [(name, step) for name, step in steps.items() if step is not None]
    name, classifier = named[-1]
    if not hasattr(classifier, "predict_proba"):
        classifier = TemperatureScaling(classifier, random_state=seed)
    return Pipeline([*named[:-1], (name, classifier)])


def without_probabilities(pipeline: Pipeline) -> Pipeline:
    """The pipeline without its calibration: it changes no prediction, so accuracy is the same."""
    name, classifier = pipeline.steps[-1]
    if not isinstance(classifier, TemperatureScaling):
        return pipeline
    return Pipeline([*pipeline.steps[:-1], (name, classifier.estimator)])


def fit(
    pipeline: Pipeline, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None
) -> Pipeline:
    """A fitted clone of the pipeline; a step that asks for `groups` gets them.

    Parameters
    ----------
    X : (n_clips, n_features)
    y : (n_clips,)
    groups : (n_clips,) or None
        Actor of each clip, under a grouped split.

    Raises
    ------
    SerError
        If a parameter of a step is out of its bounds.
    """
    name, classifier = pipeline.steps[-1]
    wants_groups = groups is not None and isinstance(classifier, TemperatureScaling)
    extra = {f"{name}__groups": groups} if wants_groups else {}
    try:
        return clone(pipeline).fit(X, y, **extra)
    except InvalidParameterError as error:
        raise SerError(f"{error} See the keys of model and scaler with --cfg job.") from error


def inner_classifier(pipeline: Pipeline) -> BaseEstimator:
    """The classifier without its calibration, fitted where the pipeline is."""
    classifier = pipeline.steps[-1][1]
    if isinstance(classifier, TemperatureScaling):
        return getattr(classifier, "estimator_", classifier.estimator)
    return classifier
