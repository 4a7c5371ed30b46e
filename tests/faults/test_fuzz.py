"""The fuzz targets find nothing in a few seconds; longer runs are by hand (fuzz.py)."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize("target", ["audio", "archive"])
def test_fuzzing_finds_nothing(target, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    command = [sys.executable, "tests/faults/fuzz.py", target, "--seconds", "2"]
    run = subprocess.run(
        command, capture_output=True, text=True, errors="replace", cwd=CHECKOUT, timeout=300
    )
    assert run.returncode == 0, run.stderr[-5000:]
    executions = re.search(r"number_of_executed_units: (\d+)", run.stderr)
    assert executions and int(executions[1]) > 100
