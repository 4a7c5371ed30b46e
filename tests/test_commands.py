"""Every command of the README and the docs runs as it is printed, in a small copy of the project.

The copy has a corpus in RAVDESS's shape and the recordings that the pages name. `REWRITTEN` has
what cannot stand in a page and what would only take longer, `ELSEWHERE` says why some commands are
not run here and which test runs them. A rule that fits no command fails.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pandas as pd
import pytest
import soundfile

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = [
    CHECKOUT / "README.md",
    *CHECKOUT.glob("CONTRIBUTING.md"),
    *sorted((CHECKOUT / "docs").glob("*.md")),
    *sorted((CHECKOUT / "experiments").rglob("README.md")),
]

REWRITTEN = [  # pattern, what stands there instead
    (r"\bRUN RUN\b", "{run} {other_run}"),  # ids differ from log to log
    (r"ser\.check latest$", "ser.check {run}"),  # the newest may be of a network
    # Their last run asks for speakers, and others' `latest` is of one log.
    (r"(experiment=(protocols|best_transductive).*)", r"\1 tracking.uri=sqlite:///other/mlflow.db"),
    (r"tuner\.n_trials=\d+", "tuner.n_trials=3"),  # from here on: fewer of the same
    (r"tuner\.timeout=60", "tuner.timeout=5"),
    (r"svm,knn,random_forest,mlp seed=1,2,3", "svm,knn seed=1,2"),
    (r"--clips 10000$", "--clips 1000"),
]
ELSEWHERE = [  # pattern, why it is not run here
    (r"^pip install |train model=svm data=demo$", "the gate installs and runs it so"),
    (r"^pytest\b|^make\b|^pre-commit\b|^bash \.ci/run", "would run the tests in the tests"),
    (r"^ser-ui\b", "test_ui_answers starts it"),
    (r"^jupyter execute --inplace", "would overwrite it: tests/test_introduction.py runs it"),
    (r"data=mine|--trust voices", "tests/test_extending.py follows that page"),
    (
        r"^mlflow models serve|request\.json|^python -m ser\.app",
        "tests/tracking/test_serving.py and test_app.py do",
    ),
    (r"^dask |HOST:8786", "needs a cluster: tests/core/test_compute.py starts one"),
    (r"^optuna-dashboard", "a server of another project's"),
    (r"postgresql://", "needs a server: tests/tune/test_tune.py starts one"),
    (r"experiment=(seed|features)\b", "33 and 15 runs: tests/train/test_train.py compares a few"),
    (r"data(\.test)?=emodb\b", "needs EMO-DB itself; its grammar is tested on made files"),
    (r"experiment=best_inductive\b", "minutes; best_transductive, run here, has two of its parts"),
    (r"benchmarks/startup\.py", "two minutes of whole processes, one after the other"),
    (r"benchmarks/tuning\.py", "three studies, one of a hundred trials"),
    (r"benchmarks/best_inductive\.py", "two runs of minutes"),
    (r"benchmarks/alternatives\.py", "needs the libraries that it compares with"),
    (r"benchmarks/long_haul\.py", "a thousand runs; tests/test_ui.py shows as many"),
    (r"^SER_FAULTS_KILLS=", "would run the tests in the tests"),
    (r"ser\.doctor", "looks at the whole machine: tests/doctor/test_doctor.py"),
    (r"tests/faults/fuzz\.py", "takes minutes; tests/faults/test_fuzz.py takes seconds"),
    (r"benchmarks/across_machines\.py", "extracts and trains under seven BLAS kernels"),
    (r"optuna-vs-grid/(run|compare)\.py", "the grid is 3600 fits"),
    (r"model=(cnn|lstm|crnn)\b|demo cnn lstm", "tests/models/test_networks.py trains one"),
    (r"model=finetune\b", "tests/models/test_finetune.py trains one"),
    (
        r"speech_model|features=whisper_tiny|^SER_CHECKPOINTS|^E=",
        "needs a checkpoint: tests/train/test_speech_models.py makes one",
    ),
    (r"ser\.check .*--clips", "its emotions are the model's: tests/check/test_check.py asks one"),
    (r"few_clips\.py", "two minutes of openSMILE; what it calls is tested"),
    (r"published_check\.py", "compares with numbers on RAVDESS itself"),
]


def commands():
    """Every line of the pages' bash blocks, each once."""
    found = {}
    for page in PAGES:
        for block in re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.S | re.M):
            for line in block.replace("\\\n", " ").splitlines():
                for command in re.sub(r"(^|\s)#.*", "", line).split("&&"):
                    if command.strip():
                        found.setdefault(re.sub(r"\s+", " ", command.strip()), page.name)
    return found


def elsewhere(command):
    return next((why for pattern, why in ELSEWHERE if re.search(pattern, command)), None)


def test_every_rule_fits_a_command():
    for pattern, _ in [*ELSEWHERE, *REWRITTEN]:
        assert any(re.search(pattern, command) for command in commands()), pattern


@pytest.fixture(scope="module")
def place(tmp_path_factory, demo_root):
    """A copy of the project with what the commands name, and its environment."""
    place = tmp_path_factory.mktemp("commands")
    for folder in ("ser", "conf", "benchmarks", "experiments"):
        shutil.copytree(CHECKOUT / folder, place / folder)
    clips = _small_ravdess(demo_root, place / "data" / "ravdess")
    for folder in ("recordings", "calls/monday"):
        (place / folder).mkdir(parents=True)
        for clip in clips[:4]:
            shutil.copy(clip, place / folder)
    for clip in clips:
        emotion, speaker = clip.stem[6:8], clip.stem[-2:]
        for name in (
            f"my_clips/{emotion}/{speaker}/1.wav",
            f"my_voices/{emotion}/{speaker}.wav",
            f"my_files/{speaker}_{emotion}_1.wav",
        ):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(clip, place / name)
    for name in ("my_recording.wav", "interview.wav"):
        shutil.copy(next(demo_root.rglob("*.wav")), place / name)
    table = {"path": clips, "emotion": [p.stem[6:8] for p in clips]}
    table["speaker"] = [p.stem[-2:] for p in clips]
    pd.DataFrame(table).to_csv(place / "clips.csv", index=False)
    answers = {"clip": clips, "true": table["emotion"], "predicted": table["emotion"][::-1]}
    pd.DataFrame(answers).to_csv(place / "predictions.csv", index=False)
    (place / "limits.yaml").write_text("fairness: {limits: {uar_gap: 0.2}}\n")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(place),
        "PYTHONPATH": str(place),
        # As in conftest.py: a process for each of pytest's workers.
        **dict.fromkeys(("LOKY_MAX_CPU_COUNT", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1"),
    }
    return place, environment


@pytest.fixture(scope="module")
def runs(place):
    """Two runs that the log has, under the names that stand in `REWRITTEN`."""
    words = {}
    for word, model in (("other_run", "dummy"), ("run", "naive_bayes")):
        said = _run(f"python -m ser.train model={model} split=loso curves=none", place)
        words[word] = re.search(r"^run +(\w+)", said, re.M).group(1)
    _run(f"python -m ser.register {words['run']} ser", place)
    return words


def _small_ravdess(demo_root, root):
    """24 actors with four voices, an emotion once each, a second long; no two the same."""
    clips = []
    for actor in range(1, 25):
        (root / f"Actor_{actor:02d}").mkdir(parents=True)
        for emotion in range(1, 9):
            statement = 1 + (actor + emotion) % 2
            voice = (actor - 1) % 4 + 1
            name = f"03-01-{emotion:02d}-01-{statement:02d}-01"
            y, sr = soundfile.read(
                demo_root / f"Actor_{voice:02d}" / f"{name}-{voice:02d}.wav", dtype="int16"
            )
            clips.append(root / f"Actor_{actor:02d}" / f"{name}-{actor:02d}.wav")
            middle = (len(y) - sr) // 2 + actor * 100
            soundfile.write(clips[-1], y[middle : middle + sr], sr)
    return clips


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in commands() if not elsewhere(c)])
def test_command_runs(command, place, runs):
    for pattern, replacement in REWRITTEN:
        command = re.sub(pattern, replacement.format(**runs), command)
    assert _run(command, place).strip()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["using", "exploring"])  # README's: tests/test_api.py
def test_python_blocks_run(name, place, runs):
    page = (CHECKOUT / "docs" / f"{name}.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.S | re.M)
    folder, environment = place
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, cwd=folder)


@pytest.mark.slow
def test_ui_answers(place, runs):
    folder, environment = place
    ui = subprocess.Popen(
        ["ser-ui", "--port", "5077"],
        env=environment,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(120):
            try:
                page = urlopen("http://127.0.0.1:5077/", timeout=5).read()
                break
            except (URLError, OSError):
                assert ui.poll() is None
                time.sleep(0.5)
        assert b"MLflow" in page
    finally:
        os.killpg(ui.pid, signal.SIGKILL)
        ui.wait()


def _run(command, place):
    folder, environment = place
    done = subprocess.run(
        command, shell=True, env=environment, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr
