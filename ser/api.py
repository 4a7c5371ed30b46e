"""The Python API: what the commands do, one function at a time.

>>> import ser
>>> data = ser.extract(ser.load("demo", speakers=4), n_jobs=1)
>>> evaluation = ser.evaluate(ser.make_pipeline("svm"), data, ser.split(data, "loso"), n_jobs=1)
>>> run = ser.track(evaluation)
>>> 0.125 < run.metrics["test_uar"] < 1
True

Every name of a corpus, a feature set, a model, a scaler or a protocol is a choice of the groups in
``conf/``; ``python -m ser.train --help`` lists them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.utils import instantiate

from ser.core import paths
from ser.core.errors import SerError
from ser.core.experiment import Experiment, composed_choices, plain_errors, set_keys
from ser.core.experiment import compose as compose_config
from ser.data.dataset import Dataset
from ser.data.duplicates import check_copies
from ser.data.folds import Split
from ser.data.names import relabelled
from ser.evaluation.plan import Settings
from ser.evaluation.protocol import Evaluation
from ser.evaluation.protocol import evaluate as evaluate_protocol
from ser.features import FeatureSet
from ser.train import build

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from ser.tracking.queries import LoggedRun
    from ser.tracking.registry import Model
    from ser.train.run import Outcome
    from ser.tune.search import SearchResult

_CONFIGS = ("train", "tune", "explore")


def load(
    corpus: str,
    root: str | Path | None = None,
    *,
    labels: Mapping[str, str | None] | None = None,
    download: bool = False,
    **settings: object,
) -> Dataset:
    """The clips of a corpus and what is known of each.

    Parameters
    ----------
    corpus : str
        A choice of ``conf/data``: ``ravdess``, ``emodb``, ``demo``, ``table``, ...
    root : path, optional
        Where it lies (of ``table``, the file); by default where the commands look for it.
    labels : mapping of str to str or None, optional
        Emotion -> another word for it; None leaves its clips out.
    download : bool
        Whether a corpus that can be fetched is, where it is not there.
    **settings : object
        Other keys of its YAML: ``speakers=4`` of the demo corpus, ``duplicates="drop"``.

    Raises
    ------
    SerError
        If there is no such corpus, setting or emotion, or it is not where it should be.

    Examples
    --------
    >>> data = load("demo", speakers=4, labels={"calm": "neutral", "surprised": None})
    >>> len(data), data.emotions[:3]
    (208, ('angry', 'disgust', 'fearful'))
    """
    cfg = composed_choices(f"data={corpus}").data
    if root is not None:
        settings["table" if "table" in cfg else "root"] = str(root)
    if download or "download" in cfg:
        settings["download"] = download
    if labels is not None and cfg.get("labels", {}) is None:  # a table's emotions are words already
        settings["labels"], labels = dict(labels), None
    set_keys(cfg, settings, f"data={corpus}")
    with plain_errors():
        clips = instantiate(cfg.corpus)
    clips = clips if labels is None else relabelled(clips, labels)
    return Dataset(clips, corpus=cfg.name, duplicates=cfg.get("duplicates", "raise"))


def extract(
    data: Dataset,
    features: str | FeatureSet = "notebook",
    *,
    store: str | Path | None = None,
    augmentation: str | None = None,
    n_jobs: int = -1,
) -> Dataset:
    """The data set with features of every clip: from the store, and what is missing from audio.

    Parameters
    ----------
    data : Dataset
        Clips of several sampling rates are resampled to the lowest, if the features' `sr` is None.
    features : str or FeatureSet
        A choice of ``conf/features``, or a feature set (`ser.features`).
    store : path, optional
        SQLite file that keeps the features; by default the commands' own.
    augmentation : str, optional
        A choice of ``conf/augmentation``: altered copies, which training clips learn from.
    n_jobs : int
        Workers on this machine; -1 for one per core.

    Returns
    -------
    Dataset
        Its `X` is (n_clips, n_features) float32, or (n_clips, 1 + n_copies, n_features).

    Raises
    ------
    SerError
        If there is no such choice, a clip cannot be read, or the store cannot be used.
    """
    overrides = [f"features={features}"] if isinstance(features, str) else []
    cfg = composed_choices(*overrides, *([f"augmentation={augmentation}"] if augmentation else []))
    with plain_errors():
        feature_set = instantiate(cfg.features) if isinstance(features, str) else features
    return build.extract_features(
        data,
        feature_set,
        instantiate(cfg.augmentation),
        store=store or paths.feature_store(),
        n_jobs=n_jobs,
    )[0]


def split(data: Dataset, protocol: str = "loso", **settings: object) -> Split:
    """Which clips train and which test.

    Parameters
    ----------
    data : Dataset
    protocol : str
        A choice of ``conf/split``: ``random``, ``speaker``, ``loso``, ...
    **settings : object
        Keys of its YAML: ``test_size=0.25``, ``seed=1``.

    Raises
    ------
    SerError
        If there is no such choice or setting, or it does not fit the clips.

    Examples
    --------
    >>> protocol = split(load("demo", speakers=4), "loso")
    >>> len(protocol.folds), str(protocol)
    (4, 'test actors never heard')
    """
    cfg = composed_choices(f"split={protocol}").split
    set_keys(cfg, settings, f"split={protocol}")
    with plain_errors():
        made = instantiate(cfg, data.clips)
    return replace(made, name=protocol, n_clips=len(data))


def make_pipeline(
    model: str = "svm", *, scaler: str = "standard", seed: int = 69, **parameters: object
) -> Pipeline:
    """A scikit-learn Pipeline, not fitted: scaler, what the model's YAML names, classifier.

    Parameters
    ----------
    model : str
        A choice of ``conf/model``.
    scaler : str
        A choice of ``conf/scaler``, but for ``speaker``, which stands before the Pipeline.
    seed : int
        Of everything in it that draws.
    **parameters : object
        Of the classifier: ``C=3``.

    Raises
    ------
    SerError
        If there is no such choice or parameter.

    Examples
    --------
    >>> [name for name, _ in make_pipeline("svm", C=3).steps]
    ['scaler', 'classifier']
    """
    cfg = composed_choices(f"model={model}", f"scaler={scaler}", f"seed={seed}")
    set_keys(cfg.model.classifier, parameters, f"model={model}")
    with plain_errors():
        pipeline, by_speaker = build.model_pipeline(cfg)
    if by_speaker is not None:
        raise SerError(
            "scaler='speaker' is transductive and stands before the Pipeline: "
            "ser.compose('scaler=speaker', ...).run() evaluates such a model."
        )
    return pipeline


def evaluate(
    pipeline: Pipeline,
    data: Dataset,
    split: Split,
    *,
    n_splits: int | None = None,
    seed: int = 69,
    n_jobs: int = -1,
) -> Evaluation:
    """Fit and test the pipeline on every fold; cross-validate the training part of a single one.

    Parameters
    ----------
    pipeline : Pipeline
        Not fitted.
    data : Dataset
        With features.
    split : Split
    n_splits, seed : int
        Folds of the cross-validation (by default ten, or as many as the clips allow), and the seed
        by which they are drawn.
    n_jobs : int
        Workers on this machine; -1 for one per core.

    Returns
    -------
    Evaluation
        `metrics`, `predictions` (a table of every held-out clip), the fitted `pipeline`, ...

    Raises
    ------
    SerError
        If there are too few clips or actors for the folds, the split is of other clips, or parts
        clips with the same sound.
    """
    check_copies(data, split)
    settings = Settings(n_splits=n_splits, seed=seed, n_jobs=n_jobs)
    return evaluate_protocol(pipeline, data, split, settings)


def track(
    evaluation: Evaluation,
    *,
    uri: str | None = None,
    experiment: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> LoggedRun:
    """Log an evaluation as an MLflow run: numbers, predictions, pictures, model card and model.

    Parameters
    ----------
    evaluation : Evaluation
    uri : str, optional
        MLflow's tracking URI; by default where the commands log. Nothing of the process is set.
    experiment : str, optional
        MLflow experiment; by default the corpus's name.
    tags : mapping of str to str, optional

    Raises
    ------
    SerError
        If the log cannot be made, reached or written, or the model could not be loaded again.
    """
    from ser.train.log import track_evaluation

    return track_evaluation(
        evaluation,
        uri=uri or paths.tracking_uri(),
        experiment=experiment or evaluation.data.corpus or "ser",
        tags={"command": f"python {Path(sys.argv[0]).name}".strip(), **(tags or {})},
    )


def compose(
    *overrides: str, config: str = "train", config_dir: str | Path | None = None
) -> Experiment:
    """The experiment of a command line; its `run()` does here what the command does.

    Parameters
    ----------
    *overrides : str
        As on the command line: ``"model=svm"``, ``"split=loso"``.
    config : {"train", "tune", "explore"}
    config_dir : path, optional
        One more folder of configs.

    Raises
    ------
    SerError
        If there is no such choice or key.

    Examples
    --------
    >>> compose("model=svm", "model.classifier.C=3").cfg.model.classifier.C
    3
    """
    if config not in _CONFIGS:
        raise SerError(f"config={config!r} is none of {', '.join(_CONFIGS)}.")
    return compose_config(overrides, config=config, config_dir=config_dir)


def search(experiment: Experiment, *, n_trials: int, storage: str | None = None) -> SearchResult:
    """Tune an experiment's model with Optuna on its training clips; test the best once.

    Parameters
    ----------
    experiment : Experiment
        Of `compose`; its split has one fold, or ``tuner.nested=true``.
    n_trials : int
        Trials of this call; a study that is there already goes on.
    storage : str, optional
        Journal file or database URL of the study; by default the commands' own.

    Returns
    -------
    SearchResult
        `best_params`, `trials` (a table), `metrics` of the test clips, `run_id`, `text`.

    Raises
    ------
    SerError
        If the data, the config or the storage is at fault, or no trial could be scored.
    """
    if experiment.config not in ("train", "tune"):
        raise SerError(f"An experiment of {experiment.config!r} has nothing to tune: 'train' has.")
    tuned = experiment.under("tune")
    tuned.cfg.tuner.n_trials = n_trials
    if storage is not None:
        tuned.cfg.tuner.storage = os.fspath(storage)
    return tuned.run()


def load_model(
    source: str | Path = "latest", *, uri: str | None = None, trust: Sequence[str] = ()
) -> Model:
    """A trained model: the way from a recording to the probability of each emotion.

    Parameters
    ----------
    source : str or Path
        A run's id or its first characters, ``latest``, or ``best`` (on RAVDESS, for speakers who
        are not known); ``models:/NAME@ALIAS``, ``runs:/ID/model``, or a folder that MLflow wrote.
    uri : str, optional
        MLflow's tracking URI; by default where the commands log.
    trust : sequence of str
        Packages outside of ser whose code the model may run (docs/security.md).

    Returns
    -------
    Model
        Its ``predict(recordings)`` returns a table.

    Raises
    ------
    SerError
        If there is none, or it needs code that is not trusted.
    """
    from ser.tracking.registry import find_model

    return find_model(source, uri=uri, trust=trust)


def compare_runs(runs: Sequence[LoggedRun | Outcome], *, metric: str = "uar") -> pd.DataFrame:
    """Whether runs on the same test clips differ by more than luck: paired tests over actors.

    Parameters
    ----------
    runs : sequence of LoggedRun or Outcome
        Two or more, of `track` or `Experiment.run`.
    metric : str
        What each actor's clips are scored by: ``uar``, ``accuracy``, ...

    Returns
    -------
    DataFrame
        As `ser.evaluation.significance.paired_tests` has it.

    Raises
    ------
    SerError
        If they differ in split, test clips, emotions or folds, or one alone is transductive.
    """
    from ser.evaluation.significance import check_comparable, paired_tests, scores_by_actor

    logged = [run.logged if hasattr(run, "logged") else run for run in runs]
    named = {f"{run.name} {run.id[:6]}": run for run in logged}
    predictions = {name: run.test_predictions() for name, run in named.items()}
    check_comparable(predictions, {name: run.tags for name, run in named.items()})
    return paired_tests(scores_by_actor(predictions, metric))
