"""A corpus, looked at -> one MLflow run, and the same files in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from ser.core.experiment import Experiment, JobResult
from ser.core.printable import markdown_code
from ser.core.progress import bar
from ser.data.audio import read_audio
from ser.data.dataset import Dataset
from ser.explore import copies, measure
from ser.explore.folder import fill, make_folder
from ser.explore.measure import Exploration
from ser.explore.page import (
    exploration_figures,
    exploration_tables,
    exploration_text,
    render_exploration_page,
)
from ser.explore.quality import clip_quality
from ser.features.prosody import ProsodyFeatures
from ser.features.store import extract
from ser.report import terminal
from ser.report.clip_views import ClipViews, views
from ser.tracking.inputs import log_config
from ser.tracking.run import Run, start_run
from ser.train import build
from ser.train.run import load_data, train_tags

PAGE = "explore.html"  # in the run's artifacts, and in the folder


def run_exploration(experiment: Experiment) -> JobResult:
    """Look at the corpus; log numbers, tables, pictures and the page.

    Parameters
    ----------
    experiment : Experiment
        Of ``conf/explore.yaml``.

    Raises
    ------
    SerError
        If the data, the config or the store is at fault; the run is then marked FAILED.
    """
    cfg, choices = experiment.cfg, experiment.choices
    out = None if cfg.explore.out is None else Path(cfg.explore.out)
    if out is not None:
        make_folder(out)
    name = experiment.run_name("features", before=f"explore-{cfg.data.name}")
    with start_run(
        uri=cfg.tracking.uri,
        experiment=cfg.tracking.experiment,
        name=name,
        tags=train_tags(experiment, "ser.explore") | {"kind": "explore"},
        description=markdown_code(choices.command("ser.explore")),
    ) as run:
        log_config(run, build.plain(cfg))
        data, _ = load_data(experiment, run, context="explore")
        rows, note = measure.pair(data.clips, cfg.explore.emotions, cfg.explore.actor)
        prosody = instantiate(cfg.prosody)
        exploration = _explored(cfg, data, prosody)
        for doubt in exploration.doubts:
            run.warn(doubt)
        shown: list[ClipViews] = []
        with run.decoration("the pair of clips"):
            shown = [_views(data.clips.loc[row], prosody) for row in rows]
        _log(run, exploration, shown, top=cfg.explore.top)
        with run.decoration(PAGE):
            html = render_exploration_page(
                run.so_far(),
                exploration,
                shown,
                data.clips.loc[rows],
                folder=run.folder / "figures",
                note=note,
            )
            run.text(html, PAGE)
        if out is not None:
            fill(out, run.folder)
        place = run.artifacts if out is None else str(out)
    lines = [exploration_text(exploration, title=name, note=note), f"page    {place}/{PAGE}"]
    where = terminal.where(run)
    return JobResult(run_id=run.id, text="\n".join([*lines, where]))


def _explored(cfg: DictConfig, data: Dataset, prosody: ProsodyFeatures) -> Exploration:
    """The numbers, with a bar."""
    paths = data.clips["path"].tolist()
    spoken = extract(paths, prosody, store=cfg.store, n_jobs=cfg.compute.n_jobs)
    by_clip = clip_quality(data, pd.DataFrame(spoken.X, columns=list(spoken.names)))
    single = by_clip.loc[by_clip["duplicate_of"] == "", "path"].tolist()
    near = copies.near_copies(single, n_jobs=cfg.compute.n_jobs)
    by_clip["near_copy_of"] = [near.get(path, "") for path in by_clip["path"]]
    with bar(total=measure.STEPS, desc="Measuring") as drawn:
        return measure.explore_corpus(
            data,
            by_clip,
            max_clips=cfg.explore.max_clips,
            neighbours=cfg.explore.neighbours,
            seed=cfg.seed,
            advance=drawn.update,
        )


def _views(clip: pd.Series, prosody: ProsodyFeatures) -> ClipViews:
    y, sr = read_audio(clip["path"])
    return views(y, sr, f"{clip['emotion']}, actor {clip['actor']}", prosody=prosody)


def _log(run: Run, exploration: Exploration, shown: Sequence[ClipViews], *, top: int) -> None:
    """Send numbers, tables and pictures to the run."""
    run.metrics(exploration.metrics)
    for name, table in exploration_tables(exploration).items():
        run.table(table, name)
    figures = exploration_figures(exploration, shown, top=top)
    for name, draw in bar(figures.items(), desc="Drawing"):
        run.figure(draw, name)
