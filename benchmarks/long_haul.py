"""What a log of a thousand runs costs: starting a run, finding one, and the UI's table.

    python benchmarks/long_haul.py [--runs 1000] [--rounds 10] [--screenshot table.png]

One real run of `ser.train` on the demo corpus is made, then its like, as often as asked: the same
parameters, tags, tables and pictures, other numbers, and for every 25th a model, all through
`ser.tracking.run`, in two stores, one of 10 runs. What is timed alternates between the two, so that
a drift of the machine's speed meets both; medians and their ratio are printed. The requirement for
starting a run is less than 1.3 times, and for the UI's table 3 seconds once the server is up.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np

FEW = 10
MODEL_EVERY = 25  # runs: a model takes as long as ten of them
TRAIN = "-m ser.train data=demo data.speakers=4 split=loso model=svm curves=none"
IN_A_NEW_PROCESS = """
import sys, time
from ser.tracking import run as tracking
start = time.perf_counter()
with tracking.start_run(uri=sys.argv[1], experiment="demo", name="empty", tags={}, description=""):
    print(time.perf_counter() - start)
print(time.perf_counter() - start)
"""


class Template:
    """A real run, to make others like it."""

    def __init__(self, folder):
        from ser.tracking import queries, registry

        uri = f"sqlite:///{folder}/template.db"
        environment = os.environ | {
            "MLFLOW_TRACKING_URI": uri,
            "SER_STORE": f"{folder}/features.sqlite",
        }
        train = [*TRAIN.split(), f"data.root={folder}/demo", f"hydra.run.dir={folder}/hydra"]
        subprocess.run([sys.executable, *train], env=environment, check=True, capture_output=True)
        self.logged = queries.find_run(uri, "latest")
        self.model = registry.find_model(self.logged.id, uri=uri).trained
        self.metrics = self.logged.metrics
        client = queries.mlflow.MlflowClient(uri)
        self.params = client.get_run(self.logged.id).data.params
        history = {key: client.get_metric_history(self.logged.id, key) for key in self.metrics}
        self.series = {
            key: [metric.value for metric in values]
            for key, values in history.items()
            if len(values) > 1
        }
        self.files = Path(folder, "files")
        self.logged.download(self.files)
        shutil.rmtree(self.files / "model", ignore_errors=True)

    def log(self, uri, number, *, with_model):
        """One more run of its kind, with numbers of its own."""
        from ser.tracking import run as tracking

        shift = np.random.default_rng(number).normal(scale=0.02)
        own = ("mlflow.", "resume_key")
        tags = {k: v for k, v in self.logged.tags.items() if not k.startswith(own)}
        with tracking.start_run(
            uri=uri,
            experiment="demo",
            name=f"{self.logged.name}-{number}",
            tags=tags,
            description=f"`python -m ser.train seed={number}`",
        ) as run:
            run.params(self.params | {"seed": number})
            run.dataset(name="demo", fingerprint="0", source="", profile="{}", context="loso")
            run.tags({"resume_key": f"{number:032x}"})
            single = {k: v + shift for k, v in self.metrics.items() if k not in self.series}
            run.metrics(single)
            for key, values in self.series.items():
                run.steps(key, np.add(values, shift))
            shutil.copytree(self.files, run.folder, dirs_exist_ok=True)
            if with_model:
                run.model(self.model, "# A model card")


def fill(template, folder, n_runs):
    """A store with so many runs; return its URI."""
    uri = f"sqlite:///{folder}/mlflow.db"
    start = time.perf_counter()
    for number in range(n_runs):
        template.log(uri, number, with_model=number % MODEL_EVERY == 0)
        if number % 100 == 99:
            each = (time.perf_counter() - start) / (number + 1)
            print(f"  {number + 1} runs made, {1000 * each:.0f} ms each", flush=True)
    return uri


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def empty_run(uri):
    """Seconds until the run has started, and until it has finished."""
    from ser.tracking import run as tracking

    start = time.perf_counter()
    with tracking.start_run(uri=uri, experiment="demo", name="empty", tags={}, description=""):
        started = time.perf_counter() - start
    return {"start a run": started, "an empty run": time.perf_counter() - start}


def in_a_new_process(uri):
    """The same, with MLflow's engine, which starts with the first call."""
    command = [sys.executable, "-c", IN_A_NEW_PROCESS, uri]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    names = ("start a run, first call of a process", "an empty run, first call of a process")
    return dict(zip(names, map(float, said), strict=True))


def looked_up(uri):
    from ser.tracking import queries

    return {
        "find_run latest": seconds(queries.find_run, uri, "latest"),
        "find_run latest, with a model": seconds(
            lambda: queries.find_run(uri, "latest", with_model=True)
        ),
        "finished_before, the first run": seconds(queries.finished_with_key, uri, "demo", "0" * 32),
        "finished_before, none": seconds(queries.finished_with_key, uri, "demo", "none"),
        "best_run": seconds(queries.best_run, uri, "test_uar", {"corpus": "demo"}),
    }


@contextmanager
def ui(uri):
    """Address of ``ser-ui`` on a store, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "ser.ui", "--port", str(port)],
        env=os.environ | {"MLFLOW_TRACKING_URI": uri},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                urlopen(f"{address}/health", timeout=5)
                break
            except (URLError, OSError):
                assert server.poll() is None
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def table_of_runs(browser, address, screenshot=None):
    """Seconds until the page with the experiment's runs shows some, in a browser that is new."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    try:
        page = context.new_page()
        start = time.perf_counter()
        page.goto(f"{address}/#/experiments/1/runs")
        page.get_by_text("svm-loso-demo", exact=False).first.wait_for(timeout=120_000)
        spent = time.perf_counter() - start
        if screenshot:
            page.wait_for_timeout(2000)
            page.screenshot(path=screenshot)
        return {"the UI's table of runs": spent}
    finally:
        context.close()


def timed(measure, uris, rounds):
    """Rows of the table: what, its seconds with few and with many runs, and their ratio."""
    rows = [[measure(uri) for uri in uris] for _ in range(rounds + 1)][1:]  # the first warms up
    for name in rows[0][0]:
        few, many = (statistics.median(row[i][name] for row in rows) for i in range(2))
        ratio = statistics.median(row[1][name] / row[0][name] for row in rows)
        print(f"{name:40} {1000 * few:8.0f} ms {1000 * many:8.0f} ms   {ratio:5.2f} x", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="folder of the stores, used again if it is there")
    parser.add_argument("--screenshot", type=Path, help="of the UI on the larger store")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = (arguments.keep or Path(temporary)).absolute()
        done = place / "stores.json"
        if not done.exists():
            place.mkdir(parents=True, exist_ok=True)
            template = Template(place)
            uris = [fill(template, place / str(n), n) for n in (FEW, arguments.runs)]
            done.write_text(json.dumps(uris))
        uris = json.loads(done.read_text())
        sizes = [Path(uri.removeprefix("sqlite:///")).stat().st_size / 2**20 for uri in uris]
        print(f"{'':40} {FEW:5} runs {arguments.runs:6} runs   ratio")
        print(f"{'the database':40} {sizes[0]:7.1f} MiB {sizes[1]:6.1f} MiB")
        show_ui(uris, arguments)
        timed(looked_up, uris, arguments.rounds)
        timed(in_a_new_process, uris, arguments.rounds)
        timed(empty_run, uris, arguments.rounds)


def show_ui(uris, arguments):
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright, ui(uris[0]) as few, ui(uris[1]) as many:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        timed(lambda address: table_of_runs(browser, address), [few, many], arguments.rounds)
        if arguments.screenshot:
            table_of_runs(browser, many, arguments.screenshot)
        browser.close()


if __name__ == "__main__":
    main()
