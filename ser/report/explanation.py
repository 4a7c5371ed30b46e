"""What a model leans on and where it is most wrongly sure, as a page that plays the clips.

With ``explain=true`` a run gets `importance.permutation_importance` of its features, and
``explanation.html``: the errors on test clips that the model was surest of, each with its sound,
its mel spectrogram and the probability of every emotion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ser.data.audio import as_flac, read_audio
from ser.evaluation.breakdown import KNOWN
from ser.evaluation.importance import columns_by_name, permutation_importance
from ser.evaluation.plan import Settings
from ser.evaluation.protocol import Evaluation, progress
from ser.features.prosody import ProsodyFeatures
from ser.report.clip_views import views
from ser.report.html import data_uri, png, render
from ser.report.run_figures import headline
from ser.report.sound_figures import plot_mel_spectrograms
from ser.report.training_figures import plot_feature_importance

if TYPE_CHECKING:
    from ser.tracking.queries import LoggedRun
    from ser.tracking.run import Run

N_ERRORS = 12
PAGE = "explanation.html"


@dataclass(frozen=True)
class ShownError:
    """A test clip that the model got wrong, ready to be shown.

    Attributes
    ----------
    clip : str
        File name.
    about : str
        What is known of the clip.
    true, predicted : str
    probabilities : tuple of (str, float)
        Emotion and its probability in percent, the largest first.
    sound, picture : str
        Data URIs of the clip (FLAC) and of its mel spectrogram (PNG).
    """

    clip: str
    about: str
    true: str
    predicted: str
    probabilities: tuple[tuple[str, float], ...]
    sound: str
    picture: str


def log_explanation(run: Run, evaluation: Evaluation, settings: Settings) -> None:
    """Send a run the importance of its features, and the page of its most confident errors.

    Parameters
    ----------
    run : Run
    evaluation : Evaluation
        With its models (`Settings.keep_models`).
    settings : Settings
        Its seed and workers.
    """
    data, split = evaluation.data, evaluation.split
    total = len(split.folds) * (1 + len(columns_by_name(data.names)))
    with progress(total, "Importance", settings) as workers:
        table = permutation_importance(
            evaluation.models, data, split, seed=settings.seed, workers=workers
        )
    run.table(table, "feature_importance")
    test = evaluation.part("test")
    draw = partial(plot_feature_importance, table, about=headline(run.so_far(), len(test)))
    run.figure(draw, "feature_importance")
    with run.decoration(PAGE):
        rows = np.concatenate([fold.test for fold in split.folds])
        errors = confident_errors(test, data.clips["path"].iloc[rows].to_numpy())
        picture = png(draw())
        run.text(_render(run.so_far(), picture, table, errors), PAGE)


def confident_errors(test: pd.DataFrame, paths: np.ndarray) -> list[ShownError]:
    """The `N_ERRORS` wrong predictions with the largest probability, the surest first.

    Parameters
    ----------
    test : (n_test, ...) DataFrame
        Test rows of `evaluation.predictions_table`.
    paths : (n_test,) str
        Their audio files.
    """
    proba = test.filter(regex="^p_")
    sure = proba.max(axis=1).to_numpy()
    wrong = np.flatnonzero(test["true"].to_numpy() != test["predicted"].to_numpy())
    surest = wrong[np.argsort(-sure[wrong], kind="stable")][:N_ERRORS]
    return [_shown(test.iloc[row], proba.iloc[row], paths[row]) for row in surest]


def _shown(row: pd.Series, proba: pd.Series, path: str) -> ShownError:
    y, sr = read_audio(path)
    picture = plot_mel_spectrograms(views(y, sr, row["clip"], prosody=ProsodyFeatures()))
    by_size = proba.sort_values(ascending=False)
    return ShownError(
        clip=row["clip"],
        about=" · ".join(f"{key} {row[key]}" for key in KNOWN if key in row),
        true=row["true"],
        predicted=row["predicted"],
        probabilities=tuple((k.removeprefix("p_"), 100 * p) for k, p in by_size.items()),
        sound=data_uri(as_flac(y, sr), "audio/flac"),
        picture=png(picture),
    )


def _render(
    run: LoggedRun, importance: str, table: pd.DataFrame, errors: Sequence[ShownError]
) -> str:
    groups = table[table["kind"] == "group"]
    rows = [
        (
            f"{row.name} ({row.features})",
            *(f"{100 * v:.1f}" for v in (row.uar_lost, row.low, row.high)),
        )
        for row in groups.itertuples()
    ]
    return render("explanation.html", run=run, importance=importance, groups=rows, errors=errors)
