"""A fitted model as a folder: the Pipeline (skops, no pickle) and the features that feed it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from ser.core.checksum import CHECKSUM, checksum, is_whole
from ser.core.errors import SerError
from ser.core.threads import one_thread
from ser.core.trust import check_trusted
from ser.data.audio import MAX_SAMPLES
from ser.data.names import check_twins
from ser.data.recordings import Recording, Windows
from ser.features import RESAMPLING, FeatureSet, restore, settings
from ser.features.extraction import Excerpt, Extractor, extract_batches
from ser.models import compiled, plugins, training_clips
from ser.models.archives import SCHEMA, check_archive, with_parts
from ser.models.lean_skops import skops_io
from ser.models.pipeline import predict_emotions
from ser.models.predictions import Prediction
from ser.models.scaling import MIN_CLIPS, SpeakerScaler, Voice
from ser.models.training_clips import TrainingClips

PIPELINE_FILE = "pipeline.skops"
FEATURES_FILE = "features.json"
TRAINING_FILE = "training.npz"  # older models have none
CARD = "model_card.md"  # beside them in a log

# Classes and functions in models that older versions of ser wrote -> where they are now.
MOVED = {
    "ser.calibration.SigmoidCalibration": "ser.models.calibration.SigmoidCalibration",
    "ser.calibration.TemperatureScaling": "ser.models.calibration.TemperatureScaling",
    "ser.ensemble.Ensemble": "ser.models.ensemble.Ensemble",
    "ser.kernel_ridge.KernelRidgeClassifier": "ser.models.kernel_ridge.KernelRidgeClassifier",
    "ser.nets.classifier.NetClassifier": "ser.models.networks.classifier.NetClassifier",
    "ser.selection.mutual_information": "ser.models.selection.mutual_information",
}
_NEEDS_SPEAKERS = (
    "The model is transductive: it scales each speaker by the statistics of their own clips and "
    f"must know who speaks, with {MIN_CLIPS} clips of each or more. Give a table with a column "
    "'speaker', or --speaker folder (in Python speakers='folder') where each folder has the clips "
    "of one."
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
    training : TrainingClips or None
        What is known of the clips that it was fitted on; None in models of an older ser.
    resampling : int
        `ser.features.RESAMPLING` under which they were heard.
    voice : Voice or None
        Of the one speaker that a transductive model is adapted to: it need not be told who speaks.
    """

    pipeline: Pipeline
    feature_set: FeatureSet
    scale_by_speaker: bool
    training: TrainingClips | None = None
    resampling: int = RESAMPLING
    voice: Voice | None = None

    @property
    def needs_speakers(self) -> bool:
        """Whether it must be told who speaks, and have all clips of each speaker at once."""
        return self.scale_by_speaker and self.voice is None

    @property
    def emotions(self) -> tuple[str, ...]:
        """Order of the probabilities."""
        return tuple(map(str, self.pipeline.classes_))

    @property
    def sr(self) -> int | None:
        """Sampling rate that recordings are brought to, in Hz; None where it is not known."""
        return self.extractor().sr

    def predict(
        self,
        recordings: Sequence[Recording],
        *,
        windows: Windows | None = None,
        n_jobs: int = -1,
        max_samples: int = MAX_SAMPLES,
    ) -> Iterator[list[Prediction]]:
        """What the model makes of each recording, in order: the whole way from its file.

        Workers turn audio into vectors; this process asks the pipeline. A recording that cannot be
        used is a prediction with its error, and the rest goes on.

        Parameters
        ----------
        recordings : sequence of Recording
            For a transductive model with their speakers.
        windows : Windows, optional
            Cut each recording; whole unless given.
        n_jobs : int
            Workers on this machine; -1 for one per core.
        max_samples : int
            Most samples that are decoded of a recording without windows, over all channels.

        Yields
        ------
        list of Prediction
            Of some recordings, whose windows are all in it. A transductive model answers last, when
            it has all of each speaker, and everything comes at once.

        Raises
        ------
        SerError
            If a transductive model is not told who speaks, or has too few clips of somebody, or
            the names of two speakers differ by a hair.
        """
        if self.needs_speakers:
            for recording in recordings:
                if recording.speaker is None:
                    raise SerError(f"{_NEEDS_SPEAKERS} {recording.name} has no speaker.")
            check_twins({str(recording.speaker) for recording in recordings}, "actor")
        extractor = self.extractor(windows, max_samples)
        batches = extract_batches(recordings, extractor, n_jobs=n_jobs)
        if self.needs_speakers:
            batches = iter([[excerpt for batch in batches for excerpt in batch]])
        for batch in batches:
            yield self._predict_excerpts(batch)

    def extractor(
        self, windows: Windows | None = None, max_samples: int = MAX_SAMPLES
    ) -> Extractor:
        """What turns recordings into the vectors that it was trained on."""
        trained_sr = self.training.sr if self.training else None
        return Extractor(self.feature_set, trained_sr, windows, max_samples, self.resampling)

    def _predict_excerpts(self, excerpts: Sequence[Excerpt]) -> list[Prediction]:
        usable = [excerpt for excerpt in excerpts if excerpt.vector is not None]
        answers: Iterator[tuple[np.ndarray, bool | None]] = iter(())
        if usable:
            X = np.stack([excerpt.vector for excerpt in usable if excerpt.vector is not None])
            X = self._scaled(X, [excerpt.speaker for excerpt in usable])
            answers = zip(self._ask(X), self._unfamiliar(X, usable), strict=True)
        predictions = []
        for excerpt in excerpts:
            proba, is_unfamiliar = (None, None) if excerpt.vector is None else next(answers)
            predictions.append(
                Prediction(
                    name=excerpt.name,
                    speaker=excerpt.speaker,
                    start=excerpt.start,
                    end=excerpt.end,
                    error=excerpt.error,
                    proba=proba,
                    unfamiliar=is_unfamiliar,
                    resampled_from=excerpt.resampled_from,
                )
            )
        return predictions

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
        return self._ask(self._scaled(X, speakers))

    def _scaled(self, X: np.ndarray, speakers: Sequence[object] | None) -> np.ndarray:
        """Vectors as the pipeline gets them."""
        if not self.scale_by_speaker:
            return X
        if self.voice is not None:
            return self.voice.scaled(X)
        if speakers is None:
            raise SerError(_NEEDS_SPEAKERS)
        return SpeakerScaler().transform(X, np.asarray(speakers))

    def _unfamiliar(self, X: np.ndarray, excerpts: Sequence[Excerpt]) -> Sequence[bool | None]:
        if self.training is None or self.training.familiarity is None:
            return [None] * len(X)
        facts = [excerpt.facts for excerpt in excerpts if excerpt.facts is not None]
        flagged: list[bool | None] = self.training.familiarity.unfamiliar(X, facts).tolist()
        return flagged

    @one_thread()
    def _ask(self, X: np.ndarray) -> np.ndarray:
        return predict_emotions(self.pipeline, X, self.emotions)[1]


def save_model(model: TrainedModel, folder: Path) -> list[Path]:
    """Write the pipeline, the settings of its features and what it was trained on into a folder.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    SerError
        If the model could not be loaded again: see `check_loadable`.
    """
    data = plugins.dumped(model.pipeline)
    try:
        compiled.check_parts(model.pipeline)
    except ValueError as error:
        raise SerError(f"The model could not be loaded again: {error}.") from error
    record = settings(model.feature_set)
    record |= {"scale_by_speaker": model.scale_by_speaker, "resampling": model.resampling}
    if modules := plugins.modules(data, record):
        record["plugins"] = modules
    names = [PIPELINE_FILE, FEATURES_FILE, *([TRAINING_FILE] if model.training else [])]
    record["files"] = names
    record[CHECKSUM] = checksum(record)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PIPELINE_FILE).write_bytes(data)
    (folder / FEATURES_FILE).write_text(json.dumps(record, indent=2) + "\n")
    if model.training:
        training_clips.save(model.training, folder / TRAINING_FILE)
    return [folder / name for name in names]


def load_model(folder: Path, *, trust: Sequence[str] = ()) -> TrainedModel:
    """Read a model that `save_model` wrote.

    Parameters
    ----------
    folder : Path
        With `PIPELINE_FILE` and `FEATURES_FILE`.
    trust : sequence of str
        Packages outside of ser whose classes the model may hold: see `ser.core.trust`. Nothing else
        that the files name is imported.

    Raises
    ------
    SerError
        If a file is missing, damaged or holds what is not trusted, the features have changed since,
        or the model answers something else than when it was trained.
    """
    folder = Path(folder)
    for name in (PIPELINE_FILE, FEATURES_FILE):
        if not (folder / name).is_file():
            raise SerError(f"{folder} has no {name}: it is not a model that ser saved.")
    file = folder / PIPELINE_FILE
    record = _read_record(folder / FEATURES_FILE)
    unchanged = is_whole(record)
    record.pop(CHECKSUM, None)
    scale_by_speaker = record.pop("scale_by_speaker", False)
    resampling = record.pop("resampling", 1)  # an older ser's, which has not written it down
    record.pop("plugins", None)  # for whoever reads it: what counts is what the files name
    saved = record.pop("files", [])  # an older ser has not written down which
    try:
        data = file.read_bytes()
        check_archive(data)
        data = _with_new_names(data)
        check_trusted(plugins.names(data, record), trust, file=folder)
        file = folder / FEATURES_FILE
        feature_set = restore(record, trust=trust)
        if not unchanged:
            raise SerError(
                f"{file} has been changed since it was saved: its checksum is "
                "another. Restore it, or train the model again."
            )
        if missing := [name for name in saved if not (folder / name).is_file()]:
            raise SerError(
                f"{folder} has no {', '.join(missing)}, with which the model was saved: restore "
                "what is missing, or train the model again."
            )
        file = folder / PIPELINE_FILE
        pipeline = _built(data)
        training = None
        if (file := folder / TRAINING_FILE).is_file():
            training = training_clips.load(file)
            training.answers.check(pipeline, name=str(folder))
    except SerError:
        raise
    except Exception as error:  # whatever zipfile, json, skops or scikit-learn make of such a file
        reason = str(error) or type(error).__name__
        raise SerError(f"{file} cannot be read as a model ({reason}): train it again.") from error
    return TrainedModel(pipeline, feature_set, scale_by_speaker, training, resampling)


def _built(data: bytes) -> Pipeline:
    """The pipeline of a skops file all of whose types are trusted."""
    skops = skops_io()
    types = skops.get_untrusted_types(data=data)
    compiled.check_trees(data, types)
    pipeline = skops.loads(data, trusted=types)
    compiled.check_parts(pipeline)
    return pipeline


def check_loadable(pipeline: Pipeline, feature_set: FeatureSet) -> None:
    """Refuse, before it costs anything, to train a model that could not be loaded again.

    Parameters
    ----------
    pipeline : Pipeline
        Not fitted.
    feature_set : FeatureSet

    Raises
    ------
    SerError
        If a class is not found by its name, as it was defined in a script, a notebook or a
        function; or skops cannot write it.
    """
    plugins.modules(plugins.dumped(pipeline), settings(feature_set))


def recorded_plugins(folder: Path) -> list[str]:
    """Modules outside of ser and scikit-learn that `save_model` says the model needs."""
    return list(_read_record(Path(folder, FEATURES_FILE)).get("plugins", ()))


def _read_record(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(record, dict) and "_target_" in record and "version" in record:
            return record
        raise ValueError("it has no _target_ and version")
    except (OSError, ValueError, RecursionError) as error:
        raise SerError(f"{file} cannot be read as a feature set's settings: {error}.") from error


def _with_new_names(data: bytes) -> bytes:
    """A skops file, in which the classes that older versions of ser wrote have today's names."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read(SCHEMA))
    return with_parts(data, {SCHEMA: json.dumps(schema).encode()}) if _rename(schema) else data


def _rename(node: object) -> bool:
    """Put today's names into a skops schema; return whether there was an older one."""
    name = None
    if isinstance(node, dict):
        name = f"{node.get('__module__')}.{node.get('__class__')}"
        if name in MOVED:
            node["__module__"], _, node["__class__"] = MOVED[name].rpartition(".")
        node = list(node.values())
    inner = sum(map(_rename, node)) if isinstance(node, list) else 0
    return inner > 0 or name in MOVED
