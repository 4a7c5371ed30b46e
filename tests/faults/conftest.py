"""Fixtures of the fault-injection suite; what is not `LIGHT` carries the marker `faults`."""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Of the default suite.
LIGHT = {"test_changed.py", "test_ends.py", "test_kept.py", "test_refused.py", "test_waits.py"}


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in Path(item.path).parents and item.path.name not in LIGHT:
            item.add_marker("faults")


@pytest.fixture(scope="session", autouse=True)
def _all_cores():
    """Workers are killed here too."""
    os.environ.pop("LOKY_MAX_CPU_COUNT", None)
