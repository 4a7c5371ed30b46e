"""Fixtures: a few demo speakers, generated once; the real corpus, where it is."""

import gc
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from composing import experiment
from faults.launcher import Launcher, Processes
from filelock import FileLock
from undrawn import draw_nothing

CHECKOUT = Path(__file__).resolve().parents[1]
collect_ignore = ["v0.1.0"]  # what made the files there imports the ser of then


# The collector goes through all that has been imported, again and again.
gc.set_threshold(100_000, 20, 100)
# One process for each worker of pytest: numbers are the same, and joblib's own workers would take
# seconds of imports each. The tests of what happens between processes ask for them.
os.environ["LOKY_MAX_CPU_COUNT"] = "1"
# Nor threads of BLAS and PyTorch in what pytest starts, its workers among them: they wait busily.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
# It would keep what it found out beside the code.
os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = f"{tempfile.gettempdir()}/ser-hypothesis"


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Folder of the whole session: ``once(name, make)`` has one worker call ``make(folder)``."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name, make):
        place, done = shared / f"once-{name}", shared / f"once-{name}.done"
        with FileLock(shared / f"once-{name}.lock"):
            if not done.exists():
                place.mkdir()
                make(place)
                done.touch()
        return place

    return folder


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left_in_the_checkout():
    """No test, and nothing that a test runs, writes beside the code or into the working folder."""

    def present():
        places = {CHECKOUT, CHECKOUT / "data", CHECKOUT / "mlruns", Path.cwd()}
        files = {file for place in places if place.is_dir() for file in place.iterdir()}
        return {file for file in files if not file.name.endswith("cache")}

    before = present()
    yield
    assert present() <= before


@pytest.fixture(scope="session")
def demo_root(once):
    """Folder with the demo corpus's first four speakers (240 clips)."""
    from ser.data.corpora import demo

    root = once("demo", lambda folder: demo.load(folder, speakers=4))
    yield root
    voices = sorted(place.name for place in root.iterdir() if place.is_dir())
    assert voices == [f"Actor_{speaker:02d}" for speaker in range(1, 5)], "a test has added voices"


def root_of(variable):
    """Folder of a real corpus, where the environment names it."""
    root = os.environ.get(variable)
    if not root:
        pytest.skip(f"{variable} names no folder")
    return Path(root)


@pytest.fixture(scope="session")
def ravdess_root():
    return root_of("SER_RAVDESS_ROOT")


@pytest.fixture(scope="session")
def emodb_root():
    return root_of("SER_EMODB_ROOT")


@pytest.fixture
def clips():
    """A clip table of RAVDESS's shape without audio: 24 actors x 60 clips."""
    rows = [
        {
            "path": f"/corpus/Actor_{actor:02d}/{emotion}-{i}.wav",
            "emotion": emotion,
            "actor": actor,
            "statement": 1 + i % 2,
        }
        for actor in range(1, 25)
        for emotion, n in (("neutral", 4), *((e, 8) for e in ("calm", "happy", "sad", "angry")))
        for i in range(n)
    ]
    table = pd.DataFrame(rows)
    table["gender"] = np.where(table["actor"] % 2, "male", "female")
    return table


@pytest.fixture
def write_tone(tmp_path):
    """Write a WAV of a decaying tone; return its path as str."""

    def write(name="tone.wav", *, frequency=220.0, seconds=0.3, sr=16_000):
        t = np.arange(int(seconds * sr)) / sr
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.5 * np.exp(-3 * t) * np.sin(2 * np.pi * frequency * t), sr)
        return str(path)

    return write


@pytest.fixture(scope="session")
def demo_store(once, demo_root):
    """Feature store that has the demo clips' features already."""
    from ser.data.corpora import demo
    from ser.features.notebook import NotebookFeatures
    from ser.features.store import extract

    def make(folder):
        paths = demo.load(demo_root, speakers=4)["path"].tolist()
        extract(paths, NotebookFeatures(), store=folder / "features.sqlite", progress=False)

    return once("store", make) / "features.sqlite"


@pytest.fixture
def ser_environment(tmp_path, demo_store):
    """Environment of a command whose runs go to tmp_path."""
    return {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlruns/mlflow.db",
        "SER_STORE": str(demo_store),
    }


@pytest.fixture(scope="session")
def empty_database(once):
    """MLflow store without a run; making one takes seconds."""
    import mlflow

    def make(folder):
        mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()

    return once("mlflow", make) / "mlflow.db"


@pytest.fixture
def client(tmp_path, empty_database):
    """MLflow's client on the store of `run_cli` and `run_here`, whose tables are there already."""
    import mlflow

    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_database, tmp_path / "mlruns" / "mlflow.db")
    return mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")


@pytest.fixture
def run_here(tmp_path, demo_store, monkeypatch, client):
    """One tracked run of ``ser.train`` in this process; with `draw`, its pictures are not empty."""

    def run(*overrides, draw=False):
        if not draw:
            draw_nothing(monkeypatch)
        log = f"tracking.uri=sqlite:///{tmp_path}/mlruns/mlflow.db"
        return experiment(*overrides, log, f"store={demo_store}").run()

    return run


@pytest.fixture(scope="session")
def launcher(tmp_path_factory):
    """Starts commands of ser without the seconds of their imports."""
    kind = Launcher if hasattr(os, "fork") else Processes
    launcher = kind(tmp_path_factory.mktemp("jobs"), CHECKOUT)
    yield launcher
    launcher.close()


@pytest.fixture
def run_cli(tmp_path, launcher, ser_environment, client):
    """Run ``python -m ser.MODULE ARGUMENTS`` in a process of its own, as a user does."""

    def run(module, *arguments, check=True, draw=False):
        if module in ("ser.train", "ser.tune", "ser.explore"):
            place = "hydra.sweep.dir" if "-m" in arguments else "hydra.run.dir"
            arguments = (*arguments, f"{place}={tmp_path}/hydra")
        job = launcher.start(module, *arguments, env=ser_environment, draw=draw)
        result = subprocess.CompletedProcess(
            [module, *arguments], job.wait(600.0), job.out.read_text(), job.err.read_text()
        )
        if check:
            assert result.returncode == 0, result.stderr
        return result

    return run


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory):
    """URL of a database on a PostgreSQL server of the session's own."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg")
    folder = Path(tempfile.mkdtemp(prefix="ser-postgresql-", dir="/tmp"))  # short: it has a socket
    as_other = []
    if os.getuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres")
        as_other = ["runuser", "-u", "postgres", "--"]
    programs = programs[-1].parent
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    make = [programs / "initdb", "-D", folder / "data", "-U", "ser", "-A", "trust", "-N"]
    subprocess.run([*as_other, *make], check=True, capture_output=True)
    control = [*as_other, programs / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log"]
    options = f"-p {port} -k {folder} -h 127.0.0.1 -F"
    subprocess.run([*control, "-o", options, "start"], check=True, capture_output=True)
    try:
        yield f"postgresql://ser@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium: the system's, as Playwright would download one."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("there is no chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Open a file in Chromium without a network; `requested` has what the page asked for."""
    contexts = []

    def open_file(file, *, width, height=844):
        context = browser.new_context(
            viewport={"width": width, "height": height}, is_mobile=width < 600, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.requested = []
        page.on(
            "request",
            lambda request: request.url.startswith("data:") or page.requested.append(request.url),
        )
        page.goto(file.as_uri())
        return page

    yield open_file
    for context in contexts:
        context.close()
