"""One config, one run: everything between a composed config and what MLflow holds of it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from sklearn.pipeline import Pipeline

from ser import report
from ser.core import paths
from ser.core.overrides import Choices
from ser.core.redact import masked, without_password
from ser.data import cross_corpus
from ser.data.cross_corpus import Part
from ser.data.splits import Split
from ser.evaluation.protocol import Settings, evaluate
from ser.features.store import Extraction, augmented, extract
from ser.models.pipeline import build_pipeline, heard
from ser.models.scaling import SpeakerScaler
from ser.models.trained import TrainedModel
from ser.report import explanation, model_card, terminal
from ser.tracking import provenance, queries
from ser.tracking import run as tracking
from ser.tracking.queries import LoggedRun
from ser.tracking.registry import CARD
from ser.tracking.run import Run
from ser.train import log as record

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What is left of a run once it is tracked.

    Attributes
    ----------
    run_id, name : str
    transductive : bool
        Whether test clips, without labels, went into the scaling.
    metrics : mapping of str to float
    n_labels : int
    predictions : DataFrame
        On test clips: see `evaluation.predictions_table`.
    text : str
        What the terminal shows.
    """

    run_id: str
    name: str
    transductive: bool
    metrics: Mapping[str, float]
    n_labels: int
    predictions: pd.DataFrame
    text: str


def tracked(
    cfg: DictConfig,
    choices: Choices,
    *,
    parent: Run | None = None,
    fold: int | None = None,
) -> Outcome:
    """Extract, split, evaluate, log, and keep the model.

    Parameters
    ----------
    cfg : DictConfig
        ``conf/train.yaml``, composed.
    choices : Choices
    parent : Run, optional
        The run that this one belongs to.
    fold : int, optional
        Only this fold of the split; all of them unless given.

    Raises
    ------
    SerError
        If the data, the config or the store is at fault; the run is then marked FAILED.
    """
    pipeline, scaler = model_of(cfg)
    transductive = scaler is not None
    name = "-".join(choices[group] for group in ("model", "split", "data", "features"))
    name += "-transductive" if transductive else ""
    name += "" if fold is None else f"-fold-{fold}"
    with tracking.start_run(
        uri=cfg.tracking.uri,
        experiment=cfg.tracking.experiment,
        name=name,
        tags={**tags(cfg, choices), "transductive": str(transductive).lower()},
        description=f"`{choices.command()}`",
        parent=parent,
    ) as run:
        log_config(run, cfg)
        clips, X, split = load(cfg, choices, run)
        if fold is not None:
            split = Split((split.folds[fold],), split.unheard)
        if scaler is not None:
            X = scaler.transform(X, clips["actor"].to_numpy())
        evaluation = evaluate(pipeline, clips, X, split, settings_of(cfg))
        listeners = cfg.data.get("listeners") or {}
        record.log(run, evaluation, clips, split, title=name, listeners=listeners)
        if cfg.explain:
            explanation.log(
                run,
                evaluation,
                clips,
                heard(X),
                split,
                instantiate(cfg.features).names,
                settings_of(cfg),
            )
        report.attach(run)
        about = cfg.data.get("about") or "nothing is said of it"
        card = without_password(model_card.card(run.so_far(), evaluation, about=about))
        run.text(card, CARD)
        run.model(TrainedModel(evaluation.pipeline, instantiate(cfg.features), transductive), card)
    return Outcome(
        run_id=run.id,
        name=name,
        transductive=transductive,
        metrics=evaluation.metrics,
        n_labels=len(evaluation.labels),
        predictions=evaluation.part("test"),
        text=terminal.of_run(evaluation, clips, split, title=name, transductive=transductive)
        + "\n"
        + terminal.where(run.id, run.experiment, cfg.tracking.uri),
    )


def finished_before(cfg: DictConfig) -> LoggedRun | None:
    """A FINISHED run of the same resolved config, code, packages and clips, if there is one.

    Raises
    ------
    SerError
        If the data or the store is at fault.
    """
    clips, _ = clips_of(cfg)
    extraction = features_of(cfg, clips["path"].tolist())
    good = ~clips["path"].isin(extraction.errors).to_numpy()
    data = provenance.fingerprint(clips[good], extraction.content[good].tolist())
    return queries.finished_before(
        cfg.tracking.uri, cfg.tracking.experiment, _resume_key(cfg, data)
    )


def _resume_key(cfg: DictConfig, data: str) -> str:
    """Digest of everything that a run's numbers depend on."""
    resolved = _unsecret(cfg)
    # Where things lie and how many cores there are changes no number.
    for key in ("tracking", "store", "compute", "sweep"):
        resolved.pop(key)
    for key in ("root", "corpus"):
        resolved["data"].pop(key, None)
        resolved.get("test_data", {}).pop(key, None)
    everything = [resolved, provenance.code_digest(), provenance.package_versions(), data]
    text = json.dumps(everything, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(cfg: DictConfig) -> dict[str, Any]:
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]  # a mapping's


def _unsecret(cfg: DictConfig) -> dict[str, Any]:
    return masked(_plain(cfg))  # type: ignore[return-value]  # a mapping's is one


def tags(cfg: DictConfig, choices: Choices, *, module: str = "ser.train") -> dict[str, str]:
    """What the UI filters runs by, and what makes the run again: choices, corpus and code."""
    return {
        **{group: choices[group] for group in ("model", "features", "split", "scaler")},
        "corpus": cfg.data.name,
        **({"test_corpus": cfg.test_data.name} if "test_data" in cfg else {}),
        "command": choices.command(module),
        **provenance.git_state(paths.PROJECT),
    }


def log_config(run: Run, cfg: DictConfig) -> None:
    """Log the resolved config, as parameters and whole, and the packages' versions."""
    resolved = _unsecret(cfg)
    del resolved["tracking"]  # where the log lies is not part of the experiment
    run.text(OmegaConf.to_yaml(OmegaConf.create(resolved)), "config.yaml")
    run.text(record.versions(provenance.package_versions()), "environment.txt")
    # What is only drawn is not what a run is compared by.
    resolved.get("model", {}).pop("validation_curve", None)
    for key in ("listeners", "about"):
        resolved["data"].pop(key, None)
    for section in ("data", "test_data"):
        resolved.get(section, {}).get("corpus", {}).pop("labels", None)  # there already
    run.params(record.flat(resolved))


def load(cfg: DictConfig, choices: Choices, run: Run) -> tuple[pd.DataFrame, np.ndarray, Split]:
    """Clip table, feature matrix and split of a config; the run says which clips went in.

    Raises
    ------
    SerError
        If the corpus, a clip or the store is at fault, or the split does not fit the clips.
    """
    clips, X, content = load_clips(cfg, run)
    data = log_dataset(run, cfg, choices, clips, content, context=choices["split"])
    split = instantiate(cfg.split, clips)
    run.tags({"resume_key": _resume_key(cfg, data)})
    run.tags({"protocol": split, "interval_over": f"{split.unit}s"})
    return clips, X, split


def load_clips(cfg: DictConfig, run: Run) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Clip table, feature matrix and digest of each clip's bytes; the run says which were skipped.

    Raises
    ------
    SerError
        If the corpus, a clip or the store is at fault.
    """
    clips, left_out = clips_of(cfg)
    if left_out is not None:
        _say_what_two_corpora_need(cfg, clips, left_out, run)
    extraction = features_of(cfg, clips["path"].tolist())
    return record.keep_readable(clips, extraction, run)


def log_dataset(
    run: Run,
    cfg: DictConfig,
    choices: Choices,
    clips: pd.DataFrame,
    content: np.ndarray,
    *,
    context: str,
) -> str:
    """Say in the run which clips went in, and to what purpose; return their fingerprint."""
    data = provenance.fingerprint(clips, content.tolist())
    run.dataset(
        name=choices["data"],
        fingerprint=data,
        source=" and ".join(
            str(one.get("root") or one.get("table"))
            for one in (cfg.data, cfg.get("test_data"))
            if one is not None
        ),
        profile=record.counts(clips),
        context=context,
    )
    run.tags({"data_fingerprint": data})
    return data


def clips_of(cfg: DictConfig) -> tuple[pd.DataFrame, pd.DataFrame | None]:
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


def _say_what_two_corpora_need(
    cfg: DictConfig, clips: pd.DataFrame, left_out: pd.DataFrame, run: Run
) -> None:
    """Tell the terminal and the run what is left out, and what differing sampling rates do."""
    run.metrics({"n_left_out_clips": float(left_out["clips"].sum())})
    if len(left_out):
        run.table(left_out, "left_out_clips")
        print(f"Left out, as only one of the corpora has them: {cross_corpus.described(left_out)}.")
    features = instantiate(cfg.features)
    warning = cross_corpus.rates_warning(
        clips, resampled=getattr(features, "sr", None), can_resample=hasattr(features, "sr")
    )
    # Features that count in seconds and Hz mean the same at every rate.
    if warning and hasattr(features, "n_fft"):
        run.tags({"warning": warning})
        log.warning(warning)


def features_of(cfg: DictConfig, paths: list[str]) -> Extraction:
    """Features of the clips, by the config's feature set, and of their augmented copies."""
    features, augmentation = instantiate(cfg.features), instantiate(cfg.get("augmentation"))
    plain, *copies = (
        extract(paths, one, store=cfg.store, on_error=cfg.data.on_error, n_jobs=cfg.compute.n_jobs)
        for one in (features, *(augmentation.of(features) if augmentation else ()))
    )
    return augmented(plain, copies, paths) if copies else plain


def model_of(cfg: DictConfig) -> tuple[Pipeline, SpeakerScaler | None]:
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


def _drop(cfg: DictConfig, key: str) -> None:
    """Take a key out of a config and of those in it, as of an ensemble's members."""
    with open_dict(cfg):
        cfg.pop(key, None)
    for name in cfg:
        inner = cfg._get_node(name)  # an interpolation is left as it is
        if isinstance(inner, DictConfig) and not inner._is_interpolation():
            _drop(inner, key)


def settings_of(cfg: DictConfig) -> Settings:
    """How the config wants its protocol carried out."""
    named = _plain(cfg.model).get("validation_curve") or {}
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
