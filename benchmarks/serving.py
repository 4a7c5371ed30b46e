"""Latency of MLflow's server on a model of ser's, and what of it is feature extraction.

    python benchmarks/serving.py data/ravdess

Trains an SVM into a throw-away log, serves it, and asks: one client after the other, then eight at
once. The same recordings go through the model in this process too, which is the floor.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import numpy as np


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder with RAVDESS")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--port", type=int, default=5098)
    given = parser.parse_args()
    clips = sorted(given.root.rglob("*.wav"))
    some = [clips[i * len(clips) // given.requests] for i in range(given.requests)]
    with tempfile.TemporaryDirectory() as folder, served(folder, given) as (address, model):
        bodies = [body(clip) for clip in some]
        print(
            f"{len(some)} requests, recordings of {np.mean([len(b) for b in bodies]) / 1e3:.0f} kB"
        )
        for one in bodies[:20]:  # until both of the server's workers are warm
            ask(address, one)
        alone = [in_process(model, clip) for clip in some]
        show("in this process: decode, features, model", alone)
        show("one client after the other", [ask(address, one) for one in bodies])
        with ThreadPoolExecutor(given.clients) as clients:
            start = time.perf_counter()
            took = list(clients.map(lambda one: ask(address, one), bodies))
            rate = len(bodies) / (time.perf_counter() - start)
        show(f"{given.clients} clients at once", took)
        print(f"{rate:.0f} requests a second")


def show(what, seconds):
    p50, p95 = 1000 * np.percentile(seconds, [50, 95])
    print(f"{what:42} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms")


def body(clip):
    text = base64.b64encode(clip.read_bytes()).decode()
    return json.dumps({"dataframe_records": [{"audio_b64": text}]}).encode()


def ask(address, data):
    start = time.perf_counter()
    request = Request(f"{address}/invocations", data, {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as response:
        assert json.load(response)["predictions"][0]["emotion"]
    return time.perf_counter() - start


def in_process(model, clip):
    from ser.core.threads import one_thread
    from ser.data.audio import read_audio

    data = clip.read_bytes()
    start = time.perf_counter()
    with one_thread():  # as a server computes
        y, sr = read_audio(data)
        model.probabilities(model.feature_set(y, sr)[None])
    return time.perf_counter() - start


class served:  # noqa: N801  used as a function
    """A server of a freshly trained model."""

    def __init__(self, folder, given):
        self.folder, self.given = folder, given

    def __enter__(self):
        from ser.tracking.registry import find_model

        uri = f"sqlite:///{self.folder}/mlruns/mlflow.db"
        environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        train = f"data.root={self.given.root} model=svm curves=none register=ser"
        command = [sys.executable, "-m", "ser.train", *train.split()]
        command += [f"hydra.run.dir={self.folder}/hydra"]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        serve = "models serve -m models:/ser@champion --env-manager local --workers 2"
        serve += f" --port {self.given.port}"
        self.server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *serve.split()],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        address = f"http://127.0.0.1:{self.given.port}"
        for _ in range(240):
            try:
                urlopen(f"{address}/ping", timeout=5)
                break
            except (URLError, OSError):
                time.sleep(0.5)
        return address, find_model("models:/ser@champion", uri=uri).trained

    def __exit__(self, *error):
        os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait()


if __name__ == "__main__":
    main()
