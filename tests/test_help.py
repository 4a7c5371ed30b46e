"""What ``--help`` shows of the configuration."""

import re
import subprocess
import sys

import pytest

from ser.core import paths

OF_TRAIN = {"data", "features", "split", "augmentation", "scaler", "selection", "model", "curves"}
OF_TRAIN |= {"compute", "experiment"}
OF_TUNE = {"search_space", "sampler", "pruner", "tuner"}


@pytest.mark.parametrize(
    ("module", "groups"),
    [
        ("ser.train", OF_TRAIN),
        ("ser.tune", OF_TRAIN | OF_TUNE),
        ("ser.explore", {"data", "features", "compute"}),
    ],
)
def test_help_lists_the_groups_that_the_entry_point_takes_and_no_others(run_cli, module, groups):
    shown = groups_in(run_cli(module, "--help", "compute=dask").stdout)
    assert set(shown) == groups
    for group, choices in shown.items():
        there = sorted(file.stem for file in (paths.CONF / group).glob("*.yaml"))
        assert re.sub(r"[\[\]]", "", choices).split(", ") == there
    assert "[dask]" in shown["compute"]
    assert "[ravdess]" in shown["data"]
    assert "[" not in shown.get("experiment", "")


@pytest.mark.parametrize("module", ["ser.predict", "ser.app"])
def test_help_of_options_has_examples_and_imports_nothing_heavy(module):
    command = [sys.executable, "-X", "importtime", "-m", module, "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"python -m {module}" in shown.stdout.split("examples:")[1]
    assert "--trust PACKAGE" in shown.stdout
    assert not re.search(r"\| +(numpy|hydra|mlflow|sklearn|gradio)\b", shown.stderr)


def groups_in(printed):
    listed = re.search(r"\(GROUP=CHOICE\).*:\n((?:.*\S.*\n)+)", printed).group(1)
    lines = re.sub(r",\n +", ", ", listed).splitlines()  # a long line goes on below
    return dict(re.split(r":? +", line.strip(), maxsplit=1) for line in lines)
