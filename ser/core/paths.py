"""Where the project's things lie: configs, data, runs."""

from __future__ import annotations

import os
from contextlib import suppress
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from omegaconf import OmegaConf

PACKAGE = Path(__file__).resolve().parents[1]
# A wheel carries conf/ inside the package; a checkout has it beside the package.
_IN_CHECKOUT = not (PACKAGE / "conf").is_dir()
CONF = PACKAGE.parent / "conf" if _IN_CHECKOUT else PACKAGE / "conf"
# Where data/ and mlruns/ lie: told by SER_HOME, or the checkout, or else the working folder.
PROJECT = PACKAGE.parent if _IN_CHECKOUT else Path.cwd()
if _home := os.environ.get("SER_HOME"):
    PROJECT = Path(_home).expanduser().absolute()


def register_resolvers() -> None:
    """Let configs write ``${project:data}``, a path in the project's folder, and others such."""
    for name, resolve in (
        ("project", lambda path: str(PROJECT / path)),
        ("default", lambda name: str(DEFAULTS[name]())),
        ("called", called),
    ):
        OmegaConf.register_new_resolver(name, resolve, use_cache=False, replace=True)


def called(path: str | None, otherwise: str) -> str:
    """What a table or a folder is called, without what its name ends in.

    >>> called("calls/2024.csv", "table"), called(None, "table")
    ('2024', 'table')
    """
    place = Path(path or "").absolute()
    return ((place.name if place.is_dir() else place.stem) if path else "") or otherwise


def feature_store() -> Path:
    """The feature store where no config says it: the environment's, or the project's own."""
    return Path(os.environ.get("SER_STORE", PROJECT / "data" / "features.sqlite"))


def tracking_uri() -> str:
    """MLflow's tracking URI where no config says it: the environment's, or the project's own."""
    own = f"sqlite:///{(PROJECT / 'mlruns' / 'mlflow.db').as_posix()}"
    return os.environ.get("MLFLOW_TRACKING_URI", own)


def path_of(uri: str) -> str:
    """A file's URI as a path of this system; any other URI as it is.

    >>> path_of("file:///data/a%20b"), path_of("s3://bucket/a")
    ('/data/a b', 's3://bucket/a')
    """
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return uri
    from urllib.request import url2pathname  # with half of the web

    return url2pathname(f"//{parts.netloc}{parts.path}" if parts.netloc else parts.path)


# What configs call ``${default:feature_store}`` and so on.
DEFAULTS = {function.__name__: function for function in (feature_store, tracking_uri)}


def meant_instead(path: Path) -> str:
    """The question whether the neighbour of a path that is not there was meant, or nothing.

    Examples
    --------
    >>> meant_instead(Path("/etc/hostz"))
    ' Did you mean hosts?'
    """
    with suppress(OSError):
        names = [file.name for file in islice(path.parent.iterdir(), 1000)]
        if close := get_close_matches(path.name, names, n=1, cutoff=0.75):
            return f" Did you mean {close[0]}?"
    return ""
