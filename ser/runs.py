"""One config, one run: everything between a composed config and what MLflow holds of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from ser import cli, provenance, report, tracking
from ser.pipeline import build_pipeline
from ser.protocol import Settings, evaluate
from ser.scaling import SpeakerScaler
from ser.store import extract
from ser.tracking import Run


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
    text : str
        What the terminal shows.
    """

    run_id: str
    name: str
    transductive: bool
    metrics: Mapping[str, float]
    n_labels: int
    text: str


def tracked(cfg: DictConfig, choices: Mapping[str, str], *, parent: Run | None = None) -> Outcome:
    """Extract, split, evaluate, log, and keep the model.

    Parameters
    ----------
    cfg : DictConfig
        ``conf/train.yaml``, composed.
    choices : mapping of str to str
        The choice made for each config group.
    parent : Run, optional
        The run that this one belongs to.

    Raises
    ------
    SerError
        If the data, the config or the store is at fault; the run is then marked FAILED.
    """
    clips = instantiate(cfg.data.corpus)
    feature_set = instantiate(cfg.features)
    scaler = instantiate(cfg.scaler)
    transductive = isinstance(scaler, SpeakerScaler)
    model = instantiate(cfg.model, _convert_="all")
    settings = _settings(cfg, model.pop("validation_curve", None) or {})
    steps = {"scaler": None if transductive else scaler, **model}
    name = "-".join(choices[group] for group in ("model", "split", "data", "features"))
    name += "-transductive" if transductive else ""
    resolved = OmegaConf.to_container(cfg, resolve=True)
    del resolved["tracking"]  # where the log lies is not part of the experiment

    with tracking.start_run(
        uri=cfg.tracking.uri,
        experiment=cfg.tracking.experiment,
        name=name,
        tags={
            **{group: choices[group] for group in ("model", "features", "split", "scaler")},
            "corpus": cfg.data.name,
            "transductive": str(transductive).lower(),
            **provenance.git_state(cli.PROJECT),
        },
        description=report.description(choices),
        parent=parent,
    ) as run:
        run.params(report.flat(resolved))
        run.text(OmegaConf.to_yaml(OmegaConf.create(resolved)), "config.yaml")
        run.text(report.versions(provenance.package_versions()), "environment.txt")
        extraction = extract(
            clips["path"].tolist(),
            feature_set,
            store=cfg.store,
            on_error=cfg.data.on_error,
            n_jobs=cfg.compute.n_jobs,
        )
        clips, X, content = report.keep_readable(clips, extraction, run)
        run.dataset(
            name=choices["data"],
            fingerprint=provenance.fingerprint(clips, content),
            source=str(cfg.data.get("root") or cfg.data.get("table")),
            profile=report.counts(clips),
            context=choices["split"],
        )
        if transductive:
            X = scaler.transform(X, clips["actor"].to_numpy())
        split = instantiate(cfg.split, clips)
        evaluation = evaluate(build_pipeline(steps, seed=cfg.seed), clips, X, split, settings)
        listeners = cfg.data.get("listeners") or {}
        report.log(run, evaluation, clips, split, title=name, listeners=listeners)
        run.model(evaluation.pipeline, feature_set, scale_by_speaker=transductive)
    return Outcome(
        run_id=run.id,
        name=name,
        transductive=transductive,
        metrics=evaluation.metrics,
        n_labels=len(evaluation.labels),
        text=report.summary(evaluation, clips, split, title=name, transductive=transductive)
        + "\n"
        + report.where(run.id, run.experiment, cfg.tracking.uri),
    )


def _settings(cfg: DictConfig, validation_curve: Mapping[str, Mapping[str, list]]) -> Settings:
    learning = cfg.curves.learning or {"clips": (), "actors": ()}
    validation = {
        f"{step}__{parameter}": values
        for step, parameters in validation_curve.items()
        for parameter, values in parameters.items()
    }
    return Settings(
        n_splits=cfg.cv.n_splits,
        grouped=cfg.cv.grouped,
        learning_clips=tuple(learning["clips"]),
        learning_actors=tuple(learning["actors"]),
        validation=validation if cfg.curves.validation else {},
        n_permutations=cfg.permutations,
        seed=cfg.seed,
        n_jobs=cfg.compute.n_jobs,
    )
