"""What is checked: a run's folds, or a model, that can be asked for altered clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from sklearn.pipeline import Pipeline

from ser.core import paths
from ser.core.errors import SerError
from ser.core.trust import check_trusted
from ser.data.corpora import table
from ser.data.dataset import Dataset
from ser.data.folds import Fold, Split, check
from ser.evaluation.folds import FoldResult, fit_on, predictions_table
from ser.evaluation.parallel import Job, run_fits
from ser.evaluation.plan import Settings
from ser.evaluation.protocol import progress
from ser.models.pipeline import originals, predict_emotions
from ser.models.plugins import is_harmless
from ser.models.scaling import SpeakerScaler
from ser.tracking.registry import Model
from ser.tracking.tables import read_table, reading
from ser.train import build

# What of a run's config becomes objects here.
SECTIONS = (
    "data",
    "test_data",
    "features",
    "augmentation",
    "split",
    "scaler",
    "selection",
    "model",
)


@dataclass(frozen=True)
class Answers:
    """Of the clips that are scored, as they are and altered.

    Attributes
    ----------
    plain : (n_rows, n_labels) float
        Probabilities.
    altered : list of (n_rows, n_labels) float
    view : (n_clips, n_columns) float
        All clips' features as the first fold's classifier gets them.
    """

    plain: np.ndarray
    altered: list[np.ndarray]
    view: np.ndarray


@dataclass(frozen=True)
class Subject:
    """A run's folds, to be fitted again, or a model with clips that it has not learned from.

    Attributes
    ----------
    data : Dataset
        With features, not scaled by speaker.
    labels : tuple of str
        Emotions, as columns of probabilities.
    how : str
        Which model answers which clips, in a sentence.
    pipeline : Pipeline or None
        Not fitted; None of a model.
    split : Split
        Of a model one fold, which tests all clips and has no training clips.
    scaler : SpeakerScaler or None
        Before the pipeline, of what is transductive.
    model : Model or None
    logged : DataFrame or None
        The run's own predictions on test clips.
    settings : Settings
        Seed and workers.
    """

    data: Dataset
    labels: tuple[str, ...]
    how: str
    pipeline: Pipeline | None
    split: Split
    scaler: SpeakerScaler | None
    model: Model | None
    logged: pd.DataFrame | None
    settings: Settings

    @property
    def rows(self) -> np.ndarray:
        """(n_rows,) int: positions of the clips that are scored, in the order of their folds."""
        return np.concatenate([fold.test for fold in self.split.folds])

    def scaled(self, X: np.ndarray, actors: np.ndarray) -> np.ndarray:
        """Vectors as the pipeline gets them."""
        return X if self.scaler is None else self.scaler.transform(X, actors)

    def ask(self, altered: Sequence[np.ndarray]) -> Answers:
        """Answers to the scored clips, and to altered versions of them.

        Parameters
        ----------
        altered : sequence of (n_rows, n_features)
            In the order of `rows`; what cannot be computed is NaN.
        """
        actors = self.data.groups
        X = self.scaled(self.data.features, actors)
        versions = [self.scaled(np.nan_to_num(each), actors[self.rows]) for each in altered]
        if self.pipeline is None:
            return self._ask_model(X, versions)
        scaled, start = replace(self.data.bare(), X=X), 0
        jobs: list[Job] = []
        for fold in self.split.folds:
            rows = slice(start, start := start + len(fold.test))
            mine = [originals(X)[fold.test], *(version[rows] for version in versions)]
            arguments = (self.pipeline, scaled, fold, self.split.grouped, mine)
            jobs.append((_answer_fold, (*arguments, not jobs)))
        with progress(len(jobs), "Fitting", self.settings) as workers:
            results, _ = run_fits(jobs, self.pipeline, workers)
        joined = [np.concatenate(of) for of in zip(*(r[0] for r in results), strict=True)]
        return Answers(joined[0], joined[1:], results[0][1])

    def _ask_model(self, X: np.ndarray, versions: Sequence[np.ndarray]) -> Answers:
        if self.model is None:
            raise TypeError("neither pipeline nor model")
        fitted = self.model.trained.pipeline
        both = [predict_emotions(fitted, each, self.labels)[1] for each in (X, *versions)]
        return Answers(both[0], both[1:], _view(fitted, X))

    def predictions(self, proba: np.ndarray) -> pd.DataFrame:
        """The table of predictions that probabilities are, one row for each scored clip."""
        tables, start = [], 0
        predicted = np.asarray(self.labels)[proba.argmax(axis=1)]
        for number, fold in enumerate(self.split.folds):
            rows = slice(start, start := start + len(fold.test))
            result = FoldResult(None, fold.test, proba[rows], predicted[rows], 0, 0, {}, [])
            tables.append(
                predictions_table(self.data.clips, result, self.labels, part="test", fold=number)
            )
        return pd.concat(tables, ignore_index=True)

    def differing(self, predictions: pd.DataFrame) -> int | None:
        """Answers that are others than the run's own; None where it has none to compare with."""
        own = self.logged
        if own is None or list(own["clip"]) != list(predictions["clip"]):
            return None
        return int((own["predicted"].to_numpy(str) != predictions["predicted"].to_numpy(str)).sum())


def subject_of_run(folder: Path, run_id: str, *, trust: Sequence[str], n_jobs: int) -> Subject:
    """A run's data, folds and pipeline, from its artifacts.

    Parameters
    ----------
    folder : Path
        With the artifacts.
    run_id : str
    trust : sequence of str
        Packages whose code the run's config may name: see `ser.core.trust`.
    n_jobs : int

    Raises
    ------
    SerError
        If the run has no config or evaluated no model, its config names code that is not trusted,
        or its clips are not where they were.
    """
    with reading(run_id, "config.yaml"):
        text = (folder / "config.yaml").read_text(encoding="utf-8")
        cfg = OmegaConf.create(yaml.safe_load(text))
    if not isinstance(cfg, DictConfig) or not {"model", "split", "data"} <= set(cfg):
        raise SerError(f"Run {run_id} evaluated no model: check a run of ser.train.")
    _check_config(OmegaConf.to_container(cfg), trust, file=f"config.yaml of run {run_id}")
    if not Path(cfg.store).is_file():
        cfg.store = str(paths.feature_store())
    cfg.compute.n_jobs = n_jobs
    data, _ = build.with_features(cfg, build.load(cfg)[0])
    split = instantiate(cfg.split, data.clips)
    check(split, data.clips)
    pipeline, scaler = build.model_pipeline(cfg)
    with reading(run_id, "tables/predictions.csv"):
        logged = read_table(folder / "tables" / "predictions.csv")
    several = (
        f"{len(split.folds)} models, one for each fold," if len(split.folds) > 1 else "A model"
    )
    return Subject(
        data=data,
        labels=data.emotions,
        how=(
            f"{several} fitted again as in the run; each clip is answered by one that has not "
            f"learned from it ({split})."
        ),
        pipeline=pipeline,
        split=split,
        scaler=scaler,
        model=None,
        logged=logged[logged["part"] == "test"],
        settings=Settings(seed=cfg.seed, n_jobs=n_jobs),
    )


def subject_of_model(model: Model, clips: Path, *, n_jobs: int) -> Subject:
    """A model, and a table of clips that it has not learned from.

    Raises
    ------
    SerError
        If the table is at fault, or its clips have emotions or a rate that the model does not know.
    """
    data = Dataset(table.load(clips, min_clips=1), corpus=clips.stem)
    if foreign := set(data.emotions) - set(model.emotions):
        raise SerError(
            f"{clips} has clips of {', '.join(sorted(foreign))}, which the model does not know: it "
            f"tells {', '.join(model.emotions)}."
        )
    trained, rates = model.trained, set(data.clips["sr"])
    feature_set, training = trained.feature_set, trained.training
    if training is not None and training.sr is not None and rates != {training.sr}:
        if min(rates) < training.sr or not hasattr(feature_set, "sr"):
            raise SerError(
                f"{clips} has clips of {min(rates)} Hz, and the model was trained at {training.sr} "
                "Hz: give clips of that rate."
            )
        feature_set = replace(feature_set, sr=feature_set.sr or training.sr)  # type: ignore[type-var]
    store = paths.feature_store()
    data, _ = build.extract_features(data, feature_set, None, store=store, n_jobs=n_jobs)
    everything = np.arange(len(data))
    return Subject(
        data=data,
        labels=tuple(model.emotions),
        how=(
            f"The model itself answers all {len(data)} clips of {clips.name}. That it has not "
            "learned from them, nor from their speakers, is not known to ser."
        ),
        pipeline=None,
        split=Split((Fold(everything[:0], everything),)),
        scaler=SpeakerScaler() if trained.scale_by_speaker else None,
        model=model,
        logged=None,
        settings=Settings(seed=0, n_jobs=n_jobs),
    )


def _answer_fold(
    pipeline: Pipeline,
    data: Dataset,
    fold: Fold,
    grouped: bool,
    versions: Sequence[np.ndarray],
    with_view: bool,
) -> tuple[list[np.ndarray], np.ndarray | None]:
    """In a worker: fit on a fold's training clips, and answer all versions of its test clips."""
    fitted = fit_on(pipeline, data, fold.train, grouped)
    answers = [predict_emotions(fitted, version, data.emotions)[1] for version in versions]
    return answers, _view(fitted, data.features) if with_view else None


def _view(fitted: Pipeline, X: np.ndarray) -> np.ndarray:
    """Features as the classifier gets them."""
    X = originals(X)
    return np.asarray(fitted[:-1].transform(X) if len(fitted.steps) > 1 else X, dtype=np.float64)


def _check_config(config: Any, trust: Sequence[str], *, file: str) -> None:
    """Refuse a config that names other code than `conf/` does, unless it is trusted.

    A config comes from a log, which others may write to.
    """
    known = set()
    for own in paths.CONF.rglob("*.yaml"):
        known |= set(_named(yaml.safe_load(own.read_text(encoding="utf-8"))))
    named = set(_named({section: config.get(section) for section in SECTIONS}))
    others = sorted(name for name in named - known if not is_harmless(name))
    check_trusted(others, trust, file=file)


def _named(config: Any) -> Iterator[str]:
    """Names of code in a config."""
    if isinstance(config, Mapping):
        target = config.get("_target_")
        if isinstance(target, str):
            yield target
            if target.startswith("hydra."):
                yield str(config.get("path"))
        config = list(config.values())
    if isinstance(config, list):
        for inner in config:
            yield from _named(inner)
