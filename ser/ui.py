"""``ser-ui``: the MLflow UI on this project's runs, on this machine only."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from importlib.metadata import entry_points
from typing import Any

from ser.core import ports, streams

HOST = "127.0.0.1"


@streams.command
def main() -> None:
    """Start the UI on 127.0.0.1; arguments go to ``mlflow ui`` (``ser-ui --port 5001``)."""
    from ser.core.paths import tracking_uri
    from ser.tracking.client import connect

    uri = tracking_uri()
    given = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    given.add_argument("-p", "--port", default=os.environ.get("MLFLOW_PORT", "5000"))
    given.add_argument("-h", "--host", default=HOST)
    known, _ = given.parse_known_args()
    ports.check_free(known.host, known.port)
    connect(uri, mend=True)  # makes, migrates or mends a log on disk before the server opens it
    # Not as an argument: others see a command line, and a URI may have a password.
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "MLFLOW_BACKEND_STORE_URI": uri}
    # MLflow's job workers cost seven processes and do nothing for reading runs.
    environment.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    environment.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    command = [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--workers", "1"]
    if entry_points(group="mlflow.app", name="ser"):  # an installation may be older
        command += ["--app-name", "ser"]
    command += sys.argv[1:]
    os.execve(sys.executable, command, environment)


def app() -> Any:
    """MLflow's own app, by its plugin for apps (entry point ``mlflow.app``).

    A table of a hundred runs is ten thousand objects, and Python's collector would go through all
    that MLflow has imported a dozen times while they are made: three quarters of the answer's time.
    """
    from ser.tracking.mlflow_compat import server_app

    served = server_app()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    return served


if __name__ == "__main__":
    main()
