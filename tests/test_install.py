"""What a stranger gets without a checkout: the wheel, the sdist, and where a first run writes."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ser.core import paths

CHECKOUT = Path(__file__).resolve().parents[1]


def paths_of(monkeypatch, home, file=paths.__file__):
    """`ser.core.paths` as a process has it that starts with this SER_HOME."""
    monkeypatch.delenv("SER_STORE", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("SER_HOME", home)
    spec = importlib.util.spec_from_file_location("paths_elsewhere", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("home", "folder"), [("{here}/a b", "a b"), ("below", "below"), ("~/voices", "home/voices")]
)
def test_ser_home_holds_data_and_log(home, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    there = paths_of(monkeypatch, home.format(here=tmp_path))
    monkeypatch.chdir("/")  # what a command does later moves nothing
    place = tmp_path / folder
    assert there.feature_store() == place / "data" / "features.sqlite"
    log = (place / "mlruns" / "mlflow.db").as_posix()
    assert there.tracking_uri() == f"sqlite:///{log}"
    monkeypatch.setenv("SER_STORE", "one.sqlite")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://log")
    assert (there.feature_store(), there.tracking_uri()) == (Path("one.sqlite"), "http://log")


@pytest.mark.parametrize(("in_checkout", "place"), [(True, "project"), (False, "working")])
def test_without_ser_home_it_is_the_checkout_or_the_working_folder(
    in_checkout, place, tmp_path, monkeypatch
):
    package = tmp_path / "project" / "ser"
    (package / "core").mkdir(parents=True)
    (tmp_path / "working").mkdir()
    (package.parent if in_checkout else package).joinpath("conf").mkdir()
    file = package / "core" / "paths.py"
    file.write_bytes(Path(paths.__file__).read_bytes())
    monkeypatch.chdir(tmp_path / "working")
    there = paths_of(monkeypatch, "", file)
    assert there.feature_store() == tmp_path / place / "data" / "features.sqlite"


def without_a_checkout(*command, cwd, **environment):
    """Run Python where this checkout is out of reach, and nothing of the environment is ser's."""
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SER_", "MLFLOW_")) and name not in ("PYTHONPATH", "PIP_CONSTRAINT")
    }
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**plain, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def files(folder):
    """Their paths in the folder, without bytecode."""
    found = {file.relative_to(folder) for file in folder.rglob("*") if file.is_file()}
    return {file.as_posix() for file in found if file.parent.name != "__pycache__"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder with the sdist, the wheel, and the wheel that the sdist makes."""
    folder = tmp_path_factory.mktemp("built")
    pip = ("-m", "pip", "install", "--quiet", "--no-deps")
    without_a_checkout(*pip[:-1], "--target", "tools", "hatchling", cwd=folder)
    tools = {"PYTHONPATH": str(folder / "tools")}
    without_a_checkout("-m", "hatchling", "build", "-d", folder / "dist", cwd=CHECKOUT, **tools)
    (wheel,), (sdist,) = (list((folder / "dist").glob(end)) for end in ("*.whl", "*.tar.gz"))
    without_a_checkout(*pip, "--target", "installed", wheel, cwd=folder)
    without_a_checkout(
        *pip, "--no-build-isolation", "--target", "again", sdist, cwd=folder, **tools
    )
    return folder


@pytest.mark.slow
def test_wheel_and_sdist_hold_all_that_the_package_needs(built):
    (wheel,) = (built / "dist").glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = {f"ser/{name}" for name in files(CHECKOUT / "ser")} | {
        f"ser/conf/{name}" for name in files(CHECKOUT / "conf")
    }
    assert held == package
    assert {"ser/py.typed", "ser/conf/train.yaml", "ser/report/templates/report.html"} <= held
    assert {name for name in files(built / "again") if name.startswith("ser/")} == held


@pytest.mark.slow
@pytest.mark.parametrize("home", ["", "elsewhere"])
def test_first_run_of_the_wheel_writes_where_it_says(home, built, demo_root, tmp_path):
    (tmp_path / "working").mkdir()
    before = files(built / "installed")
    said = without_a_checkout(
        *("-m", "ser.train", "model=svm", "data=demo", "data.speakers=4", "curves=none"),
        cwd=tmp_path / "working",
        PYTHONPATH=str(built / "installed"),
        SER_DEMO_ROOT=str(demo_root),
        SER_HOME=home and str(tmp_path / home),
    )
    place = tmp_path / (home or "working")
    assert files(built / "installed") == before
    written = {"/".join(name.split("/")[:2]) for name in files(tmp_path)}
    assert written == {f"{place.name}/data", f"{place.name}/mlruns"}
    (report,) = place.rglob("artifacts/report.html")
    shown = report if home else report.relative_to(place)
    assert f"report  {shown}\n" in said
