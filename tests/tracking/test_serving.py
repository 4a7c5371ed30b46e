"""MLflow's own server on a registered model: right answers, 4xx with reasons, and many at once."""

import base64
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
import pytest
import soundfile

from ser.data.audio import read_audio

pytestmark = pytest.mark.slow


class Served(NamedTuple):
    address: str
    model: object
    group: int

    def peak(self):
        """Bytes that the largest process has ever held; 0 where there is no /proc."""
        held = [0]
        for status in Path("/proc").glob("[0-9]*/status"):
            with suppress(OSError, StopIteration):
                if os.getpgid(int(status.parent.name)) == self.group:
                    lines = status.read_text().splitlines()
                    peak = next(line for line in lines if line.startswith("VmHWM"))
                    held.append(1024 * int(peak.split()[1]))
        return max(held)


def flac(seconds):
    """Next to nothing, as FLAC in base64: a hundredth of what is decoded."""
    file = io.BytesIO()
    soundfile.write(file, np.tile([0.01, -0.01], 24_000 * seconds), 48_000, format="FLAC")
    return base64.b64encode(file.getvalue()).decode()


LONG, MINUTE = flac(90), flac(60)


@pytest.fixture(scope="module")
def served(tmp_path_factory, demo_root, demo_store):
    """Address of a server of ``models:/ser@champion``, the model, and the log it is in."""
    from ser.tracking.registry import find_model

    place = tmp_path_factory.mktemp("served")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlruns/mlflow.db",
        "SER_STORE": str(demo_store),
        "SER_SERVE_ROOT": str(demo_root),
    }
    train = f"data=demo data.root={demo_root} data.speakers=4 curves=none model=svm split=loso"
    command = [sys.executable, "-m", "ser.train", *train.split(), "register=ser"]
    said = subprocess.run(
        [*command, f"hydra.run.dir={place}/hydra"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "models:/ser@champion is version 1" in said
    serve = f"models serve -m models:/ser@champion --env-manager local --port {port} --workers 2"
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *serve.split()],
        env={**environment, "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"},
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    (demo_root / "loop").symlink_to("loop")
    try:
        for _ in range(240):
            try:
                urlopen(f"{address}/ping", timeout=5)
                break
            except (URLError, OSError):
                assert server.poll() is None
                time.sleep(0.5)
        model = find_model("models:/ser@champion", uri=environment["MLFLOW_TRACKING_URI"])
        yield Served(address, model, server.pid)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        (demo_root / "loop").unlink()


def ask(address, body):
    """Status and answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = Request(f"{address}/invocations", data, {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=120) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        return error.code, json.load(error)


def recording(path):
    return base64.b64encode(Path(path).read_bytes()).decode()


def expected(model, path):
    y, sr = read_audio(path)
    return model.probabilities(model.feature_set(y, sr)[None])[0]


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_request_of_the_docs_is_answered(served, demo_root, tmp_path):
    page = (Path(__file__).resolve().parents[2] / "docs" / "using.md").read_text("utf-8")
    (request,) = (code for code in re.findall(r"```bash\n(.*?)```", page, re.S) if "curl" in code)
    shutil.copy(next(demo_root.rglob("*.wav")), tmp_path / "my_recording.wav")
    request = request.replace("http://127.0.0.1:5050", served.address)
    said = subprocess.run(request, shell=True, cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    (answer,) = json.loads(said.stdout)["predictions"]
    assert answer["emotion"]


def test_served_model_answers_recordings_and_allowed_paths_as_it_was_trained(served, demo_root):
    address, model, _ = served
    clips = sorted((demo_root / "Actor_01").glob("*.wav"))[:3]
    wanted = np.array([expected(model.trained, clip) for clip in clips])
    encoded = [{"audio_b64": recording(clip)} for clip in clips]
    for body in (
        {"dataframe_records": encoded},
        {"dataframe_records": [{"path": str(clip.relative_to(demo_root))} for clip in clips]},
        {"dataframe_split": {"columns": ["path"], "data": [[str(clip)] for clip in clips]}},
        {"inputs": {"audio_b64": [row["audio_b64"] for row in encoded]}},
    ):
        status, answer = ask(address, body)
        assert status == 200, answer
        rows = answer["predictions"]
        got = np.array([[row[f"p_{emotion}"] for emotion in model.emotions] for row in rows])
        np.testing.assert_allclose(got, wanted, atol=1e-6)
        assert [row["emotion"] for row in rows] == [
            model.emotions[i] for i in wanted.argmax(axis=1)
        ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"dataframe_records": [{"audio_b64": "%%%"}]}, "is not base64"),
        ({"dataframe_records": [{"audio_b64": ""}]}, "empty (0 bytes)"),
        ({"dataframe_records": [{"audio_b64": "UklGRg=="}]}, "not readable as audio"),
        ({"dataframe_records": [{"audio_b64": "A" * 100_000_000}]}, "at most 17825792"),
        ({"dataframe_records": [{"audio_b64": 7}]}, "is no text"),
        ({"dataframe_records": [{"path": "../../etc/passwd"}]}, "not below the folder"),
        ({"dataframe_records": [{"path": "/etc/passwd"}]}, "not below the folder"),
        ({"dataframe_records": [{"path": "Actor_01/nobody.wav"}]}, "no such file"),
        ({"dataframe_records": [{"audio_b64": "", "volume": 1}]}, "Unknown field volume"),
        ({"dataframe_records": [{"audio_b64": "", "path": ""}]}, "either audio_b64 or path"),
        ({"dataframe_records": []}, "either audio_b64 or path"),
        ({}, "exactly one of the input fields"),
        (b"{not json", "JSON"),
        (b"[" * 5000, "JSON"),
        (b"[" * 20_000, "more than 10000 values"),
        ({"dataframe_records": [{"path": "a\0b"}]}, "no path that can be read"),
        ({"dataframe_records": [{"path": "loop"}]}, "no path that can be read"),
        ({"inputs": {"audio_b64": ["", ""], "speaker": ["a"]}}, "not of one length"),
        ({"inputs": {"audio_b64": [["a"], ["b", "c"]]}}, "is no text"),
        ({"dataframe_records": [{"path": ""}] * 101}, "at most 100 are taken"),
        ({"dataframe_records": [{"audio_b64": LONG}]}, "at most 4194304 are taken"),
        ({"dataframe_records": [{"audio_b64": MINUTE}] * 6}, "at most 16777216 are taken"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_served_model_refuses_with_a_reason_and_lives_on(served, demo_root, body, reason):
    address = served.address
    status, answer = ask(address, body)
    assert 400 <= status < 500
    assert reason in answer["message"]
    assert "stack_trace" not in answer and "Traceback" not in answer["message"]
    clip = next((demo_root / "Actor_02").glob("*.wav"))
    assert ask(address, {"dataframe_records": [{"audio_b64": recording(clip)}]})[0] == 200


def test_served_model_answers_eight_clients_without_loss_or_mix(served, demo_root):
    address, model, _ = served
    clips = sorted(demo_root.rglob("*.wav"))
    wanted = {clip: expected(model.trained, clip).argmax() for clip in clips}
    bodies = {clip: {"dataframe_records": [{"audio_b64": recording(clip)}]} for clip in clips}
    asked = [clips[i % len(clips)] for i in range(500)]
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda clip: ask(address, bodies[clip]), asked))
    assert [status for status, _ in answers] == [200] * 500
    got = [answer["predictions"][0]["emotion"] for _, answer in answers]
    assert got == [model.emotions[wanted[clip]] for clip in asked]


def test_registered_model_carries_its_card(served):
    import mlflow

    model = served.model
    (card,) = model.folder.rglob("model_card.md")
    text = card.read_text(encoding="utf-8")
    metrics = model.run.metrics
    assert f"UAR {100 * metrics['test_uar']:.1f} %" in text
    low, high = (100 * metrics[f"test_uar_{end}"] for end in ("low", "high"))
    assert f"over actors: {low:.1f} to {high:.1f}" in text
    assert "voices synthesised by ser" in text
    assert "| female |" in text
    version = mlflow.MlflowClient(model.run.uri).get_model_version_by_alias("ser", "champion")
    assert version.description == text


def test_server_stays_small_under_eight_clients_who_ask_for_all_that_is_allowed(served):
    address = served.address
    row = "A" * (12 * 2**20 * 4 // 3 - 4)
    longest = flac(87)
    bodies = [
        {"dataframe_records": [{"audio_b64": longest}] * 2},
        {"dataframe_records": [{"audio_b64": row}] * 6},
        {"inputs": {"audio_b64": [row, *[""] * 90]}},
        b'{"instances": [' + b'{"a": 1},' * 10**6 + b"{}]}",
    ]
    with ThreadPoolExecutor(8) as clients:
        statuses = {status for status, _ in clients.map(lambda b: ask(address, b), bodies * 4)}
    assert statuses <= {200, 400, 413, 429, 504}
    assert served.peak() < 2**30
