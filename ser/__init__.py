"""Experiment-tracked speech emotion recognition with Hydra, scikit-learn and MLflow."""

__version__ = "0.1.0"
