"""``python -m ser.predict``: a trained model on recordings of your own, a line for each.

Everything comes from the run: the fitted pipeline, its features and the order of its emotions.
"""

from __future__ import annotations

import sys
from itertools import groupby
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.core import command
from ser.core.errors import SerError
from ser.core.experiment import Experiment, JobResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ser.models.trained import TrainedModel
    from ser.predict.inference import Heard, Windows
    from ser.predict.recordings import Recording

SOME_UNUSABLE = 3  # exit code


def main() -> None:
    """Entry point of ``python -m ser.predict`` and of the console script ``ser-predict``."""
    command.quote_arguments("clips", "out", "pictures", "model")
    command.run("predict")


def predict(experiment: Experiment) -> JobResult:
    """Predict every recording; exit with `SOME_UNUSABLE` where some could not be used.

    Parameters
    ----------
    cfg : DictConfig
        ``conf/predict.yaml``, composed.
    choices : Choices

    Raises
    ------
    SerError
        If there is no such model, nothing to predict, or the output cannot be written.
    """
    from omegaconf import OmegaConf

    from ser.predict.inference import Windows
    from ser.predict.output import Layout, opened
    from ser.predict.recordings import recordings
    from ser.tracking.registry import find_model

    cfg = experiment.cfg
    if OmegaConf.is_missing(cfg, "clips"):
        raise SerError(
            "Say what to predict: clips=FILE, a folder, a glob, a CSV or - (see --help)."
        )
    wanted = recordings(_listed(cfg.clips), speaker=cfg.speaker)
    windows = None if cfg.window is None else Windows(cfg.window, cfg.hop)
    found = find_model(
        run=str(cfg.run),
        model=cfg.model_uri,
        uri=cfg.tracking.uri,
        experiment=cfg.tracking.experiment,
        best=cfg.best,
        trust_all=cfg.allow_pickle,
    )
    for sentence in found.differing_packages():
        print(f"Warning: {sentence}", file=sys.stderr)
    layout = Layout(
        found.model.emotions,
        windows=windows is not None,
        speakers=any(one.speaker is not None for one in wanted),
    )
    made_by = {"model": found.digest, "window": cfg.window, "hop": cfg.window and cfg.hop}
    out = None if cfg.out is None else Path(cfg.out)
    with opened(cfg.output, out, layout, made_by) as output:
        if output.done:
            print(f"{len(output.done)} clips are in {out}.part already.", file=sys.stderr)
            wanted = [one for one in wanted if one.name not in output.done]
        for batch in _predicted(found.model, wanted, windows, cfg.compute.n_jobs):
            output.write([layout.row(heard) for heard in batch])
            if windows and cfg.pictures is not None:
                _draw(batch, found.model.emotions, Path(cfg.pictures))
        said = output.finish()
    if said:
        print(said, file=sys.stderr)
    if output.n_errors:
        print(f"{output.n_errors} could not be used.", file=sys.stderr)
        sys.exit(SOME_UNUSABLE)
    return JobResult(run_id=None, text="")


def _predicted(
    model: TrainedModel, wanted: Sequence[Recording], windows: Windows | None, n_jobs: int
) -> Iterator[list[Heard]]:
    """Batches as they come, with a bar for what takes long; what cannot be used is named."""
    from tqdm import tqdm

    from ser.predict.inference import predict_recordings

    with tqdm(total=len(wanted), desc="Predicting", unit="clip", delay=1, disable=None) as bar:
        for batch in predict_recordings(model, wanted, windows=windows, n_jobs=n_jobs):
            yield batch
            for heard in batch:
                if heard.error:
                    where = "" if isnan(heard.start) else f" from {heard.start:.1f} s"
                    bar.write(f"Cannot use {heard.name}{where}: {heard.error}.", file=sys.stderr)
            bar.update(len({heard.name for heard in batch}))


def _draw(batch: Sequence[Heard], emotions: Sequence[str], folder: Path) -> None:
    """A picture for each recording of the batch, whose windows are all in it."""
    from ser.report import figures

    folder.mkdir(parents=True, exist_ok=True)
    for name, group in groupby(batch, key=lambda heard: heard.name):
        parts = [heard for heard in group if heard.proba is not None]
        if parts:
            middle = [(heard.start + heard.end) / 2 for heard in parts]
            proba = [heard.proba for heard in parts if heard.proba is not None]
            figure = figures.emotions_over_time(middle, proba, emotions, title=Path(name).name)
            figure.savefig(folder / f"{Path(name).stem}-emotions.png", dpi=110)


def _listed(clips: Any) -> list[str]:
    return [str(clips)] if isinstance(clips, str | int | float) else [str(one) for one in clips]
