"""Optuna studies that survive: where they are kept, how they go on, what a dead worker leaves."""

from __future__ import annotations

import re
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from stat import S_ISREG

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import (
    BaseStorage,
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
)
from optuna.study import Study, StudyDirection
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from ser.core.errors import SerError
from ser.core.locks import locked, told, try_locked, writers
from ser.core.redact import without_secrets
from ser.tracking.database import sqlite_file
from ser.tune.journal import check_journal, open_journal
from ser.tune.question import differences

HEARTBEAT = 30
START = "start"  # lock of whoever looks for dead workers
WRITING = ".writing"  # lock of whoever writes into the journal
_WORKER_FILE = re.compile("[0-9a-f]{32}")
ATTEMPTS = 10  # to make a database's tables while other workers do
# What databases say of a table or a row that another worker has just made.
_MADE_MEANWHILE = ("already exists", "unique", "duplicate")
QUESTION = "question"  # user attribute of a study: what its trials are scored on
WORKER = "worker"  # user attribute of a trial: whose it is


@dataclass(frozen=True)
class Worker:
    """A process on a study.

    Attributes
    ----------
    id : str
        Goes into the user attribute `WORKER` of every trial that it runs.
    number : int
        Workers that have been on the study before it.
    """

    id: str
    number: int


@contextmanager
def open_study(
    storage: str,
    name: str,
    *,
    question: Mapping[str, object],
    higher_is_better: bool = True,
    heartbeat: int = HEARTBEAT,
) -> Iterator[tuple[Study, Worker]]:
    """Open a study, or make it; retry what workers that died have left running.

    A journal file has no heartbeat. Each worker holds a lock on a file of its own for as long as it
    lives, and the system releases it however the worker ends: a running trial whose worker's lock
    is free is marked failed and put in line again.

    Parameters
    ----------
    storage : str
        Path of a journal file, made where it is missing, or the URL of a database.
    name : str
        Of the study.
    question : mapping of str to object
        What its trials are scored on (`question.question_of`): a new study keeps it, another one
        must have it.
    higher_is_better : bool
        Of the values of a new study.
    heartbeat : int
        Seconds between a worker's signs of life in a database; a trial without two is retried.

    Yields
    ------
    study : optuna.Study
    worker : Worker

    Raises
    ------
    SerError
        If the storage cannot be opened, or the study asks another question or does not say which.
    """
    new = partial(_create, name=name, higher_is_better=higher_is_better, question=question)
    with ExitStack() as held:
        held.callback(optuna.logging.set_verbosity, optuna.logging.get_verbosity())
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # a failed trial is in the log as such
        if "://" in storage:
            study = new(_database(storage, heartbeat), where=storage)
            yield study, _sign_in(study, uuid.uuid4().hex)
        else:
            yield _from_journal(Path(storage), new, held)


def _from_journal(
    journal: Path, new: Callable[..., Study], held: ExitStack
) -> tuple[Study, Worker]:
    """The study in a journal file and this worker on it, whose lock is held until the end."""
    workers = journal.with_name(f"{journal.name}.workers")
    own = workers / uuid.uuid4().hex
    try:
        check_journal(journal)
        workers.mkdir(parents=True, exist_ok=True)
        # One worker at a time looks for dead ones.
        with locked(workers / START, f"the study's journal {journal}"):
            alive = _living(workers)
            held.callback(own.unlink, missing_ok=True)
            held.enter_context(try_locked(own))
            storage = open_journal(journal, workers / WRITING)
            study = new(storage, where=str(journal))
            _retry_trials_of_the_dead(study, alive)
            return study, _sign_in(study, own.name)
    except OSError as error:
        raise SerError(
            f"The study's journal {journal} cannot be used: {error.strerror}. Give another "
            "place with tuner.storage=FILE, or the URL of a database."
        ) from error


def _sign_in(study: Study, worker: str) -> Worker:
    """Write the worker down in the study, and count those before it."""
    study.set_user_attr(f"worker {worker}", time.time())
    signed = {k: v for k, v in study.user_attrs.items() if k.startswith("worker ")}
    order = sorted(signed, key=lambda key: (signed[key], key))
    return Worker(worker, order.index(f"worker {worker}"))


def _create(
    storage: BaseStorage,
    *,
    name: str,
    higher_is_better: bool,
    question: Mapping[str, object],
    where: str,
) -> Study:
    """The study, made where it is missing; refused where its question is another, or not known."""
    direction = StudyDirection.MAXIMIZE if higher_is_better else StudyDirection.MINIMIZE
    the_study = f"The study {name!r} in {where}"
    try:
        study = optuna.create_study(
            study_name=name, storage=storage, direction=direction, load_if_exists=True
        )
    except (ValueError, KeyError) as error:
        raise SerError(f"{the_study} cannot be read: {error}.") from error
    # In this order: another worker that has just made the study asks before it tries anything.
    has_trials = bool(study.get_trials(deepcopy=False))
    kept = study.user_attrs.get(QUESTION)
    remedy = "Give tuner.study another name, or none: it then depends on what is asked."
    if kept is None and has_trials:
        raise SerError(
            f"{the_study} does not say what its trials were scored on (an older ser made it): "
            f"they cannot be shown to be comparable with this command's. {remedy}"
        )
    if kept is None:
        study.set_user_attr(QUESTION, dict(question))
    elif kept != question:
        raise SerError(
            f"{the_study} asks another question: {differences(kept, question)}. Its scores cannot "
            f"stand beside this command's. {remedy}"
        )
    return study


def _database(url: str, heartbeat: int) -> RDBStorage:
    file = sqlite_file(url)

    def what() -> str:
        why = writers(file) if file else "it does not answer, within its driver's limit: is it up?"
        return f"the database {without_secrets(url)}: {why}"

    try:
        with warnings.catch_warnings(), told(what):
            warnings.simplefilter("ignore", ExperimentalWarning)  # of Optuna, about itself
            return _made(url, heartbeat)
    except RuntimeError as error:  # tables of the same name, of something else
        raise SerError(
            f"The study's database {url} is not Optuna's, or of another Optuna "
            f"({error}). Studies need a database of their own, apart from MLflow's: CREATE "
            "DATABASE studies, and name it by tuner.storage."
        ) from error
    except Exception as error:  # every driver has its own
        raise SerError(f"The study's database {url} cannot be used: {error}") from error


def _made(url: str, heartbeat: int) -> RDBStorage:
    """The storage, whose tables many workers may make at once: Optuna lets all but one fail."""
    attempts = 0
    while True:
        try:
            return RDBStorage(
                url,
                engine_kwargs={"pool_pre_ping": True},
                heartbeat_interval=heartbeat,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=3),
            )
        except SQLAlchemyError as error:
            attempts += 1
            meanwhile = any(words in str(error).lower() for words in _MADE_MEANWHILE)
            if not meanwhile or attempts == ATTEMPTS:
                raise
            time.sleep(0.1 * attempts)


def _living(workers: Path) -> set[str]:
    """Workers whose lock is held; the files of the others are removed, and nothing else is."""
    alive = set()
    for file in workers.iterdir():
        if not _is_of_worker(file):
            continue
        with try_locked(file) as is_free:
            if not is_free:
                alive.add(file.name)
                continue
        file.unlink(missing_ok=True)
    return alive


def _is_of_worker(file: Path) -> bool:
    """Whether a file is a worker's lock, which is empty, and not a user's file of such a name."""
    try:
        status = file.lstat()
    except OSError:  # a worker that has just ended
        return False
    is_empty = S_ISREG(status.st_mode) and not status.st_size
    return is_empty and _WORKER_FILE.fullmatch(file.name) is not None


def _retry_trials_of_the_dead(study: Study, alive: set[str]) -> None:
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.user_attrs.get(WORKER) in alive:
            continue
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params, user_attrs={"retry_of": trial.number})
