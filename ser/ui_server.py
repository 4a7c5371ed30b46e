"""MLflow's server as it is, but for its garbage collector: the app that ``ser-ui`` serves."""

from __future__ import annotations

import gc
from typing import Any


def app() -> Any:
    """MLflow's own app, by its plugin for apps (entry point ``mlflow.app``).

    A table of a hundred runs is ten thousand objects, and Python's collector would go through all
    that MLflow has imported a dozen times while they are made: three quarters of the answer's time.
    """
    from mlflow.server.fastapi_app import app as served

    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    return served
