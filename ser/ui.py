"""``ser-ui``: the MLflow UI on this project's runs, on this machine only."""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points

from ser.errors import SerError


def main() -> None:
    """Start the UI on 127.0.0.1; arguments go to ``mlflow ui`` (``ser-ui --port 5001``)."""
    from ser.log_client import connect
    from ser.project import tracking_uri

    uri = tracking_uri()
    try:
        connect(uri)  # makes, migrates or mends a log on disk before the server opens it
    except SerError as error:
        sys.exit(str(error))
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    # MLflow's job workers cost seven processes and do nothing for reading runs.
    environment.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    environment.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--backend-store-uri", environment["MLFLOW_TRACKING_URI"]]
    if entry_points(group="mlflow.app", name="ser"):  # a checkout's installation may be older
        command += ["--app-name", "ser"]
    command += sys.argv[1:]
    os.execve(sys.executable, command, environment)


if __name__ == "__main__":
    main()
