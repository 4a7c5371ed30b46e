"""Who may come in and what goes out: servers on loopback, statistics off, a run that is silent."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

import ser.app
import ser.ui
from ser.core import compute, paths

# What Python runs first in a process and in all its workers: every way out is written down, and is
# shut; so is whether MLflow was told to be silent before it was imported.
GUARD = """
import os, sys

def told(what):
    with open(os.environ["SER_TEST_TOLD"], "a") as file:
        file.write(f"{what}\\n")

def guard(event, arguments):
    if event == "import" and arguments[0] == "mlflow":
        if os.environ.get("MLFLOW_DISABLE_TELEMETRY") != "true":
            told("mlflow is imported before its telemetry is off")
    host = None
    if event in ("socket.connect", "socket.sendto", "socket.bind"):
        host = arguments[1][0] if isinstance(arguments[1], tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    if host not in (None, "127.0.0.1", "::1", "localhost"):
        told(f"{event} {host}")
        raise PermissionError(f"{event} {host}")

sys.addaudithook(guard)
"""
STATISTICS = (
    "MLFLOW_DISABLE_TELEMETRY",
    "DO_NOT_TRACK",
    "RAY_USAGE_STATS_ENABLED",
    "RAY_AUTH_MODE",
    "RAY_AUTH_TOKEN",
)


@pytest.fixture
def no_settings(monkeypatch):
    """An environment that says nothing of statistics."""
    for name in STATISTICS:
        monkeypatch.setenv(name, "")  # so that what the test sets is undone
        monkeypatch.delenv(name)


@pytest.fixture
def guarded(tmp_path, no_settings, ser_environment):
    """Run Python, workers too, under the guard; return the result and what the guard was told."""
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    told = tmp_path / "told.txt"
    environment = {k: v for k, v in ser_environment.items() if k not in STATISTICS}
    environment["SER_TEST_TOLD"] = str(told)
    path = (str(tmp_path), str(paths.PROJECT), environment.get("PYTHONPATH", ""))
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))

    def run(*arguments):
        result = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
        )
        return result, told.read_text().splitlines() if told.exists() else []

    return run


def test_guard_sees_a_worker_that_calls_somebody(guarded):
    call = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    worker = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {call!r}]))"
    result, told = guarded("-c", worker)
    assert result.returncode == 1
    assert told == ["socket.getaddrinfo 192.0.2.1"]


@pytest.mark.slow
def test_train_calls_nobody_and_mlflow_is_silent(guarded, demo_root, tmp_path):
    # The MLP's fits are in processes, as the extraction is.
    overrides = f"data=demo data.root={demo_root} data.speakers=2 model=mlp split=loso curves=none"
    result, told = guarded(
        *("-m", "ser.train", *overrides.split()),
        "model.classifier.max_iter=3",
        "compute.n_jobs=2",
        f"store={tmp_path}/new.sqlite",
        f"hydra.run.dir={tmp_path}/hydra",
    )
    assert result.returncode == 0, result.stderr
    assert told == []


@pytest.mark.slow
def test_ui_is_on_loopback_and_silent(monkeypatch, no_settings, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    started = []
    monkeypatch.setattr(os, "execve", lambda *arguments: started.append(arguments))
    monkeypatch.setattr(sys, "argv", ["ser-ui", "--port", "5001"])
    ser.ui.main()
    ((_, command, environment),) = started
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command.count("--host") == 1
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_app_is_on_loopback_not_shared_and_silent(monkeypatch):
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    gradio = MagicMock()
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    trained = SimpleNamespace(needs_speakers=False)
    model = SimpleNamespace(
        name="svm", trained=trained, emotions=("calm", "sad"), about="svm", card=""
    )
    monkeypatch.setattr("ser.app.chosen_model", lambda arguments: model)
    ser.app.serve(SimpleNamespace(window=3, hop=1, port=7860))
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert gradio.Blocks.call_args.kwargs["analytics_enabled"] is False
    launched = gradio.Blocks.return_value.__enter__.return_value.launch.call_args.kwargs
    assert launched["server_name"] == "127.0.0.1"
    assert launched["share"] is False


@pytest.mark.slow
def test_ray_sends_no_statistics_and_its_own_cluster_asks_for_a_token(tmp_path, no_settings):
    (tmp_path / "ray" / "util").mkdir(parents=True)
    (tmp_path / "ray" / "util" / "joblib.py").write_text("register_ray = None")
    (tmp_path / "ray" / "__init__.py").write_text(
        "import json, os, sys\n"
        "def init(*arguments, **options):\n"
        "    sys.exit(json.dumps(dict(os.environ)))\n"
    )
    start = "from ser.core import compute\nwith compute.ray(address=ADDRESS): pass"
    found = []
    for address in ("None", "'auto'"):
        result = subprocess.run(
            [sys.executable, "-c", start.replace("ADDRESS", address)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{paths.PROJECT}"},
        )
        found.append(json.loads(result.stderr))
    assert [one["RAY_USAGE_STATS_ENABLED"] for one in found] == ["0", "0"]
    own, existing = found
    assert own["RAY_AUTH_MODE"] == "token"
    assert len(own["RAY_AUTH_TOKEN"]) == 64
    assert "RAY_AUTH_TOKEN" not in existing


@pytest.mark.skipif(find_spec("distributed") is None, reason="needs ser[dask]")
def test_own_dask_cluster_is_on_loopback():
    from distributed import default_client

    with compute.dask(n_jobs=1):
        known = default_client().scheduler_info()
        places = [known["address"], *known["workers"]]
    assert len(places) == 2
    assert all(place.startswith("tcp://127.0.0.1:") for place in places)
