"""``python -m ser.register RUN NAME``: put a run's model in the registry, under an alias.

From then on ``models:/NAME@champion`` is the model, for `ser.predict`, for MLflow's server and for
the app; its model card is the version's description.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ser.errors import SerError

ALIAS = "champion"


def main() -> None:
    """Entry point of ``python -m ser.register`` and of the console script ``ser-register``."""
    parser = argparse.ArgumentParser(prog="ser.register", description=__doc__.splitlines()[0])
    parser.add_argument("run", metavar="RUN", help="run id, its first characters, or 'latest'")
    parser.add_argument("name", metavar="NAME", help="of the model in the registry")
    parser.add_argument("--alias", default=ALIAS, help="default: %(default)s")
    parser.add_argument("--experiment", help="MLflow experiment to look in (default: all)")
    parser.add_argument("--uri", help="MLflow tracking URI; by default where ser.train logs")
    given = parser.parse_args()
    try:
        print(register(given.run, given.name, given.alias, given.experiment, given.uri))
    except SerError as error:
        sys.exit(str(error))


def register(
    wanted: str,
    name: str,
    alias: str = ALIAS,
    experiment: str | None = None,
    uri: str | None = None,
) -> str:
    """Register a finished run's model.

    Parameters
    ----------
    wanted : str
        Run id, its first characters, or ``latest``.
    name, alias : str
        Of the model in the registry.
    experiment : str or None
        MLflow experiment to look in; all unless given.
    uri : str or None
        MLflow's tracking URI.

    Returns
    -------
    str
        What the terminal shows.

    Raises
    ------
    SerError
        If there is no such run, it has no model or no card, or the name is not taken.
    """
    from ser import logged_runs, project, tracking
    from ser.models import CARD

    uri = uri or project.tracking_uri()
    run = logged_runs.find_run(uri, wanted, experiment, with_model=True)
    with TemporaryDirectory() as folder:
        run.download(folder)
        card = Path(folder, CARD)
        if not card.exists():
            raise SerError(
                f"Run {run.id} ({run.name}) has no model card: it was made by an older ser, or "
                "evaluates no model. Train it again."
            )
        text = card.read_text(encoding="utf-8")
    return tracking.register(uri, run.id, name, alias, text)


if __name__ == "__main__":
    main()
