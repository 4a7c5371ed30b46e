"""A corpus, looked at -> one MLflow run, and the same files in a folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig
from tqdm import tqdm

from ser.core import paths
from ser.core.overrides import Choices
from ser.data.audio import read_audio
from ser.explore import measure
from ser.explore import page as explore_page
from ser.explore.measure import Exploration
from ser.features.prosody import ProsodyFeatures
from ser.features.store import extract
from ser.report import html as pages
from ser.report import terminal
from ser.report.clip_views import ClipViews, views
from ser.tracking import provenance
from ser.tracking import run as tracking
from ser.tracking.run import Run
from ser.train import run as runs

PAGE = "explore.html"  # in the run's artifacts, and in the folder


def tracked(cfg: DictConfig, choices: Choices) -> tuple[str, str]:
    """Look at the corpus; log numbers, tables, pictures and the page.

    Parameters
    ----------
    cfg : DictConfig
        ``conf/explore.yaml``, composed.
    choices : Choices

    Returns
    -------
    run_id : str
    text : str
        What the terminal shows.

    Raises
    ------
    SerError
        If the data, the config or the store is at fault; the run is then marked FAILED.
    """
    out = None if cfg.explore.out is None else Path(cfg.explore.out)
    if out is not None:
        pages.make_folder(out, PAGE)
    command = choices.command("ser.explore")
    name = f"explore-{choices['data']}-{choices['features']}"
    with tracking.start_run(
        uri=cfg.tracking.uri,
        experiment=cfg.tracking.experiment,
        name=name,
        tags={
            "study": "explore",
            "features": choices["features"],
            "corpus": cfg.data.name,
            "command": command,
            **provenance.git_state(paths.PROJECT),
        },
        description=f"`{command}`",
    ) as run:
        runs.log_config(run, cfg)
        clips, X, content = runs.load_clips(cfg, run)
        runs.log_dataset(run, cfg, choices, clips, content, context="explore")
        rows, note = measure.pair(clips, cfg.explore.emotions, cfg.explore.actor)
        prosody = instantiate(cfg.prosody)
        found = _explored(cfg, clips, X, content, prosody)
        shown = [_views(clips.loc[row], prosody) for row in rows]
        _log(run, found, shown, top=cfg.explore.top)
        html = explore_page.page(
            found,
            shown,
            clips.loc[rows],
            folder=run.folder / "figures",
            title=name,
            corpus=cfg.data.name,
            note=note,
            command=command,
        )
        run.text(html, PAGE)
        if out is not None:
            _copy(run.folder, out)
        place = run.artifacts if out is None else str(out)
    lines = [explore_page.terminal(found, title=name, note=note), f"page    {place}/{PAGE}"]
    where = terminal.where(run.id, run.experiment, cfg.tracking.uri)
    return run.id, "\n".join([*lines, where])


def _explored(
    cfg: DictConfig,
    clips: pd.DataFrame,
    X: np.ndarray,
    content: np.ndarray,
    prosody: ProsodyFeatures,
) -> Exploration:
    """The numbers, with a bar."""
    spoken = extract(clips["path"].tolist(), prosody, store=cfg.store, n_jobs=cfg.compute.n_jobs)
    with tqdm(total=measure.STEPS, desc="Measuring", disable=None) as bar:
        return measure.explore(
            clips,
            X,
            instantiate(cfg.features).names,
            pd.DataFrame(spoken.X, columns=list(spoken.names)),
            content,
            max_clips=cfg.explore.max_clips,
            neighbours=cfg.explore.neighbours,
            seed=cfg.seed,
            advance=bar.update,
        )


def _views(clip: pd.Series, prosody: ProsodyFeatures) -> ClipViews:
    y, sr = read_audio(clip["path"])
    return views(y, sr, f"{clip['emotion']}, actor {clip['actor']}", prosody=prosody)


def _log(run: Run, found: Exploration, shown: Sequence[ClipViews], *, top: int) -> None:
    """Send numbers, tables and pictures to the run."""
    run.metrics(found.metrics)
    for name, table in explore_page.tables(found).items():
        run.table(table, name)
    figures = explore_page.figures(found, shown, top=top)
    for name, draw in tqdm(figures.items(), desc="Drawing", disable=None):
        run.figure(draw(), name)


def _copy(folder: Path, out: Path) -> None:
    """Copy files, without the permissions of a temporary folder."""
    for file in folder.rglob("*.*"):
        place = out / file.relative_to(folder)
        place.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, place)
