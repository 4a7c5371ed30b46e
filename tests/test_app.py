"""The web demo in headless Chromium: upload a recording, see what the model makes of it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile

from ser.data.audio import read_audio

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def app(tmp_path_factory, demo_root, demo_store):
    """Address of the app on a model, and the model."""
    pytest.importorskip("gradio")
    from ser.tracking.registry import find_model

    place = tmp_path_factory.mktemp("app")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"sqlite:///{place}/mlruns/mlflow.db"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "SER_STORE": str(demo_store)}
    train = f"data=demo data.root={demo_root} data.speakers=4 curves=none split=loso"
    subprocess.run(
        [sys.executable, "-m", "ser.train", *train.split(), f"hydra.run.dir={place}/hydra"],
        env=environment,
        check=True,
        capture_output=True,
    )
    server = subprocess.Popen(
        [sys.executable, "-m", "ser.app", "--port", str(port)],
        env=environment,
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(240):
            try:
                urlopen(address, timeout=5)
                break
            except (URLError, OSError):
                assert server.poll() is None
                time.sleep(0.5)
        yield address, find_model(uri=uri), server
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture
def page(app, browser):
    """The app's page; `outside` has what it asked of others."""
    address, _, _ = app
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page, outside = context.new_page(), []

    def answer(route):
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            outside.append(route.request.url)
            route.abort()

    page.route("**/*", answer)
    page.goto(address)
    page.wait_for_selector("input[type=file]", state="attached", timeout=30_000)
    page.outside = outside
    yield page
    context.close()


def test_app_shows_a_recording_and_its_probabilities(app, page, demo_root):
    _, model, _ = app
    clip = next((demo_root / "Actor_01").glob("*-05-*.wav"))
    page.set_input_files("input[type=file]", clip)
    page.wait_for_selector("[data-testid=label-output-value]", timeout=60_000)
    y, sr = read_audio(clip)
    proba = model.trained.probabilities(model.trained.feature_set(y, sr)[None])[0]
    said = page.inner_text("[data-testid=label-output-value]")
    assert said.strip() == model.emotions[proba.argmax()]
    text = page.inner_text("body")
    assert f"{100 * proba.max():.0f}%" in text
    metrics = model.run.metrics
    assert f"its UAR was {100 * metrics['test_uar']:.0f} %" in text
    assert "not for decisions about people" in text
    assert page.locator("img[src^='data:image'], .matplotlib img").count() >= 2
    assert page.outside == []


def test_app_draws_emotions_over_time_of_a_long_recording(page, demo_root, tmp_path):
    clips = sorted((demo_root / "Actor_02").glob("*.wav"))[:3]
    y, sr = zip(*(soundfile.read(clip, dtype="float32") for clip in clips), strict=True)
    soundfile.write(tmp_path / "long.wav", np.concatenate(y), sr[0])
    page.set_input_files("input[type=file]", tmp_path / "long.wav")
    page.wait_for_selector("[data-testid=label-output-value]", timeout=60_000)
    page.wait_for_function("document.querySelectorAll('.matplotlib img').length === 3")


def test_app_says_what_is_wrong_with_a_file_and_lives_on(page, demo_root, tmp_path):
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(48_000), 48_000)
    page.set_input_files("input[type=file]", silence)
    page.get_by_text("it is silent").first.wait_for(timeout=60_000)
    page.reload()
    page.wait_for_selector("input[type=file]", state="attached", timeout=30_000)
    page.set_input_files("input[type=file]", next(demo_root.rglob("*.wav")))
    page.wait_for_selector("[data-testid=label-output-value]", timeout=60_000)


def test_app_listens_on_loopback_only(app):
    address, _, _ = app
    port = int(address.rstrip("/").rsplit(":", 1)[1])
    listening = "0A"
    for table in ("tcp", "tcp6"):
        lines = Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()
        rows = [line.split() for line in lines[1:]]
        for place, state in ((row[1], row[3]) for row in rows):
            if state == listening and int(place.rsplit(":", 1)[1], 16) == port:
                assert place.startswith("0100007F:")  # 127.0.0.1, its bytes the other way round
