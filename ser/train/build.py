"""A composed config -> the objects that it names: clips, features, split, pipeline, settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from sklearn.pipeline import Pipeline

from ser.core.errors import SerError
from ser.data import cross_corpus, kinds
from ser.data.cross_corpus import Part
from ser.data.dataset import Dataset
from ser.evaluation.plan import Settings
from ser.features import FeatureSet
from ser.features.augmentation import Augmentation
from ser.features.resampling import at_one_rate
from ser.features.store import Extraction, augmented, extract
from ser.models.pipeline import build_pipeline
from ser.models.scaling import SpeakerScaler


def plain(cfg: DictConfig) -> dict[str, Any]:
    """A config as a plain dict, its interpolations resolved."""
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]  # a mapping's


def load_clips(cfg: DictConfig) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Clip table of the config's corpus, or of its two.

    Returns
    -------
    clips : DataFrame
    left_out : DataFrame or None
        Of two corpora, the emotions that only one has: see `cross_corpus.join`.

    Raises
    ------
    SerError
        If a corpus is at fault, or two share too few emotions.
    """
    clips = instantiate(cfg.data.corpus)
    if "test_data" not in cfg:
        return clips, None
    train, test = (
        Part(name, table, people=data.get("actors_of", name))
        for name, table, data in (
            (cfg.split.train, clips, cfg.data),
            (cfg.split.test, instantiate(cfg.test_data.corpus), cfg.test_data),
        )
    )
    return cross_corpus.join(train, test)


def features_of(cfg: DictConfig, clips: pd.DataFrame) -> Extraction:
    """Features of the clips, by the config's feature set, and of their augmented copies.

    Raises
    ------
    SerError
        If a clip or the store is at fault, or clips of several rates cannot be resampled.
    """
    return extract_features(
        clips,
        instantiate(cfg.features),
        instantiate(cfg.get("augmentation")),
        store=cfg.store,
        on_error=cfg.data.on_error,
        n_jobs=cfg.compute.n_jobs,
    )


def shape_of_features(cfg: DictConfig) -> tuple[int, ...]:
    """(n_features,) that a clip will have, or (1 + n_copies, n_features)."""
    feature_set, augmentation = instantiate(cfg.features), instantiate(cfg.get("augmentation"))
    copies = augmentation.of(feature_set) if augmentation else ()
    return (1 + len(copies),) * bool(copies) + (len(feature_set.names),)


def extract_features(
    clips: pd.DataFrame,
    feature_set: FeatureSet,
    augmentation: Augmentation | None,
    **settings: Any,
) -> Extraction:
    """Features of the clips and, side by side along another axis, of their augmented copies.

    Clips of several sampling rates are resampled to the lowest, unless the feature set's `sr` says
    otherwise; the extraction's `feature_set` has the rate.

    Parameters
    ----------
    clips : DataFrame
        With the column path; the column sr spares the reading of headers.
    feature_set : FeatureSet
    augmentation : Augmentation or None
    **settings : object
        Of `ser.features.store.extract`.
    """
    paths = clips["path"].tolist()
    feature_set = at_one_rate(feature_set, kinds.rates(clips))
    copies = augmentation.of(feature_set) if augmentation else ()
    original, *altered = (extract(paths, each, **settings) for each in (feature_set, *copies))
    _check_rates(clips, original)
    return augmented(original, altered, paths) if altered else original


def _check_rates(clips: pd.DataFrame, extraction: Extraction) -> None:
    """Refuse a table whose own column sr is wrong: by it clips are resampled, or are not."""
    if "sr" not in clips:
        return
    said, real = clips["sr"].to_numpy(), extraction.recordings["sr"].to_numpy()
    wrong = np.flatnonzero((said != real) & (said > 0) & (real > 0))
    if len(wrong):
        first = wrong[0]
        raise SerError(
            f"The column sr is wrong for {len(wrong)} clips: {clips['path'].iloc[first]} has "
            f"{real[first]} Hz, not {said[first]}. Correct the column, or leave it out."
        )


def dataset(cfg: DictConfig, clips: pd.DataFrame, extraction: Extraction) -> Dataset:
    """The clips that could be read, with their features.

    Raises
    ------
    SerError
        If no clip is left.
    """
    good = ~clips["path"].isin(extraction.errors).to_numpy()
    if not good.any():
        cause = next(iter(extraction.errors.values()))
        raise SerError(f"None of the {len(clips)} clips can be used: {cause}.")
    data = Dataset(
        clips,
        extraction.X,
        names=extraction.names,
        digests=extraction.content,
        corpus=cfg.data.name,
        feature_set=extraction.feature_set,
        recordings=extraction.recordings,
    )
    return data.select(good)


def model_pipeline(cfg: DictConfig) -> tuple[Pipeline, SpeakerScaler | None]:
    """The config's Pipeline, not fitted, and what scales by speaker before it."""
    scaler = instantiate(cfg.scaler)
    by_speaker = scaler if isinstance(scaler, SpeakerScaler) else None
    model = cfg.model.copy()
    _drop(model, "validation_curve")
    steps = {
        "scaler": None if by_speaker else scaler,
        "selection": instantiate(cfg.selection),
        **instantiate(model, _convert_="all"),
    }
    return build_pipeline(steps, seed=cfg.seed, calibrate=cfg.calibrate), by_speaker


def evaluation_settings(cfg: DictConfig) -> Settings:
    """How the config wants its protocol carried out."""
    named = plain(cfg.model).get("validation_curve") or {}
    learning = cfg.curves.learning or {"clips": (), "actors": ()}
    validation = {
        f"{step}__{parameter}": values
        for step, parameters in named.items()
        for parameter, values in parameters.items()
    }
    return Settings(
        n_splits=cfg.cv.n_splits,
        grouped=cfg.cv.grouped,
        learning_clips=tuple(learning["clips"]),
        learning_actors=tuple(learning["actors"]),
        validation=validation if cfg.curves.validation else {},
        keep_models=cfg.explain,
        n_permutations=cfg.permutations,
        seed=cfg.seed,
        n_jobs=cfg.compute.n_jobs,
    )


def _drop(cfg: DictConfig, key: str) -> None:
    """Take a key out of a config and of those in it, as of an ensemble's members."""
    with open_dict(cfg):
        cfg.pop(key, None)
    for name in cfg:
        inner = cfg._get_node(name)  # an interpolation is left as it is
        if isinstance(inner, DictConfig) and not inner._is_interpolation():
            _drop(inner, key)
