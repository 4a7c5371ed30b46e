"""What a model answered when it was trained: kept with it, and asked again when it is loaded.

A file of scikit-learn's may mean something else to another version, and say nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from sklearn.pipeline import Pipeline

from ser.core.errors import SerError
from ser.core.threads import one_thread
from ser.models.pipeline import ClipsRefusedError, predict_emotions

N_CLIPS = 8
TOLERANCE = 2e-3  # of a probability: single precision on another processor stays far below
PACKAGES = ("scikit-learn", "numpy", "scipy", "torch", "opensmile")  # that matter to a prediction


@dataclass(frozen=True, eq=False)
class KnownAnswers:
    """Probabilities of some training clips.

    Attributes
    ----------
    X : (n_clips, n_features) float32
        As the pipeline gets it.
    proba : (n_clips, n_emotions) float64
    packages : tuple of str
        What was installed then: ``scikit-learn==1.9.1``, ...
    """

    X: np.ndarray
    proba: np.ndarray
    packages: tuple[str, ...]

    def check(self, pipeline: Pipeline, *, name: str) -> None:
        """Ask the pipeline again.

        Raises
        ------
        SerError
            If it answers something else.
        """
        try:
            difference = float(np.abs(_ask(pipeline, self.X) - self.proba).max())
        except ClipsRefusedError as error:
            reason = str(error.__cause__).partition("\n")[0].rstrip(". ")  # below it is advice
            said = f"it fails ({reason})"
        else:
            if difference <= TOLERANCE:
                return
            said = f"of {len(self.X)} training clips a probability differs by {difference:.2g}"
        advice = "The packages are the same: its files are damaged. Train it again."
        if differ := list(differing(self.packages)):
            versions = ", ".join(f"{package} {was} (here {here})" for package, was, here in differ)
            wanted = " ".join(f"{package}=={was}" for package, was, _ in differ)
            advice = f"It was trained with {versions}. pip install {wanted}, or train it again."
        raise SerError(f"{name} does not answer as it did when it was trained: {said}. {advice}")


def keep_answers(pipeline: Pipeline, X: np.ndarray, labels: np.ndarray) -> KnownAnswers:
    """Answers of a fitted pipeline to `N_CLIPS` clips, of as many emotions as there are."""
    rows = np.argsort(labels, kind="stable")
    rows = rows[np.linspace(0, len(X) - 1, min(N_CLIPS, len(X))).astype(int)]
    return KnownAnswers(X[rows], _ask(pipeline, X[rows]), tuple(installed()))


def installed() -> Iterator[str]:
    """`PACKAGES` that are here, each with its version."""
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            yield f"{package}=={version(package)}"


def differing(packages: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Of ``name==version`` those of `PACKAGES` that are not so here: name, version then and now.

    A build, as in ``2.13.0+cpu``, is no version of its own: MLflow's requirements leave it out.
    """
    here = dict(package.split("==") for package in installed())
    for name, _, was in (package.partition("==") for package in packages):
        same = here.get(name, "").partition("+")[0] == was.partition("+")[0]
        if name in PACKAGES and not same:
            yield name, was, here.get(name, "not installed")


@one_thread()
def _ask(pipeline: Pipeline, X: np.ndarray) -> np.ndarray:
    return predict_emotions(pipeline, X, pipeline.classes_)[1]
