"""``python -m ser.register RUN NAME``: put a run's model in the registry, under an alias.

From then on ``models:/NAME@champion`` is the model, for `ser.predict`, for MLflow's server and for
the app; its model card is the version's description.
"""

from __future__ import annotations

import argparse

from ser.core import streams


@streams.command
def main() -> None:
    """Entry point of ``python -m ser.register`` and of the console script ``ser-register``."""
    parser = argparse.ArgumentParser(
        prog="python -m ser.register", description=__doc__.splitlines()[0]
    )
    parser.add_argument("run", metavar="RUN", help="run id, its first characters, or 'latest'")
    parser.add_argument("name", metavar="NAME", help="of the model in the registry")
    parser.add_argument("--alias", default="champion", help="default: %(default)s")
    parser.add_argument("--experiment", help="MLflow experiment to look in (default: all)")
    parser.add_argument("--uri", help="MLflow tracking URI; by default where ser.train logs")
    given = parser.parse_args()
    from ser.core import paths
    from ser.tracking.registry import register

    uri = given.uri or paths.tracking_uri()
    print(register(given.run, given.name, given.alias, uri=uri, experiment=given.experiment))


if __name__ == "__main__":
    main()
