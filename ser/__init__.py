"""Experiment-tracked speech emotion recognition with Hydra, scikit-learn and MLflow.

The functions below are the Python API (`ser.api`); the commands are ``python -m ser.train`` and
its like, which ``python -m ser`` lists.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ser.api import (
        compare_runs,
        compose,
        evaluate,
        extract,
        load,
        load_model,
        make_pipeline,
        search,
        split,
        track,
    )

__version__ = "0.2.0"

__all__ = [
    "compare_runs",
    "compose",
    "evaluate",
    "extract",
    "load",
    "load_model",
    "make_pipeline",
    "search",
    "split",
    "track",
]

# MLflow reads these when it is imported, which no module of ser does before this one. Nothing is
# sent to anybody, no bar is drawn for a copy, and its advice does not bury a run's own words.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")


if not TYPE_CHECKING:  # to whom a name that is not there shall be an error

    def __getattr__(name: str) -> Any:
        """The API's functions, imported when they are first used: ``import ser`` takes no time."""
        if name in __all__:
            return getattr(import_module("ser.api"), name)
        raise AttributeError(f"module 'ser' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
