"""Experiment-tracked speech emotion recognition with Hydra, scikit-learn and MLflow."""

import os

__version__ = "0.1.0"

# MLflow reads these when it is imported, which no module of ser does before this one. Nothing is
# sent to anybody, no bar is drawn for a copy, and its advice does not bury a run's own words.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
