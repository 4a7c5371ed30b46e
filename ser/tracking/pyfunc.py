"""The model that MLflow logs and serves: the whole way from audio to probabilities.

MLflow stores this file as it is (models from code) beside the fitted pipeline, the settings of the
features and the package `ser`, so that a run is all that a prediction needs. Served, it takes
recordings in the request, as base64; paths only below the folder that the server's environment
names in `ROOT`, and none where it names none, as a path lets whoever asks read the server's files.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel, PythonModelContext

from ser.core.errors import SerError
from ser.core.printable import shown
from ser.data.audio import AudioError, probe
from ser.data.recordings import Recording
from ser.features import check_ready
from ser.models.predictions import Layout
from ser.models.trained import load_model, recorded_plugins
from ser.tracking.mlflow_compat import is_served, limit_server
from ser.tracking.origin import of_folder
from ser.tracking.serving import Limits

_log = logging.getLogger(__name__)

ROOT = "SER_SERVE_ROOT"  # environment variable: folder whose files a request may name
COLUMNS = ("audio_b64", "path", "speaker")
MAX_ROWS = 100  # of a request
MAX_BYTES = 12 * 2**20  # of a recording in a request
MAX_SAMPLES = 2**22  # of a recording, over all channels: 87 s at 48 kHz
MAX_REQUEST_SAMPLES = 2**24  # of all recordings of a request
LARGE = 2**20  # samples of a recording, of which one is at work at a time

_one_large = threading.Lock()


class TooLargeError(SerError):
    """A request that asks for more than is done for one."""


class TooLargeException(MlflowException):
    """An answer of status 413, for which MLflow has no code."""

    def get_http_status_code(self) -> int:
        """As the server asks it."""
        return 413


class EmotionModel(PythonModel):
    """Recordings -> emotion and probabilities."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the fitted pipeline and its features from the run's artifacts.

        Who serves a model, or loads it through MLflow, runs what it brings along already: so its
        plug-ins are trusted, as many as its record names (docs/security.md).
        """
        folder = Path(context.artifacts["pipeline"]).parent
        self.model = load_model(folder, trust=recorded_plugins(folder))
        check_ready(self.model.feature_set)  # at the start, not in answer to a request
        if known := of_folder(folder.parent):
            print(shown(known.said(len(self.model.emotions))), file=sys.stderr)
        if is_served():
            limit_server(Limits)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict | None = None
    ) -> pd.DataFrame:
        """Classify recordings.

        Parameters
        ----------
        model_input : (n_clips, ...) DataFrame
            With `audio_b64` (a recording's file in base64) or `path`. A transductive model also
            needs `speaker`, and several clips of each.

        Returns
        -------
        (n_clips, 3 + n_emotions) DataFrame
            `emotion`; `p_EMOTION` for each emotion, rows of which sum to 1; `unfamiliar`, whether a
            recording is unlike the training clips; `resampled_from`, its sampling rate in Hz where
            it was brought to the one of the training clips.

        Raises
        ------
        MlflowException
            With a reason, if the request is not what it should be, or a recording cannot be used:
            the server answers 400, or 413 where it is too large, and goes on.
        """
        try:
            recordings = _recordings(_as_table(model_input))
            with _one_large if _longest(recordings) > LARGE else nullcontext():
                batches = self.model.predict(recordings, n_jobs=1, max_samples=MAX_SAMPLES)
                predictions = [prediction for batch in batches for prediction in batch]
            for prediction in predictions:
                if prediction.error:
                    raise AudioError(prediction.name, prediction.error)
        except TooLargeError as error:
            raise TooLargeException.invalid_parameter_value(str(error)) from error
        except SerError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        except Exception as error:  # MLflow would send whoever asks a stack trace
            _log.exception("A request could not be answered.")
            reason = f"The request cannot be answered ({type(error).__name__})."
            raise MlflowException.invalid_parameter_value(reason) from error
        layout = Layout(self.model.emotions, windows=False, speakers=False)
        columns = [column for column in layout.columns if column not in ("clip", "error")]
        return pd.DataFrame(map(layout.row, predictions), columns=columns)


def _as_table(given: object) -> pd.DataFrame:
    """The request as a table, also where it came as ``inputs`` rather than ``dataframe_...``."""
    if isinstance(given, dict):
        columns = {key: np.atleast_1d(value) for key, value in given.items()}
        if len({len(column) for column in columns.values()}) > 1:
            raise SerError("The columns of the request are not of one length.")
        return pd.DataFrame(columns)
    if isinstance(given, list) and all(isinstance(row, dict) for row in given):
        return pd.DataFrame([{k: np.asarray(v).item() for k, v in row.items()} for row in given])
    if not isinstance(given, pd.DataFrame):
        raise SerError(f"A request is a table with audio_b64 or path, not {type(given).__name__}.")
    return given


def _recordings(table: pd.DataFrame) -> list[Recording]:
    """Each row of a request as what is to be read, under the name that errors call it."""
    if unknown := [str(column) for column in table if column not in COLUMNS]:
        raise SerError(f"Unknown field {', '.join(unknown)}: give {', '.join(COLUMNS)}.")
    if ("audio_b64" in table) == ("path" in table):
        raise SerError("Give either audio_b64 or path.")
    if not len(table):
        raise SerError("The request has no rows.")
    if len(table) > MAX_ROWS:
        raise TooLargeError(f"The request has {len(table)} rows; at most {MAX_ROWS} are taken.")
    speakers = table.get("speaker", [None] * len(table))
    column = "path" if "path" in table else "audio_b64"
    recordings = []
    for row, (given, who) in enumerate(zip(table[column], speakers, strict=True)):
        name = str(given) if column == "path" else f"recording {row}"
        content = _allowed(given) if column == "path" else _decoded(given, name)
        recordings.append(Recording(name, content, None if who is None else str(who)))
    return recordings


def _longest(recordings: Sequence[Recording]) -> float:
    """Samples of the longest recording, by its header; what that does not tell, decoding will.

    Raises
    ------
    TooLargeError
        If one of them, or all together, are too long.
    """
    total, longest = 0.0, 0.0
    for recording in recordings:
        header = probe(recording.source)
        n_samples = float(np.nan_to_num(header.duration)) * header.sr * header.channels
        total, longest = total + n_samples, max(longest, n_samples)
        if n_samples > MAX_SAMPLES:
            raise TooLargeError(
                f"{recording.name} has {n_samples:.0f} samples; at most {MAX_SAMPLES} are taken. "
                "Cut it."
            )
    if total > MAX_REQUEST_SAMPLES:
        raise TooLargeError(
            f"The recordings have {total:.0f} samples; at most {MAX_REQUEST_SAMPLES} are taken of "
            "a request. Ask for fewer at once."
        )
    return longest


def _decoded(text: object, name: str) -> bytes:
    if not isinstance(text, str):
        raise SerError(f"{name}: audio_b64 is no text.")
    if len(text) > MAX_BYTES * 4 / 3:
        raise _too_many_bytes(name, len(text) * 3 // 4)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SerError(f"{name}: audio_b64 is not base64 ({error}).") from error


def _too_many_bytes(name: str, n_bytes: int) -> TooLargeError:
    return TooLargeError(
        f"{name} has {n_bytes} bytes; at most {MAX_BYTES} are taken. Cut it, or send it as FLAC, "
        "OGG or MP3."
    )


def _allowed(path: object) -> Path:
    """The path, if it is one that a request may name."""
    if not is_served():
        return Path(str(path))  # in a notebook or a script nobody else asks
    root = os.environ.get(ROOT)
    if root is None:
        raise SerError(
            f"This server reads no paths: send audio_b64, or set {ROOT}=FOLDER where it is started."
        )
    folder = Path(root).resolve()
    try:
        file = (folder / str(path)).resolve()  # links are followed first: they may lead out
        if not file.is_relative_to(folder):
            raise SerError(f"{path} is not below the folder that this server may read.")
        n_bytes = file.stat().st_size if file.is_file() else 0
    except (OSError, ValueError, RuntimeError) as error:  # a NUL, a name too long, links in a ring
        raise SerError(f"{path!r} is no path that can be read.") from error
    if n_bytes > MAX_BYTES:
        raise _too_many_bytes(str(path), n_bytes)
    return file


mlflow.models.set_model(EmotionModel())
