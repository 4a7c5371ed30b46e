"""The research log: runs, models and the registry in MLflow."""
