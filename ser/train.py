"""``python -m ser.train``: evaluate one config and track it as an MLflow run.

The clips of the corpus become a feature matrix; the split says which of them train. The training
clips are cross-validated, then all of them fit the model that predicts the test clips.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ser import cli

if TYPE_CHECKING:
    from collections.abc import Mapping

    from omegaconf import DictConfig

    from ser.tracking import Run


@dataclass(frozen=True)
class Outcome:
    """What is left of a run once it is tracked.

    Attributes
    ----------
    run_id, experiment, name : str
    transductive : bool
        Whether test clips, without labels, went into the scaling.
    metrics : mapping of str to float
    n_labels : int
    text : str
        What the terminal shows.
    """

    run_id: str
    experiment: str
    name: str
    transductive: bool
    metrics: Mapping[str, float]
    n_labels: int
    text: str


def main() -> None:
    """Entry point of ``python -m ser.train`` and of the console script ``ser-train``."""
    cli.run(train, config_name="train")


def train(cfg: DictConfig, choices: Mapping[str, str]) -> None:
    """Evaluate the config in one tracked run, or in one for each of its study's variants.

    Parameters
    ----------
    cfg : DictConfig
        ``conf/train.yaml``, composed.
    choices : mapping of str to str
        The choice made for each config group.

    Raises
    ------
    SerError
        If the data, the config or the store is at fault.
    """
    # Imported here and in what is called, so that --help and a misspelt choice answer at once.
    from ser import report

    if cfg.study is not None:
        from ser.study import run_study

        run_study(cfg, choices)
        return
    outcome = tracked(cfg, choices)
    print(outcome.text)
    print(report.where(outcome.run_id, outcome.experiment, cfg.tracking.uri))


def tracked(cfg: DictConfig, choices: Mapping[str, str], *, parent: Run | None = None) -> Outcome:
    """One tracked run: extract, split, evaluate, log, and keep the model."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from ser import provenance, report, tracking
    from ser.pipeline import build_pipeline
    from ser.protocol import evaluate
    from ser.scaling import SpeakerScaler
    from ser.store import extract

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
        experiment=run.experiment,
        name=name,
        transductive=transductive,
        metrics=evaluation.metrics,
        n_labels=len(evaluation.labels),
        text=report.summary(evaluation, clips, split, title=name, transductive=transductive),
    )


def _settings(cfg: DictConfig, validation_curve: Mapping[str, Mapping[str, list]]) -> object:
    from ser.protocol import Settings

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


if __name__ == "__main__":
    main()
