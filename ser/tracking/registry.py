"""Which trained model: a run's, the registry's or a folder's, and what it was fitted with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ser.core import paths
from ser.core.comparable import INDUCTIVE
from ser.core.errors import SerError
from ser.core.printable import shown
from ser.core.process import temporary_folder
from ser.data.recordings import Recording, Windows, find_recordings
from ser.models.known_answers import differing
from ser.models.predictions import Layout
from ser.models.trained import CARD, FEATURES_FILE, PIPELINE_FILE, TrainedModel, load_model
from ser.tracking.origin import Origin, of_folder, of_run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

    from ser.tracking.queries import LoggedRun

ALIAS = "champion"
VERSIONS = "mlflow.modelVersions"  # tag of a logged model: the UI links its versions by it
REQUIREMENTS = "requirements.txt"  # written by MLflow beside the model


@dataclass(frozen=True)
class Model:
    """A trained model, and where it is from.

    Attributes
    ----------
    trained : TrainedModel
    folder : Path
        What MLflow stores of it.
    name : str
        The run's name, or what the user called it.
    run : LoggedRun or None
        None for a folder's, and where the log does not have the run any more.
    """

    trained: TrainedModel
    folder: Path
    name: str
    run: LoggedRun | None = None

    def predict(
        self,
        recordings: str | Path | bytes | Sequence[str | Path | bytes],
        *,
        speakers: str | Sequence[str] | None = None,
        window: float | None = None,
        hop: float = 1.0,
        n_jobs: int = -1,
    ) -> pd.DataFrame:
        """Predict the emotion of recordings.

        Parameters
        ----------
        recordings : str, Path, bytes or a sequence of these
            Audio files, folders, globs, tables with a column `path`; or what audio files hold.
        speakers : str or sequence of str, optional
            For a transductive model: who speaks in each recording; or where to read it, a column of
            the table or ``folder`` for the name of a clip's folder.
        window, hop : float
            Seconds: cut each recording into windows this long, one every `hop`.
        n_jobs : int
            Workers on this machine; -1 for one per core.

        Returns
        -------
        DataFrame
            A row for each recording or window: `clip`; `speaker` where it is known; `start` and
            `end` in seconds, of windows; `emotion`; `p_EMOTION` for each emotion; `unfamiliar`,
            whether it is unlike the model's training clips; `resampled_from`, its sampling rate in
            Hz where it was brought to the model's; and `error`, which says why a recording cannot
            be used.

        Raises
        ------
        SerError
            If there is nothing to predict, or a transductive model is not told who speaks.
        """
        sources = [recordings] if isinstance(recordings, str | Path | bytes) else list(recordings)
        where = speakers if isinstance(speakers, str) else None
        wanted = find_recordings(sources, speaker=where)
        if speakers is not None and not isinstance(speakers, str):
            wanted = _with_speakers(wanted, speakers)
        windows = None if window is None else Windows(window, hop)
        layout = Layout(
            self.emotions,
            windows=windows is not None,
            speakers=any(recording.speaker is not None for recording in wanted),
        )
        batches = self.trained.predict(wanted, windows=windows, n_jobs=n_jobs)
        rows = [layout.row(prediction) for batch in batches for prediction in batch]
        return pd.DataFrame(rows, columns=list(layout.columns))

    @property
    def emotions(self) -> tuple[str, ...]:
        """Order of the probabilities."""
        return self.trained.emotions

    @property
    def origin(self) -> Origin | None:
        """Its run, corpus and score; None where neither the log nor the model has them."""
        return of_run(self.run) if self.run else of_folder(self.folder)

    @property
    def about(self) -> str:
        """Its run, corpus, protocol and score, in sentences."""
        if origin := self.origin:
            return origin.said(len(self.emotions))
        return f"Model {self.name}. It is not known how good it is: do not trust it."

    @property
    def card(self) -> str:
        """Its model card, in Markdown; empty where it has none."""
        file = _files(self.folder) / CARD
        return file.read_text(encoding="utf-8") if file.exists() else ""

    @property
    def digest(self) -> str:
        """Of the pipeline and its features: 16 hexadecimal digits."""
        digest = hashlib.blake2b(digest_size=8)
        for name in (PIPELINE_FILE, FEATURES_FILE):
            digest.update((_files(self.folder) / name).read_bytes())
        return digest.hexdigest()

    def differing_packages(self) -> Iterator[str]:
        """A sentence for each package that is here in another version than the model's."""
        file = self.folder / REQUIREMENTS
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        for package, wanted, here in differing(lines):
            yield (
                f"{self.name} was fitted with {package} {wanted}; here it is {here}. "
                f"Predictions may differ: pip install {package}=={wanted}."
            )


@dataclass(frozen=True)
class Best:
    """Which runs ``best`` is the best of: never across corpora and protocols.

    Attributes
    ----------
    metric : str
    highest : bool
        Whether more of it is better: of a loss or an error less is.
    corpus, split : str
    kind : str
        Of the numbers: see `ser.core.comparable`.
    """

    metric: str = "test_uar"
    highest: bool = True
    corpus: str = "ravdess"
    split: str = "loso"
    kind: str = INDUCTIVE


def find_model(
    source: str | Path = "latest",
    *,
    uri: str | None = None,
    experiment: str | None = None,
    best: Best = Best(),
    trust: Sequence[str] = (),
) -> Model:
    """The model of a run, of the registry, or of a folder.

    Parameters
    ----------
    source : str or Path
        A run's id or its first characters; ``latest``, the newest run with a model trained on
        people, if there is one; or ``best``; ``models:/NAME@ALIAS``,
        ``models:/NAME/VERSION`` or ``runs:/ID/model``; or a folder that MLflow wrote.
    uri : str, optional
        MLflow's tracking URI; by default where ser.train logs.
    experiment : str, optional
        Where to look for the run; everywhere unless given.
    best : Best
        What ``best`` means.
    trust : sequence of str
        Packages outside of ser whose code the model may run: see `ser.core.trust`.

    Raises
    ------
    SerError
        If there is none, or it needs code that is not trusted.
    """
    source, run = str(source), None
    if source not in ("latest", "best") and Path(source).is_dir():
        name, folder = source, Path(source)
    else:
        # A second of imports that a folder does not need.
        from ser.tracking.models import download_model
        from ser.tracking.queries import run_of_model

        uri = uri or paths.tracking_uri()
        if source.startswith(("models:/", "runs:/")):
            name, folder = source, download_model(uri, source)
            run = run_of_model(folder, uri)
        else:
            run = _find_run(source, uri, experiment, best)
            name, folder = run.name, download_model(uri, f"runs:/{run.id}/model")
    return Model(load_model(_files(folder), trust=trust), folder, name, run)


def _find_run(source: str, uri: str, experiment: str | None, best: Best) -> LoggedRun:
    from ser.tracking import queries

    if source == "best":
        tags = {"corpus": best.corpus, "split": best.split}
        return queries.best_run(uri, best.metric, tags, best.kind, highest=best.highest)
    if source != "latest" and not set(source.lower()) <= set("0123456789abcdef"):
        raise SerError(
            f"{source!r} names no model: give a run's id or its first characters, latest, best, "
            "models:/NAME@ALIAS, runs:/ID/model, or a model's folder."
        )
    return queries.find_run(uri, source, experiment, with_model=True)


def _with_speakers(recordings: Sequence[Recording], speakers: Sequence[str]) -> list[Recording]:
    if len(speakers) != len(recordings):
        raise SerError(f"{len(speakers)} speakers for {len(recordings)} recordings: give one each.")
    return [
        replace(recording, speaker=str(speaker))
        for recording, speaker in zip(recordings, speakers, strict=True)
    ]


def _files(folder: Path) -> Path:
    """Where in MLflow's folder of a model its own files are."""
    inside = folder / "artifacts"
    return inside if inside.is_dir() else folder


def register(
    wanted: str, name: str, alias: str = ALIAS, *, uri: str, experiment: str | None = None
) -> str:
    """Put a finished run's model in MLflow's registry, under an alias.

    Parameters
    ----------
    wanted : str
        Run id, its first characters, or ``latest``.
    name, alias : str
        ``models:/NAME@ALIAS`` is the model from then on.
    uri : str
        MLflow's tracking URI.
    experiment : str or None
        MLflow experiment to look in; all unless given.

    Returns
    -------
    str
        What happened, in a line.

    Raises
    ------
    SerError
        If there is no such run, it has no model or no card, or the name is not taken.
    """
    import mlflow

    from ser.tracking.client import connect
    from ser.tracking.models import model_of_run
    from ser.tracking.queries import find_run

    check_name(name)
    run = find_run(uri, wanted, experiment, with_model=True)
    card = _card_of(run)
    client = connect(uri)
    try:
        model = model_of_run(client, run.id)
        if model is None:
            raise SerError(f"Run {run.id} ({run.name}) has no model. Train it again.")
        number = _create_version(client, name, model)
        client.update_model_version(name, number, description=card)
        before = client.get_registered_model(name).aliases.get(alias)
        client.set_registered_model_alias(name, alias, number)  # last: it is whole by now
    except (OSError, mlflow.MlflowException) as error:
        raise SerError(f"Run {run.id} cannot be registered as {name}@{alias}: {error}") from error
    return f"models:/{shown(name)}@{shown(alias)} is version {number}" + (
        f", and was version {before}" if before else ""
    )


def check_name(name: str) -> None:
    """Refuse a name that a model cannot be registered under.

    Raises
    ------
    SerError
    """
    if not name.strip() or name.strip(".") == "" or set(name) & set("/:") or len(name) > 250:
        raise SerError(
            f"A model cannot be registered as {name!r}: give a name of 1 to 250 characters without "
            "/ and :."
        )


def _card_of(run: LoggedRun) -> str:
    """Model card of a run, in Markdown."""
    with temporary_folder() as folder:
        run.download(folder)
        card = Path(folder, CARD)
        if not card.exists():
            raise SerError(
                f"Run {run.id} ({run.name}) has no model card: it was made by an older ser, or "
                "evaluates no model. Train it again."
            )
        return card.read_text(encoding="utf-8")


def _create_version(client: MlflowClient, name: str, model: LoggedModel) -> str:
    """Make a registered model's next version of a logged model, and say so in the latter's tags."""
    import mlflow

    from ser.tracking.mlflow_compat import registering

    try:
        client.create_registered_model(name)
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    with registering(client.tracking_uri):
        version = client.create_model_version(
            name,
            f"models:/{model.model_id}",
            run_id=model.source_run_id,
            model_id=model.model_id,
        )
    versions = json.loads(model.tags.get(VERSIONS, "[]"))
    versions.append({"name": name, "version": version.version})
    client.set_logged_model_tags(model.model_id, {VERSIONS: json.dumps(versions)})
    return version.version
