"""The searches of this study as best-so-far against CPU seconds."""

from dataclasses import dataclass

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from ser.core.paths import PROJECT

JOURNAL = PROJECT / "mlruns" / "optuna_vs_grid.journal"


@dataclass(frozen=True)
class Grid:
    """The 360 combinations of the tutorial's grid.

    Adam has no use for `learning_rate` and sgd none for `epsilon`: 180 of the 360 are twins of
    others. Each pair was fitted once here and is counted twice, as a grid search fits both.
    """

    cpu_seconds: np.ndarray  # of every combination
    accuracy: np.ndarray

    @property
    def cost(self) -> float:
        return float(self.cpu_seconds.sum())

    @property
    def best(self) -> float:
        return float(self.accuracy.max())


@dataclass(frozen=True)
class Search:
    """Trials in the order they ran; a pruned one counts with its cost, and is never the best."""

    cpu_seconds: np.ndarray  # so far, at the end of each trial
    best: np.ndarray  # so far; nan before the first that went through all folds
    n_pruned: int

    def reaches(self, accuracy: float) -> float:
        """CPU seconds until the best is at least this; infinite if it never is."""
        there = np.flatnonzero(self.best >= accuracy)
        return float(self.cpu_seconds[there[0]]) if len(there) else float("inf")

    def at(self, cpu_seconds: float) -> float:
        """Best of the trials that had ended by then; nan if it had none, or was stopped before."""
        if self.cpu_seconds[-1] < 0.99 * cpu_seconds:
            return float("nan")
        ended = np.flatnonzero(self.cpu_seconds <= cpu_seconds)
        return float(self.best[ended[-1]]) if len(ended) else float("nan")


def exists(study: str) -> bool:
    return JOURNAL.exists() and study in optuna.get_all_study_names(_storage())


def _storage() -> JournalStorage:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return JournalStorage(JournalFileBackend(str(JOURNAL)))


def _trials(study: str) -> list[optuna.trial.FrozenTrial]:
    trials = optuna.load_study(study_name=study, storage=_storage()).trials
    return [trial for trial in trials if trial.state.is_finished() and trial.value is not None]


def grid() -> Grid:
    single = {str(sorted(trial.params.items())): trial for trial in _trials("grid")}
    assert len(single) == 180, f"The grid has {len(single)} of 180 combinations: run run.py."
    seconds = [trial.user_attrs["cpu_seconds"] for trial in single.values()]
    accuracy = [trial.value for trial in single.values()]
    return Grid(np.repeat(seconds, 2), np.repeat(accuracy, 2))


def search(study: str) -> Search:
    trials = _trials(study)
    values = [np.nan if t.user_attrs["pruned"] else t.value for t in trials]
    seconds = [t.user_attrs["cpu_seconds"] for t in trials]
    return Search(np.cumsum(seconds), np.fmax.accumulate(values), sum(np.isnan(values).astype(int)))
