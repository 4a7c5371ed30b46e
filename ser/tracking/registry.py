"""Which trained model: a run's, the registry's or a folder's, and what it was fitted with."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ser.core.errors import SerError
from ser.models.trained import FEATURES_FILE, PIPELINE_FILE, TrainedModel, load_model

if TYPE_CHECKING:
    from ser.tracking.queries import LoggedRun

CARD = "model_card.md"
ALIAS = "champion"
REQUIREMENTS = "requirements.txt"  # written by MLflow beside the model
MATTERS = ("scikit-learn", "numpy", "scipy", "torch", "opensmile")  # to a prediction


@dataclass(frozen=True)
class FoundModel:
    """A model, and where it is from.

    Attributes
    ----------
    model : TrainedModel
    folder : Path
        What MLflow stores of it.
    name : str
        The run's name, or what the user called it.
    run : LoggedRun or None
        None for a folder's.
    """

    model: TrainedModel
    folder: Path
    name: str
    run: LoggedRun | None = None

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
        for name, _, wanted in (line.partition("==") for line in lines):
            if name not in MATTERS:
                continue
            try:
                here = version(name)
            except PackageNotFoundError:
                here = "not installed"
            if here != wanted:
                yield (
                    f"{self.name} was fitted with {name} {wanted}; here it is {here}. Predictions "
                    f"may differ: pip install {name}=={wanted}."
                )


def find_model(
    *,
    run: str = "latest",
    model: str | None = None,
    uri: str,
    experiment: str | None = None,
    best: Mapping[str, Any] | None = None,
    trust_all: bool = False,
) -> FoundModel:
    """The model of a run, of the registry, or of a folder.

    Parameters
    ----------
    run : str
        A run's id or its first characters, ``latest``, or ``best``.
    model : str, optional
        Instead of a run: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``runs:/ID/model`` or a
        folder that MLflow wrote.
    uri : str
        MLflow's tracking URI.
    experiment : str, optional
        Where to look for the run; everywhere unless given.
    best : mapping
        For ``run="best"``: metric, corpus, split and transductive (bool).
    trust_all : bool
        See `persistence.load_model`.

    Raises
    ------
    SerError
        If there is none, or it is not to be trusted.
    """
    logged = None
    if model is None:
        from ser.tracking import queries

        if run == "best" and best is not None:
            same = {key: best[key] for key in ("corpus", "split")}
            same["transductive"] = str(best["transductive"]).lower()
            logged = queries.best_run(uri, best["metric"], same)
        else:
            logged = queries.find_run(uri, run, experiment, with_model=True)
        name, folder = logged.name, queries.download_model(uri, f"runs:/{logged.id}/model")
    elif Path(model).is_dir():
        name, folder = model, Path(model)
    elif model.startswith(("models:/", "runs:/")):
        from ser.tracking import queries

        name, folder = model, queries.download_model(uri, model)
        logged = queries.run_of_model(folder, uri)
    else:
        raise SerError(
            f"model={model} is neither a folder nor models:/NAME@ALIAS nor runs:/ID/model."
        )
    return FoundModel(load_model(_files(folder), trust_all=trust_all), folder, name, logged)


def _files(folder: Path) -> Path:
    """Where in MLflow's folder of a model its own files are."""
    inside = folder / "artifacts"
    return inside if inside.is_dir() else folder


def register(
    wanted: str,
    name: str,
    alias: str = ALIAS,
    *,
    experiment: str | None = None,
    uri: str | None = None,
) -> str:
    """Put a finished run's model in MLflow's registry, under an alias.

    Parameters
    ----------
    wanted : str
        Run id, its first characters, or ``latest``.
    name, alias : str
        ``models:/NAME@ALIAS`` is the model from then on.
    experiment : str or None
        MLflow experiment to look in; all unless given.
    uri : str or None
        MLflow's tracking URI.

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

    from ser.core import paths
    from ser.tracking import queries
    from ser.tracking.client import connect

    uri = uri or paths.tracking_uri()
    run = queries.find_run(uri, wanted, experiment, with_model=True)
    with TemporaryDirectory() as folder:
        run.download(folder)
        card = Path(folder, CARD)
        if not card.exists():
            raise SerError(
                f"Run {run.id} ({run.name}) has no model card: it was made by an older ser, or "
                "evaluates no model. Train it again."
            )
        text = card.read_text(encoding="utf-8")
    client = connect(uri)
    try:
        with redirect_stderr(io.StringIO()):  # MLflow says there what is said below
            number = mlflow.register_model(f"runs:/{run.id}/model", name).version
        client.update_model_version(name, number, description=text)
        before = client.get_registered_model(name).aliases.get(alias)
        client.set_registered_model_alias(name, alias, number)  # last: it is whole by now
    except (OSError, mlflow.MlflowException) as error:
        raise SerError(f"Run {run.id} cannot be registered as {name}@{alias}: {error}") from error
    return f"models:/{name}@{alias} is version {number}" + (
        f", and was version {before}" if before else ""
    )
