"""A fitted model as a folder: the Pipeline (skops, no pickle) and the features that feed it."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from ser.core.errors import SerError
from ser.core.threads import one_thread
from ser.features import FeatureSet, restore, settings
from ser.models.pipeline import predict
from ser.models.scaling import MIN_CLIPS, SpeakerScaler

PIPELINE_FILE = "pipeline.skops"
FEATURES_FILE = "features.json"

# Besides what skops trusts by itself a model may hold scikit-learn's and ser's estimators, and what
# these hold: containers of numbers, and a function. A file that asks for more is refused.
ESTIMATORS = (
    "sklearn",
    "ser.models.calibration",
    "ser.models.ensemble",
    "ser.models.kernel_ridge",
    "ser.models.networks.classifier",
)
# What zipfile, json and skops raise on a file that is cut, damaged or something else.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    AttributeError,
    ImportError,
    LookupError,
    TypeError,
    ValueError,
)
PARTS = (
    "ser.models.selection.mutual_information",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    *(
        f"sklearn.metrics._dist_metrics.{name}Distance64"
        for name in ("Euclidean", "Manhattan", "Chebyshev", "Minkowski")
    ),
)


@dataclass(frozen=True)
class TrainedModel:
    """The whole way from samples to probabilities, as it was trained.

    Attributes
    ----------
    pipeline : Pipeline
        Fitted.
    feature_set : FeatureSet
        What it was fitted on.
    scale_by_speaker : bool
        Whether vectors go through `SpeakerScaler` before the pipeline: the model is transductive
        and needs to know who speaks.
    """

    pipeline: Pipeline
    feature_set: FeatureSet
    scale_by_speaker: bool

    @property
    def emotions(self) -> tuple[str, ...]:
        """Order of the probabilities."""
        return tuple(map(str, self.pipeline.classes_))

    @one_thread()
    def probabilities(self, X: np.ndarray, speakers: Sequence[object] | None = None) -> np.ndarray:
        """Probability of every emotion.

        Parameters
        ----------
        X : (n_clips, n_features)
            Vectors of `feature_set`.
        speakers : (n_clips,), optional
            Who speaks, for a transductive model: all clips there are of each.

        Returns
        -------
        (n_clips, n_emotions) float64
            Rows sum to 1.

        Raises
        ------
        SerError
            If a transductive model is not told who speaks, or has too few clips of somebody.
        """
        if self.scale_by_speaker:
            if speakers is None:
                raise SerError(
                    "The model is transductive: it scales each speaker by the statistics of their "
                    f"own clips, so it needs to know who speaks, and {MIN_CLIPS} clips of each."
                )
            X = SpeakerScaler().transform(X, np.asarray(speakers))
        return predict(self.pipeline, X, self.emotions)[1]


def save_model(model: TrainedModel, folder: Path) -> tuple[Path, Path]:
    """Write the pipeline and the settings of its features into a folder; return the two files."""
    import skops.io

    folder.mkdir(parents=True, exist_ok=True)
    pipeline_file, features_file = folder / PIPELINE_FILE, folder / FEATURES_FILE
    skops.io.dump(model.pipeline, pipeline_file)
    wanted = {**settings(model.feature_set), "scale_by_speaker": model.scale_by_speaker}
    features_file.write_text(json.dumps(wanted, indent=2) + "\n")
    return pipeline_file, features_file


def load_model(folder: Path, *, trust_all: bool = False) -> TrainedModel:
    """Read a model that `save_model` wrote.

    Parameters
    ----------
    folder : Path
        With `PIPELINE_FILE` and `FEATURES_FILE`.
    trust_all : bool
        Whether to build types that are not known to be harmless: they can run any code.

    Raises
    ------
    SerError
        If a file is missing or holds what is not trusted, or the features have changed since.
    """
    folder = Path(folder)
    for name in (PIPELINE_FILE, FEATURES_FILE):
        if not (folder / name).is_file():
            raise SerError(f"{folder} has no {name}: it is not a model that ser saved.")
    feature_set, scale_by_speaker = _load_features(folder / FEATURES_FILE)
    pipeline = _load_pipeline(folder / PIPELINE_FILE, trust_all=trust_all)
    return TrainedModel(pipeline, feature_set, scale_by_speaker)


def _load_pipeline(file: Path, *, trust_all: bool) -> Pipeline:
    import skops.io

    try:
        unknown = skops.io.get_untrusted_types(file=file)
    except _UNREADABLE as error:
        raise SerError(f"{file} cannot be read as a model ({error}): train it again.") from error
    refused = [name for name in unknown if not _is_trusted(name)]
    if refused and not trust_all:
        raise SerError(
            f"{file} holds types that are not trusted: {', '.join(refused)}. It was not written by "
            "ser, or by another version of it. Building them can run any code: only if you know "
            "where the file is from, say allow_pickle=true."
        )
    try:
        return skops.io.load(file, trusted=unknown)
    except _UNREADABLE as error:
        raise SerError(f"{file} cannot be read as a model ({error}): train it again.") from error


def _is_trusted(name: str) -> bool:
    """Whether a type is an estimator that calls no function of the file's choice, or one's part."""
    if name in PARTS:
        return True
    module, _, attribute = name.rpartition(".")
    if not any(module == known or module.startswith(f"{known}.") for known in ESTIMATORS):
        return False
    with suppress(ImportError):
        kind = getattr(import_module(module), attribute, None)
        return (
            isinstance(kind, type)
            and issubclass(kind, BaseEstimator)
            and not issubclass(kind, FunctionTransformer)
        )
    return False


def _load_features(file: Path) -> tuple[FeatureSet, bool]:
    """The feature set that `save_model` wrote, and whether speakers are scaled after it."""
    wanted = json.loads(file.read_text())
    scale_by_speaker = wanted.pop("scale_by_speaker", False)
    try:
        return restore(wanted), scale_by_speaker
    except SerError as error:
        raise SerError(f"{file}: {error}") from error
