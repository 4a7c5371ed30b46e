"""Fixtures of the fault-injection suite; everything here carries the marker `faults`."""

from pathlib import Path

import pytest
from faults.launcher import Launcher

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in Path(item.path).parents:
            item.add_marker("faults")


@pytest.fixture(scope="session")
def launcher(tmp_path_factory):
    """Starts commands of ser without the seconds of their imports."""
    launcher = Launcher(tmp_path_factory.mktemp("jobs"), HERE.parents[1])
    yield launcher
    launcher.close()
