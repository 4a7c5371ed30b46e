"""Training in stages of epochs, for classifiers that can: several folds side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from ser.core import interrupts


def trains_by_epochs(classifier: BaseEstimator) -> bool:
    """Whether `EpochFit` can train it: it has epochs, and its own rule does not hold out clips."""
    return (
        hasattr(classifier, "partial_fit")
        and hasattr(classifier, "max_iter")
        and not getattr(classifier, "early_stopping", False)
    )


def has_epochs(classifier: BaseEstimator) -> bool:
    """Whether the class knows epochs, whatever its settings."""
    return hasattr(type(classifier), "partial_fit") and hasattr(classifier, "max_iter")


@dataclass
class EpochFit:
    """A fit of one fold that can be stopped and taken up again.

    It ends as scikit-learn's own: after `max_iter` epochs, or when `n_iter_no_change` epochs in a
    row have not lowered the training loss by `tol`. Clips are shuffled from another state, so the
    result is a fit like `Pipeline.fit`'s and not the same one.

    Attributes
    ----------
    pipeline : Pipeline
        Steps before the classifier are fitted; the classifier as far as it is trained.
    X : (n_clips, n_features)
        Training clips as the classifier gets them.
    y : (n_clips,)
    epochs : int
        Epochs so far.
    ended : bool
    """

    pipeline: Pipeline
    X: np.ndarray
    y: np.ndarray
    epochs: int = 0
    ended: bool = False

    @classmethod
    def start(cls, pipeline: Pipeline, X: np.ndarray, y: np.ndarray) -> EpochFit:
        """Fit the steps before the classifier, and nothing of it."""
        pipeline = clone(pipeline)
        for _, step in pipeline.steps[:-1]:
            X = step.fit_transform(X, y)
        classifier = pipeline[-1]
        # An integer would shuffle the clips of every epoch alike.
        classifier.set_params(random_state=np.random.RandomState(classifier.random_state))
        return cls(pipeline, X, y)

    def advance(self, epochs: int) -> EpochFit:
        """Train until so many epochs are done in all, or the fit ends; returns itself."""
        classifier = self.pipeline[-1]
        while not self.ended and self.epochs < epochs:
            with interrupts.raised_at_the_end():
                classifier.partial_fit(self.X, self.y, classes=np.unique(self.y))
            self.epochs += 1
            self.ended = self.epochs >= classifier.max_iter or self._stalled()
        return self

    def _stalled(self) -> bool:
        """The rule of `MLPClassifier.fit`; an adaptive learning rate is lowered by its own."""
        classifier = self.pipeline[-1]
        if classifier.solver == "sgd" and classifier.learning_rate == "adaptive":
            return False
        losses = np.asarray(classifier.loss_curve_)
        best_before = np.minimum.accumulate(np.append(np.inf, losses[:-1]))
        last_better = np.flatnonzero(losses < best_before - classifier.tol)
        return len(losses) - 1 - last_better[-1] > classifier.n_iter_no_change
