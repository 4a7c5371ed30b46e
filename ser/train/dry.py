"""What would fail at a run's end, looked at before its first fit: names, places, room, the model.

What depends on the clips (the split, the scaler, the model) is looked at once they are there.
Labels need no look, as their keys are made legal (`ser.tracking.keys`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from datetime import datetime
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig
from sklearn.pipeline import Pipeline

from ser.core.errors import SerError
from ser.data.corpora import speakers_known
from ser.data.dataset import Dataset, check_duplicates_choice
from ser.data.folds import Split
from ser.evaluation.parallel import estimators_in
from ser.evaluation.plan import plan, try_model
from ser.models.pipeline import inner_classifier, without_probabilities
from ser.models.trained import check_loadable
from ser.tracking.client import unusable
from ser.tracking.database import ARTIFACTS, sqlite_file
from ser.tracking.registry import check_name
from ser.train import build

EARLIEST = 315_619_200.0  # seconds: 1980-01-02, whatever the time zone
ROOM = 20_000_000  # bytes: three times what a run of RAVDESS keeps


def check_run(cfg: DictConfig, pipeline: Pipeline) -> None:
    """Refuse a config whose run could not be finished.

    Parameters
    ----------
    cfg : DictConfig
        Of ``conf/train.yaml``.
    pipeline : Pipeline
        Its model, not fitted.

    Raises
    ------
    SerError
        If the model lacks what it needs, could not be loaded again or registered, a curve is of a
        parameter that it has not, a choice of ``data.duplicates`` is not known, or a place is full
        or read-only.
    """
    _check_clock()
    for part in estimators_in(pipeline):
        getattr(part, "check", lambda: None)()
        if cfg.scaler is not None and getattr(part, "of_spectrograms", False):
            raise SerError(
                f"{type(part).__name__} takes spectrograms as they are: set scaler=none, as "
                "model=fisher_vectors and model=kernel_ridge_by_set do."
            )
    check_columns = getattr(inner_classifier(pipeline), "check_columns", lambda *_: None)
    check_columns(build.shape_of_features(cfg)[-1], [name for name, _ in pipeline.steps[:-1]])
    check_loadable(pipeline, instantiate(cfg.features))
    check_duplicates_choice(cfg.data.get("duplicates", "raise"))
    if cfg.get("register") is not None:
        check_name(str(cfg.register))
    known = without_probabilities(pipeline).get_params()  # as the curves are drawn
    for parameter in build.evaluation_settings(cfg).validation:
        if parameter not in known:
            raise SerError(
                f"model.validation_curve names {parameter.replace('__', '.')}, which the model "
                "has not. Mend it, or set curves=none or curves=learning."
            )
    check_place(cfg.tracking.uri)


def check_clips(cfg: DictConfig, data: Dataset, split: Split) -> None:
    """Refuse clips with which the config's protocol, scaler or model cannot do.

    Parameters
    ----------
    cfg : DictConfig
        Of ``conf/train.yaml``.
    data : Dataset
        Without features.
    split : Split

    Raises
    ------
    SerError
        See `plan`, `try_model` and `SpeakerScaler.check`.
    """
    pipeline, by_speaker = build.model_pipeline(cfg)
    if by_speaker is not None:
        if not speakers_known(data.clips):
            raise SerError(
                "scaler=speaker needs to know who speaks, and nobody does (data.speaker=null). "
                "Take another scaler."
            )
        by_speaker.check(data.groups)
    planned = plan(data, split, build.evaluation_settings(cfg))
    try_model(pipeline, data, planned, build.shape_of_features(cfg))


def check_place(uri: str) -> None:
    """Refuse a tracking URI whose folders, or the one for temporary files, are full or read-only.

    Raises
    ------
    SerError
    """
    if problem := _problem(Path(tempfile.gettempdir())):
        raise SerError(f"{problem}. Make room there, or set TMPDIR to another folder.")
    if file := sqlite_file(uri):
        for place in (file.parent / ARTIFACTS, file.parent):
            if problem := _problem(place):
                raise unusable(uri, OSError(problem))


def _check_clock() -> None:
    """Refuse a clock before 1980: a model is kept as a ZIP archive, which knows no such date."""
    now = time.time()
    if now < EARLIEST:
        raise SerError(
            f"This machine's clock says {datetime.fromtimestamp(now):%Y-%m-%d}, and no model can "
            "be kept with a date before 1980. Set the clock, as by: timedatectl set-ntp true."
        )


def _problem(place: Path) -> str:
    """Why a folder, or where it will be made, cannot take what a run keeps; empty where it can."""
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return f"{there} cannot be written"
    free = shutil.disk_usage(there).free
    if free < ROOM:
        return f"{there} has {free / 1e6:.1f} MB free, and a run needs {ROOM / 1e6:.0f} MB"
    return ""
