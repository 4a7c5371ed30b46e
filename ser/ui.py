"""``ser-ui``: the MLflow UI on this project's runs, on this machine only."""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
from importlib.metadata import entry_points
from typing import Any

from ser.core import ports, streams
from ser.core.paths import tracking_uri

HOST = "127.0.0.1"


_EXAMPLES = """examples:
  ser-ui                              the runs that ser.train has logged
  ser-ui --port 5001 --uri sqlite:///elsewhere/mlflow.db

Other options go to MLflow's own command, which lists them: mlflow ui --help.
"""


@streams.command
def main() -> None:
    """Start the UI on this machine, in this process's place."""
    from ser.tracking.client import connect

    given, others = _parser().parse_known_args()
    uri = given.uri
    ports.check_free(given.host, given.port)
    connect(uri, mend=True)  # makes, migrates or mends a log on disk before the server opens it
    # Not as an argument: others see a command line, and a URI may have a password.
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "MLFLOW_BACKEND_STORE_URI": uri}
    # MLflow's job workers cost seven processes and do nothing for reading runs.
    environment.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    environment.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1"]
    if entry_points(group="mlflow.app", name="ser"):  # an installation may be older
        command += ["--app-name", "ser"]
    command += ["--host", given.host, "--port", given.port, *others]
    print(
        f"The runs will soon be on http://{given.host}:{given.port}  (Ctrl-C ends it)",
        flush=True,
    )
    if sys.platform == "win32":  # its execve comes back at once, and leaves the server behind
        sys.exit(subprocess.run(command, env=environment).returncode)
    os.execve(sys.executable, command, environment)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ser-ui",
        usage="ser-ui [options]",
        description="Browse the runs in MLflow's UI: it opens on the newest run's experiment, with "
        "each run's test UAR and its interval, cross-validation, split, features and seed.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "-p",
        "--port",
        default=os.environ.get("MLFLOW_PORT", "5000"),
        help="default: %(default)s, or the environment variable MLFLOW_PORT",
    )
    parser.add_argument("--host", default=HOST, help="default: %(default)s, this machine only")
    parser.add_argument(
        *("--uri", "--backend-store-uri"),
        default=tracking_uri(),
        help="MLflow tracking URI; by default where ser.train logs",
    )
    return parser


def app() -> Any:
    """MLflow's own app, by its plugin for apps (entry point ``mlflow.app``).

    A table of a hundred runs is ten thousand objects, and Python's collector would go through all
    that MLflow has imported a dozen times while they are made: three quarters of the answer's time.
    """
    from ser.tracking.ui_page import server_app

    served = server_app()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    return served


if __name__ == "__main__":
    main()
