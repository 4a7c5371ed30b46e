"""The web demo in headless Chromium: upload a recording, see what the model makes of it."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
import pytest
import soundfile

from ser.data.audio import read_audio
from ser.data.recordings import Recording
from ser.models.adaptation import adapted

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def app(tmp_path_factory, demo_root, demo_store):
    """Address of the app on a model, the model, and the app's process."""
    with serving(tmp_path_factory.mktemp("app"), demo_root, demo_store) as served:
        yield served


@pytest.fixture(scope="module")
def transductive_app(tmp_path_factory, demo_root, demo_store):
    """The same, of a model that is scaled by speaker."""
    place = tmp_path_factory.mktemp("transductive")
    with serving(place, demo_root, demo_store, "scaler=speaker") as served:
        yield served


@contextmanager
def serving(place, demo_root, demo_store, *settings):
    pytest.importorskip("gradio")
    from ser.tracking.registry import find_model

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"sqlite:///{place}/mlruns/mlflow.db"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "SER_STORE": str(demo_store)}
    (place / "temporary").mkdir()
    environment["TMPDIR"] = str(place / "temporary")
    train = f"data=demo data.root={demo_root} data.speakers=4 curves=none split=loso"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "ser.train",
            *train.split(),
            *settings,
            f"hydra.run.dir={place}/hydra",
        ],
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
        with suppress(ProcessLookupError):  # the last test has ended it
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture
def page(app, browser):
    """The app's page; `outside` has what it asked of others."""
    with opened(app, browser) as page:
        yield page


@pytest.fixture
def transductive_page(transductive_app, browser):
    with opened(transductive_app, browser) as page:
        yield page


@contextmanager
def opened(app, browser):
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
    _, model, server = app
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
    assert f"Test UAR {100 * metrics['test_uar']:.1f} %" in text
    assert "not for decisions about people" in text
    assert page.locator("img[src^='data:image'], .matplotlib img").count() >= 2
    assert page.outside == []
    assert kept(server) == []  # deleted as soon as answered


def kept(server):
    """Files that the app has on disk."""
    (own,) = temporary(server).glob("ser,*")
    return [file for file in own.rglob("*") if file.is_file()]


def temporary(server):
    """The folder of temporary files of a process that was started in the one above it."""
    return Path(f"/proc/{server.pid}/cwd").readlink() / "temporary"


def test_app_loads_no_picture_that_a_model_card_names(app, page):
    assert (
        page.evaluate("""async () => {
        const picture = new Image()
        const loaded = new Promise(done => {
            picture.onload = () => done(true); picture.onerror = () => done(false) })
        picture.src = "http://127.0.0.2:9/picture.png"
        return await loaded }""")
        is False
    )
    assert page.outside == []  # it was not even asked for


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:7"}, 200),
    ],
)
def test_app_answers_its_own_pages_only(app, headers, status):
    try:
        with urlopen(Request(app[0], headers=headers), timeout=30) as answer:
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            assert answer.status == status
    except HTTPError as error:
        assert error.code == status


def test_app_draws_emotions_over_time_of_a_long_recording(page, demo_root, tmp_path):
    clips = sorted((demo_root / "Actor_02").glob("*.wav"))[:3]
    page.set_input_files("input[type=file]", join(clips, tmp_path / "long.wav"))
    page.wait_for_selector("[data-testid=label-output-value]", timeout=60_000)
    page.wait_for_function("document.querySelectorAll('.matplotlib img').length === 3")


def join(clips, file):
    """Write the clips into one file, one after the other."""
    y, sr = zip(*(soundfile.read(clip, dtype="float32") for clip in clips), strict=True)
    soundfile.write(file, np.concatenate(y), sr[0])
    return file


def test_app_says_what_is_wrong_with_a_file_and_lives_on(page, demo_root, tmp_path):
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(48_000), 48_000)
    page.set_input_files("input[type=file]", silence)
    page.get_by_text("it is silent").first.wait_for(timeout=60_000)
    page.reload()
    page.wait_for_selector("input[type=file]", state="attached", timeout=30_000)
    page.set_input_files("input[type=file]", next(demo_root.rglob("*.wav")))
    page.wait_for_selector("[data-testid=label-output-value]", timeout=60_000)


def test_app_adapts_a_transductive_model_to_the_one_who_speaks(
    transductive_app, transductive_page, demo_root, browser, tmp_path
):
    _, model, server = transductive_app
    page, clips = transductive_page, sorted((demo_root / "Actor_03").glob("*.wav"))
    page.set_input_files("input[type=file]", clips[:3])
    page.get_by_text("3 of 5 recordings").wait_for(timeout=60_000)
    assert page.locator("input[type=file]").count() == 1  # nothing can be asked yet
    page.set_input_files("input[type=file]", clips[2:6])
    page.get_by_text("Adapted to one person by 6 recordings").wait_for(timeout=60_000)
    page.get_by_text(f"Cannot use {clips[2].name}: it is there already.").wait_for()
    long = join(clips[8:11], tmp_path / "long.wav")
    page.locator("input[type=file]").nth(1).set_input_files(long)
    page.wait_for_selector("[data-testid=label-output-value]", timeout=60_000)
    page.wait_for_function("document.querySelectorAll('.matplotlib img').length === 3")
    trained, _ = adapted(model.trained, [Recording(str(clip)) for clip in clips[:6]], n_jobs=1)
    proba = trained.probabilities(trained.feature_set(*read_audio(long))[None])[0]
    said = page.inner_text("[data-testid=label-output-value]")
    assert said.strip() == model.emotions[proba.argmax()]
    text = page.inner_text("body")
    assert f"{100 * proba.max():.0f}%" in text
    assert "Transductive: adapted to one person by 6 unlabelled clips" in text
    assert kept(server) == []
    assert page.outside == []
    with opened(transductive_app, browser) as another:  # visitor, who is not heard as the first
        another.get_by_text("0 of 5 recordings").wait_for()
    page.get_by_text("Start again with another person").click()
    page.get_by_text("0 of 5 recordings").wait_for(timeout=60_000)
    assert page.locator("[data-testid=label-output-value]").count() == 0


def test_app_names_what_a_person_cannot_be_adapted_to_by(
    transductive_app, transductive_page, demo_root, tmp_path
):
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    address, _, server = transductive_app
    notes, silence = tmp_path / "notes.txt", tmp_path / "silence.wav"
    notes.write_text("not sound", encoding="utf-8")
    soundfile.write(silence, np.zeros(48_000), 48_000)
    transductive_page.set_input_files("input[type=file]", [notes, silence])
    transductive_page.get_by_text("Cannot use silence.wav: it is silent").wait_for(timeout=60_000)
    text = transductive_page.inner_text("body")
    assert "Cannot use notes.txt: it is not readable as audio" in text
    assert "0 of 5 recordings" in text
    clip = handle_file(str(next(demo_root.rglob("*.wav"))))
    with pytest.raises(AppError, match=r"0 clips of the speaker can be used, .* needs 5 or more"):
        Client(address, verbose=False).predict(clip, api_name="/listen")
    assert kept(server) == []


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


def test_app_that_is_ended_leaves_nothing(app):
    """Last: it ends the app."""
    address, _, server = app
    head = b"Content-Disposition: form-data; name=files; filename=a.wav"
    body = b"--x\r\n" + head + b"\r\n\r\nRIFF\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    urlopen(Request(f"{address}gradio_api/upload", body, kind), timeout=30).close()
    place = temporary(server)
    assert [file.name for file in kept(server)] == ["a.wav"]
    os.kill(server.pid, signal.SIGTERM)
    server.wait(timeout=60)
    assert list(place.iterdir()) == []
