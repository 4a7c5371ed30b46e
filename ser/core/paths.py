"""Where the project's things lie: configs, data, runs."""

from __future__ import annotations

import os
from pathlib import Path

from omegaconf import OmegaConf

PACKAGE = Path(__file__).resolve().parents[1]
_IN_CHECKOUT = (PACKAGE.parent / "conf").is_dir()

# A wheel carries conf/ inside the package; a checkout has it beside the package.
CONF = PACKAGE.parent / "conf" if _IN_CHECKOUT else PACKAGE / "conf"
# Where data/ and mlruns/ lie unless told otherwise: in the checkout, or in the working folder.
PROJECT = PACKAGE.parent if _IN_CHECKOUT else Path.cwd()


def register_resolvers() -> None:
    """Let configs write ``${project:data}`` for a path in the project's folder."""
    OmegaConf.register_new_resolver(
        "project", lambda path: str(PROJECT / path), use_cache=False, replace=True
    )


def feature_store() -> Path:
    """The feature store where no config says it: the environment's, or the project's own."""
    return Path(os.environ.get("SER_STORE", PROJECT / "data" / "features.sqlite"))


def tracking_uri() -> str:
    """MLflow's tracking URI where no config says it: the environment's, or the project's own."""
    own = f"sqlite:///{PROJECT / 'mlruns' / 'mlflow.db'}"
    return os.environ.get("MLFLOW_TRACKING_URI", own)
