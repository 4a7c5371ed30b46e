"""Config steps -> one scikit-learn Pipeline: everything that learns, in the order that it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC
from sklearn.utils._param_validation import InvalidParameterError

from ser.core import interrupts
from ser.core.errors import SerError
from ser.models.calibration import (
    Calibration,
    SigmoidCalibration,
    TemperatureScaling,
    nearest_margins,
)
from ser.models.grouped import wanted_groups
from ser.models.shared_kernel import SharedKernel, decisions

CALIBRATIONS = {"temperature": TemperatureScaling, "sigmoid": SigmoidCalibration}


class ClipsRefusedError(SerError):
    """A step cannot be fitted on the training clips, or cannot predict after them."""


def build_pipeline(
    steps: Mapping[str, BaseEstimator | None], *, seed: int | None, calibrate: str | None = None
) -> Pipeline:
    """Pipeline of the named steps, the last of which is the classifier.

    Parameters
    ----------
    steps : mapping of str to estimator
        In order; a step of None is left out.
    seed : int or None
        For the calibration's folds.
    calibrate : {None, "temperature", "sigmoid"}
        What makes the classifier's probabilities; None for its own, and a temperature where it has
        none.

    Raises
    ------
    SerError
        If the calibration is not known, or a step is none.
    """
    if calibrate is not None and calibrate not in CALIBRATIONS:
        raise SerError(f"calibrate={calibrate!r}: give {', '.join(CALIBRATIONS)} or null.")
    named = [(name, step) for name, step in steps.items() if step is not None]
    name, classifier = named[-1]
    for place, step in named:
        does = "predict" if place == name else "transform"
        if not (hasattr(step, "fit") and hasattr(step, does)):
            raise SerError(
                f"The step {place!r} of the model is {step!r}, which has no fit and {does}. The "
                "last step is the classifier, those before it are transformers."
            )
    if calibrate is None and not hasattr(classifier, "predict_proba"):
        calibrate = "temperature"
    if calibrate is not None:
        classifier = CALIBRATIONS[calibrate](classifier, random_state=seed)
    return Pipeline([*named[:-1], (name, classifier)])


def without_probabilities(pipeline: Pipeline) -> Pipeline:
    """The pipeline without a temperature: it changes no prediction, so accuracy is the same.

    An SVC must break ties between pairwise votes as its calibrated scores do.
    """
    name, classifier = pipeline.steps[-1]
    if not isinstance(classifier, TemperatureScaling):
        return pipeline
    bare = classifier.estimator
    if "break_ties" in bare.get_params() and bare.decision_function_shape == "ovr":
        bare = clone(bare).set_params(break_ties=True)
    return Pipeline([*pipeline.steps[:-1], (name, bare)])


def fit(
    pipeline: Pipeline, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None
) -> Pipeline:
    """A fitted clone of the pipeline; every step whose `fit` asks for `groups` gets them.

    Parameters
    ----------
    X : (n_clips, n_features) or (n_clips, 1 + n_copies, n_features)
        The latter with augmented copies of every clip, which are learned from too.
    y : (n_clips,)
    groups : (n_clips,) or None
        Actor of each clip, under a grouped split. Copies are of their clip's actor; without
        actors, a clip and its copies are a group of their own.

    Raises
    ------
    SerError
        If a parameter of a step is out of its bounds.
    ClipsRefusedError
        If a step refuses the clips, as too few of an emotion.
    """
    X, y, groups = with_copies(X, y, groups)
    extra = {
        f"{name}__{key}": value
        for name, step in pipeline.steps
        for key, value in wanted_groups(step, groups).items()
    }
    try:
        with interrupts.raised_at_the_end():
            return _fitted(clone(pipeline), X, y, extra)
    except InvalidParameterError as error:
        raise SerError(f"{error} See the keys of model and scaler with --cfg job.") from error
    except ValueError as error:  # as scikit-learn refuses clips: too few of a class, not finite
        reason = str(error).split("\n")[0].rstrip(". ")  # what follows is advice of scikit-learn's
        raise ClipsRefusedError(
            f"{_title(pipeline)} cannot be fitted on {len(y)} clips of {len(np.unique(y))} "
            f"emotions: {reason}. Mend the model's keys, take another model, or more clips."
        ) from error


def _fitted(
    pipeline: Pipeline, X: np.ndarray, y: np.ndarray, extra: Mapping[str, object]
) -> Pipeline:
    """As ``pipeline.fit(X, y, **extra)``; an SVM's kernel is one matrix product: half the time."""
    *before, (name, machine) = pipeline.steps
    if type(machine) is not SVC:
        return pipeline.fit(X, y, **extra)
    columns = Pipeline(before).fit_transform(X, y, **extra) if before else X
    shares = SharedKernel.fits(machine, columns)
    machine = SharedKernel(machine, columns).fit(y) if shares else machine.fit(columns, y)
    pipeline.steps[-1] = (name, machine)
    return pipeline


def predicted(fitted: Pipeline, X: np.ndarray) -> np.ndarray:
    """As ``fitted.predict(X)``; of an SVM that breaks ties, in a fifth of the time.

    Parameters
    ----------
    fitted : Pipeline
    X : (n_clips, n_features)
    """
    machine = fitted.steps[-1][1]
    if not (type(machine) is SVC and machine.break_ties and len(machine.classes_) > 2):
        return fitted.predict(X)
    for _, step in fitted.steps[:-1]:
        X = step.transform(X)
    margins = nearest_margins(decisions(machine, X), len(machine.classes_))
    return machine.classes_[margins.argmax(axis=1)]


def with_copies(
    X: np.ndarray, y: np.ndarray, groups: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Clips and their augmented copies as rows of their own; as they are where there are none."""
    if X.ndim == 2:
        return X, y, groups
    n_clips, n_each, n_features = X.shape
    groups = np.arange(n_clips) if groups is None else groups
    return X.reshape(-1, n_features), np.repeat(y, n_each), np.repeat(groups, n_each)


def originals(X: np.ndarray) -> np.ndarray:
    """The clips themselves, without augmented copies: what is predicted and scored."""
    return X if X.ndim == 2 else X[:, 0]


def inner_classifier(pipeline: Pipeline) -> BaseEstimator:
    """The classifier without its calibration, fitted where the pipeline is."""
    classifier = pipeline.steps[-1][1]
    if isinstance(classifier, Calibration):
        return getattr(classifier, "estimator_", classifier.estimator)
    return classifier


def predict_emotions(
    fitted: Pipeline, X: np.ndarray, labels: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The most probable emotion of every clip, and the probabilities of all.

    Parameters
    ----------
    X : (n_clips, n_features) or (n_clips, 1 + n_copies, n_features)
        Augmented copies are left out.
    labels : sequence of str
        Sorted; at least the pipeline's own.

    Returns
    -------
    predicted : (n_clips,) str
        As ``fitted.predict`` has it, without going through the clips a second time.
    proba : (n_clips, n_labels) float64
        0 for a label that the pipeline does not know. Rows sum to 1, also where the classifier
        computes in single precision.

    Raises
    ------
    ClipsRefusedError
        If a step refuses the clips: more neighbours may be asked for than have trained.
    """
    proba = np.zeros((len(X), len(labels)))
    try:
        proba[:, np.isin(labels, fitted.classes_)] = fitted.predict_proba(originals(X))
    except ValueError as error:
        raise ClipsRefusedError(
            f"{_title(fitted)} cannot predict {len(X)} clips: {error}. Give more training "
            "clips, or set its keys for so few."
        ) from error
    proba /= proba.sum(axis=1, keepdims=True)
    return np.asarray(labels)[proba.argmax(axis=1)], proba


def _title(pipeline: Pipeline) -> str:
    return type(inner_classifier(pipeline)).__name__
