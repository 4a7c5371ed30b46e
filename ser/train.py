"""``python -m ser.train``: evaluate one config and track it as an MLflow run.

The clips of the corpus become a feature matrix; the split says which of them train. The training
clips are cross-validated, then all of them fit the model that predicts the test clips.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser import cli

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> None:
    """Entry point of ``python -m ser.train`` and of the console script ``ser-train``."""
    cli.run(train, config_name="train")


def train(cfg: DictConfig, choices: dict[str, str]) -> None:
    """Evaluate the config in one tracked run.

    Parameters
    ----------
    cfg : DictConfig
        ``conf/train.yaml``, composed.
    choices : dict of str to str
        The choice made for each config group.

    Raises
    ------
    SerError
        If the data, the config or the store is at fault.
    """
    # Imported here, so that --help and a misspelt choice answer at once.
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from ser import provenance, report, tracking
    from ser.pipeline import build_pipeline
    from ser.protocol import Settings, evaluate
    from ser.store import extract

    clips = instantiate(cfg.data.corpus)
    feature_set = instantiate(cfg.features)
    steps = {"scaler": instantiate(cfg.scaler), **instantiate(cfg.model, _convert_="all")}
    settings = Settings(
        n_splits=cfg.cv.n_splits,
        learning_clips=tuple(cfg.curves.learning.clips) if cfg.curves.learning else (),
        learning_actors=tuple(cfg.curves.learning.actors) if cfg.curves.learning else (),
        seed=cfg.seed,
        n_jobs=cfg.compute.n_jobs,
    )
    name = "-".join(choices[group] for group in ("model", "split", "data", "features"))
    resolved = OmegaConf.to_container(cfg, resolve=True)
    del resolved["tracking"]  # where the log lies is not part of the experiment

    with tracking.start_run(
        uri=cfg.tracking.uri,
        experiment=cfg.tracking.experiment,
        name=name,
        tags={
            **{group: choices[group] for group in ("model", "features", "split", "scaler")},
            "corpus": cfg.data.name,
            **provenance.git_state(cli.PROJECT),
        },
        description=report.description(choices),
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
        split = instantiate(cfg.split, clips)
        evaluation = evaluate(build_pipeline(steps, seed=cfg.seed), clips, X, split, settings)
        report.log(run, evaluation, clips, split, title=name)
        run.model(evaluation.pipeline, feature_set)
    print(report.summary(evaluation, clips, split, title=name))
    print(report.where(run.id, run.experiment, cfg.tracking.uri))


if __name__ == "__main__":
    main()
