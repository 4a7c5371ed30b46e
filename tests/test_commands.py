"""Every command of the README and the docs runs, on demo voices in the shape of RAVDESS.

A command is run as it stands, but for `SHORTER`, which makes long ones short and fills placeholders
in, and `ELSEWHERE`, which says why some are not run here. A rule that fits no command fails.
"""

import os
import re
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

SHORTER = [  # pattern, what stands there instead; every rule that fits is applied, in order
    (r"data=demo", "data=demo data.root={demo} data.speakers=4"),
    (r"\bdata/ravdess\b", "{ravdess}"),
    (r"clips\.csv", "{folder}/clips.csv"),
    (r"data\.root=voices", "data.root={voices}"),
    (r"ser\.predict my_recording\.wav", "ser.predict {clip}"),
    (r"recordings/ 'calls/\S+ --run best", "{recordings} --run best --best-split random"),
    (r"--out answers\.csv", "--out {folder}/answers.csv"),
    (r"--pictures pictures", "--pictures {folder}/pictures"),
    (r"ser\.register RUN", "ser.register {run}"),
    (r"RUN RUN", "{run} {other_run}"),
    (
        r"^python -m ser\.tune(?! -m)(.*)",
        r"python -m ser.tune\1 tuner.n_trials=2 cv.n_splits=2 curves=none",
    ),
    (r"(tuner\.nested=true .*)tuner.n_trials=2", r"\1tuner.n_trials=1 split=luna5"),
    (r"^python -m ser\.tune -m(.*)", r"python -m ser.tune -m\1 tuner.n_trials=1 cv.n_splits=2"),
    (r"model=svm,knn,random_forest,mlp seed=1,2,3 split=random,speaker", "model=knn,svm seed=1,2"),
    (
        r"experiment=seed",
        "experiment=seed variants.grid.model=[knn] variants.grid.scaler=[none]",
    ),
    (r"explain=true", "explain=true model=naive_bayes split=emobox6 curves=none"),
    (r"model=mlp split=speaker", "model=mlp split=speaker model.classifier.max_iter=10"),
    (r"explore\.out=ravdess_explored", "explore.out={folder}/explored"),
    (r"clip=my_recording\.wav", "clip={clip} explore.out={folder}"),
    (r"experiment=permutation", "experiment=permutation permutations=3"),
    (r"extraction\.py (.*) --clips 480 --rounds 3", r"extraction.py \1 --clips 8 --rounds 1"),
    (r"cores\.py (\S+) .*", r"cores.py \1 --rounds 1 --epochs 2"),
    (r"(serving\.py \S+)", r"\1 --requests 20"),
    (r"scale\.py FOLDER.*", "scale.py {folder}/scale --clips 1000"),
    (
        r"experiment=best_(in|trans)ductive",
        r"experiment=best_\1ductive augmentation=none split=luna5"
        " features@features.sets.compare=prosody",
    ),
    (r"experiment=best_random", "experiment=best_random augmentation=none"),
    (
        r"experiment=(features|classifiers|augmentation)\b",
        r"experiment=\1 ~variants.runs"
        """ '+variants.runs.one=["model=kernel_ridge","features=prosody","split=luna5"]'""",
    ),
    (r"feature_sets\.py (\S+) --clips 40", r"feature_sets.py \1 --clips 4"),
    (r"functionals (.*)=all augmentation\.seed=1.*", r"prosody \1=gain augmentation.seed=1,2"),
    (r"confidence/models\.py.*", "confidence/models.py ravdess naive_bayes"),
    (r"confidence/run\.py demo", "confidence/run.py ravdess"),
    (r"ser\.report latest", "ser.report latest --out {folder}/report.html"),
]
ELSEWHERE = [  # pattern, why it is not run here
    (r"^pip install ", "the gate installs so"),
    (r"^pytest\b|^make\b|^pre-commit\b|^bash \.ci/run", "would run the tests in the tests"),
    (r"^ser-ui\b", "test_ui_answers starts it"),
    (r"^jupyter execute --inplace", "would overwrite it: tests/test_introduction.py runs it"),
    (r"data=mine|--trust voices", "tests/test_extending.py follows that page"),
    (
        r"^mlflow models serve|^python -m ser\.app",
        "test_serving.py and test_app.py do",
    ),
    (r"^dask |HOST:8786", "needs a cluster: tests/core/test_compute.py starts one"),
    (r"^optuna-dashboard", "a server of another project's"),
    (r"postgresql://", "needs a server: tests/tune/test_tune.py starts one"),
    (r"benchmarks/startup\.py", "two minutes of whole processes, one after the other"),
    (r"benchmarks/alternatives\.py", "needs the libraries that it compares with"),
    (r"benchmarks/long_haul\.py", "a thousand runs; tests/test_ui.py shows as many"),
    (r"^SER_FAULTS_KILLS=", "would run the tests in the tests"),
    (r"ser\.doctor", "looks at the whole machine: tests/doctor/test_doctor.py"),
    (r"tests/faults/fuzz\.py", "takes minutes; tests/faults/test_fuzz.py takes seconds"),
    (r"benchmarks/across_machines\.py", "extracts and trains under seven BLAS kernels"),
    (r"optuna-vs-grid/(run|compare)\.py", "the grid is 3600 fits"),
    (r"model=(cnn|lstm|crnn)\b", "tests/models/test_networks.py trains one"),
    (r"model=finetune\b", "tests/models/test_finetune.py trains one"),
    (
        r"speech_model|features=whisper_tiny|^SER_CHECKPOINTS|^E=",
        "needs a checkpoint: tests/train/test_speech_models.py makes one",
    ),
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


def shortened(command):
    for pattern, replacement in SHORTER:
        command = re.sub(pattern, replacement, command)
    return command


def elsewhere(command):
    return next((why for pattern, why in ELSEWHERE if re.search(pattern, command)), None)


def test_every_rule_fits_a_command():
    everything = list(commands())
    for pattern, _ in ELSEWHERE:
        assert any(re.search(pattern, command) for command in everything), pattern
    run_here = [command for command in everything if not elsewhere(command)]
    for number, (pattern, _) in enumerate(SHORTER):
        before = run_here
        for earlier, replacement in SHORTER[:number]:
            before = [re.sub(earlier, replacement, command) for command in before]
        assert any(re.search(pattern, command) for command in before), pattern


@pytest.fixture(scope="module")
def place(tmp_path_factory, demo_root, demo_store):
    """Environment, and what stands for the placeholders: a folder, a corpus, and two runs in it."""
    folder = tmp_path_factory.mktemp("commands")
    ravdess = folder / "ravdess"
    for actor in range(1, 25):  # four voices, six times each, none to the sample
        (ravdess / f"Actor_{actor:02d}").mkdir(parents=True)
        for clip in (demo_root / f"Actor_{(actor - 1) % 4 + 1:02d}").glob("*-01-??.wav"):
            name = f"{clip.stem[:-2]}{actor:02d}.wav"
            y, sr = soundfile.read(clip, dtype="int16")
            soundfile.write(ravdess / f"Actor_{actor:02d}" / name, y[:-actor], sr)
    some = sorted(ravdess.rglob("*.wav"))
    table = {"path": some, "emotion": [p.stem[6:8] for p in some]}
    table["speaker"] = [p.stem[-2:] for p in some]
    pd.DataFrame(table).to_csv(folder / "clips.csv", index=False)
    for clip in some:
        voice = folder / "voices" / clip.stem[6:8] / clip.stem[-2:]
        voice.mkdir(parents=True, exist_ok=True)
        (voice / clip.name).symlink_to(clip)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(folder),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlruns/mlflow.db",
        "SER_STORE": str(demo_store),
        "SER_RAVDESS_ROOT": str(ravdess),
    }
    words = {"folder": folder, "demo": demo_root, "ravdess": ravdess, "clip": some[0]}
    words["voices"] = folder / "voices"
    words["recordings"] = ravdess / "Actor_01"
    for word, model in (("run", "naive_bayes"), ("other_run", "dummy")):
        said = _run(f"python -m ser.train model={model} curves=none", environment, folder)
        words[word] = re.search(r"^run +(\w+)", said, re.M).group(1)
    return environment, words


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in commands() if not elsewhere(c)])
def test_command_runs(command, place):
    environment, words = place
    said = _run(shortened(command).format(**words), environment, words["folder"])
    assert said.strip()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["using", "exploring"])  # README's: tests/test_api.py
def test_python_blocks_run(name, place):
    environment, words = place
    page = (CHECKOUT / "docs" / f"{name}.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.S | re.M)
    clip = str(next(words["ravdess"].rglob("*.wav")))
    for there, here in (
        ('"best"', repr(words["run"])),
        ("my_recording.wav", clip),
        ("interview.wav", clip),
        ("recordings/", str(words["recordings"])),
    ):
        code = code.replace(there, here)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, cwd=CHECKOUT)


@pytest.mark.slow
def test_ui_answers(place):
    environment, _ = place
    ui = subprocess.Popen(
        ["ser-ui", "--port", "5077"],
        env=environment,
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


def _run(command, environment, folder):
    done = subprocess.run(
        _in_its_place(command, folder),
        shell=True,
        env=environment,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def _in_its_place(command, folder):
    """The command, whose outputs and study go into the folder."""
    if not re.match(r"(python -m ser\.|ser-)(train|tune|explore)\b", command):
        return command
    kind = "sweep" if " -m " in command.removeprefix("python -m") else "run"
    more = f" hydra.{kind}.dir={folder}/hydra"
    if "ser.tune" in command:
        more += f" tuner.storage={folder}/optuna.journal"
    # Overrides stand together: before the flags that a command ends with.
    return re.sub(r"((?: --\w+(?: (?:job|defaults))?)*)$", rf"{more}\1", command, count=1)
