"""A composed config -> the objects that it names: clips, features, split, pipeline, settings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
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
from ser.data.duplicates import without_copies
from ser.data.names import tidied
from ser.evaluation.plan import Settings
from ser.features import FeatureSet
from ser.features.augmentation import Augmentation
from ser.features.resampling import at_one_rate
from ser.features.store import Extraction, extract
from ser.models.pipeline import build_pipeline
from ser.models.scaling import SpeakerScaler

log = logging.getLogger(__name__)


def plain(cfg: DictConfig) -> dict[str, Any]:
    """A config as a plain dict, its interpolations resolved."""
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]  # a mapping's


def load(cfg: DictConfig) -> tuple[Dataset, pd.DataFrame | None]:
    """Clips of the config's corpus, or of its two, without features.

    Returns
    -------
    data : Dataset
    left_out : DataFrame or None
        Of two corpora, the emotions that only one has: see `cross_corpus.join`.

    Raises
    ------
    SerError
        If a corpus is at fault, names differ by a hair, or two share too few emotions.
    """
    clips, left_out = instantiate(cfg.data.corpus), None
    if "test_data" in cfg:
        train, test = (
            Part(name, tidied(table), people=data.get("actors_of", name))
            for name, table, data in (
                (cfg.split.train, clips, cfg.data),
                (cfg.split.test, instantiate(cfg.test_data.corpus), cfg.test_data),
            )
        )
        clips, left_out = cross_corpus.join(train, test)
    duplicates = cfg.data.get("duplicates", "raise")
    return Dataset(clips, corpus=cfg.data.name, duplicates=duplicates), left_out


def with_features(
    cfg: DictConfig, data: Dataset, *, say: Callable[[str], object] = lambda text: None
) -> tuple[Dataset, dict[str, str]]:
    """The clips that are used, with the config's features: see `extract_features`."""
    return extract_features(
        data,
        instantiate(cfg.features),
        instantiate(cfg.get("augmentation")),
        say=say,
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
    data: Dataset,
    feature_set: FeatureSet,
    augmentation: Augmentation | None,
    *,
    say: Callable[[str], object] = log.warning,
    **settings: Any,
) -> tuple[Dataset, dict[str, str]]:
    """The clips that are used, with features, and side by side those of their augmented copies.

    Clips of several sampling rates are resampled to the lowest, unless the feature set's `sr` says
    otherwise; the data set's `feature_set` has the rate.

    Parameters
    ----------
    data : Dataset
        With or without features; the clip table's column sr spares the reading of headers.
    feature_set : FeatureSet
    augmentation : Augmentation or None
    say : callable
        Is told what was left out of copies.
    **settings : object
        Of `ser.features.store.extract`.

    Returns
    -------
    used : Dataset
        Without clips that could not be read; of copies what `data.duplicates` keeps.
    errors : dict of str to str
        Path -> why the clip could not be used.

    Raises
    ------
    SerError
        If a clip or the store is at fault, clips of several rates cannot be resampled, or no clip
        is left.
    """
    rates = kinds.rates(data.clips if data.recordings is None else data.recordings)
    at_rate = at_one_rate(feature_set, rates)
    extraction = _extract(data, at_rate, augmentation, settings)
    errors = extraction.errors
    read = ~data.clips["path"].isin(errors).to_numpy()
    if not read.any():
        cause = next(iter(errors.values()))
        raise SerError(f"None of the {len(data)} clips can be used: {cause}.")
    used = replace(
        data,
        X=extraction.X,
        names=extraction.names,
        digests=extraction.content,
        feature_set=at_rate,
        recordings=extraction.recordings,
    )
    used = without_copies(used.select(read) if errors else used, say=say)
    if at_one_rate(feature_set, kinds.rates(used.recordings)) != at_rate:
        # The lowest rate was that of clips which are left out.
        used, more = extract_features(used, feature_set, augmentation, say=say, **settings)
        errors |= more
    return used, errors


def _extract(
    data: Dataset,
    feature_set: FeatureSet,
    augmentation: Augmentation | None,
    settings: Mapping[str, Any],
) -> Extraction:
    """Features of all clips and of their copies; refuse a table whose own column sr is wrong."""
    clips = data.clips
    every = [feature_set, *augmentation.of(feature_set)] if augmentation else feature_set
    paths = clips["path"].tolist()
    extraction = extract(paths, every, **settings)
    real = extraction.recordings["sr"].to_numpy()
    said = clips["sr"].to_numpy() if "sr" in clips else real
    wrong = np.flatnonzero((said != real) & (said > 0) & (real > 0))
    if len(wrong):  # by it clips are resampled, or are not
        first = wrong[0]
        raise SerError(
            f"The column sr is wrong for {len(wrong)} clips: {paths[first]} has "
            f"{real[first]} Hz, not {said[first]}. Correct the column, or leave it out."
        )
    return extraction


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
