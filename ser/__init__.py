"""Experiment-tracked speech emotion recognition: Hydra configs, scikit-learn models, MLflow runs."""

__version__ = "0.1.0"
