"""Make the fixtures of this folder with the code of ser 0.1.0.

Run with ser 0.1.0 at commit cf19e7f (of the time when all modules lay in one package), Python
3.11.7, hydra-core 1.3.8, joblib 1.6.0, librosa 0.11.0, matplotlib 3.11.2, mlflow 3.17.2, numpy
2.4.6, optuna 5.0.0, pandas 3.1.1, scikit-learn 1.9.1, scipy 1.17.1, skops 0.16.0, skorch 1.4.0,
soundfile 0.14.0, SQLAlchemy 2.1.9, threadpoolctl 3.8.0 and torch 2.13.0+cpu:

    git clone ... old && git -C old checkout cf19e7f && python -m venv oldvenv
    oldvenv/bin/pip install ./old torch==2.13.0 skorch
    OLD=/path/to/old taskset -c 1 oldvenv/bin/python make.py

What is made, all of synthetic voices (data=demo), so that it may be published:

- clips/SPEAKER/EMOTION.flac: 0.4 s of demo speakers 5 and 6, whom no model has heard, at 16 kHz;
- models.tar.xz: models/NAME/ as `ser.persistence.save_model` writes them, one for each class that
  can be in a file, each fitted on 32 clips of demo speakers 1 to 4;
- features.sqlite: a feature store with three feature sets of the clips;
- optuna.journal, optuna.workers/: a study of six trials as `python -m ser.tune` leaves it;
- mlruns.tar.xz: mlruns/ with one run of `python -m ser.train`, registered: mlflow.db, artifacts/;
  all is as 0.1.0 writes it, but for figures of few pixels (`SMALL_FIGURES`);
- expected.json: what 0.1.0 makes of all that.

Afterwards the folder that they were made in was replaced in them, by a name of the same length.

Content comes out the same again, but for ids, times and the order of a zip's bytes. With names of
steps as arguments only these are done: see `STEPS`.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
OLD = Path(os.environ["OLD"])  # a checkout: runs log its commit
WORK = HERE.parent / "work"  # the demo corpus, and what is not kept
LOG = HERE / "mlruns"
MODELS_FOLDER = HERE / "models"
# What the children get; here too, before anything is imported.
os.environ |= {
    "SER_DEMO_ROOT": str(WORK / "demo"),
    "SER_STORE": str(WORK / "features.sqlite"),
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "GIT_PYTHON_REFRESH": "quiet",
}

import numpy as np  # noqa: E402
import soundfile  # noqa: E402

import ser  # noqa: E402
from ser import cli, project  # noqa: E402
from ser.audio import read_audio  # noqa: E402
from ser.corpora import demo  # noqa: E402
from ser.ensemble import Ensemble, columns_of  # noqa: E402
from ser.features.augmentation import Augmentation  # noqa: E402
from ser.features.notebook import NotebookFeatures  # noqa: E402
from ser.features.prosody import ProsodyFeatures  # noqa: E402
from ser.features.resampling import resample  # noqa: E402
from ser.features.union import UnionFeatures  # noqa: E402
from ser.kernel_ridge import KernelRidgeClassifier  # noqa: E402
from ser.persistence import TrainedModel, load_model, save_model  # noqa: E402
from ser.pipeline import build_pipeline, fit  # noqa: E402
from ser.scaling import SpeakerScaler  # noqa: E402
from ser.store import extract  # noqa: E402
from ser.threads import one_thread  # noqa: E402

PACKAGES = (
    "hydra-core joblib librosa matplotlib mlflow numpy optuna pandas scikit-learn scipy skops "
    "skorch soundfile SQLAlchemy threadpoolctl torch"
).split()
SR = 16_000
SECONDS = 0.4
SPEAKERS = (5, 6)
EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful")
FEW = ("features.sr=16000", "features.n_mels=0", "features.n_mfcc=13")  # 25 columns
# Name -> overrides of conf/train.yaml.
MODELS = {
    "svm": ("model=svm", *FEW),  # calibration.TemperatureScaling
    "svm_sigmoid": ("model=svm", "calibrate=sigmoid", "features=prosody"),
    "kernel_ridge": ("model=kernel_ridge", *FEW),
    "ensemble": ("model=ensemble", "model.classifier.members.lda=null", "features=prosody"),
    "svm_selection": ("model=svm", "selection=mutual_information", "selection.k=8", *FEW),
    "svm_transductive": ("model=svm", "scaler=speaker", "features=prosody"),
    "cnn": (
        "model=cnn",
        "model.classifier.width=2",
        "model.classifier.epochs=2",
        "model.classifier.batch_size=8",
        "model.classifier.device=cpu",
        "model.classifier.checkpoints=null",
    ),
}
BY_SET = "kernel_ridge_by_set"  # of two sets that need no openSMILE
# `ser.train`, but for the resolution of its figures: they and the report were 850 kB else.
SMALL_FIGURES = """
import ser.tracking

def figure(self, figure, name):
    figure.savefig(self._path(f"figures/{name}.png"), dpi=12)

ser.tracking.Run.figure = figure
from ser.train import main
main()
"""
DEMO = ("data=demo", "data.speakers=4", "curves=none", "compute.n_jobs=1")
REGISTERED = "old"
STUDY = "old"
N_TRIALS = 6
N_COLUMNS = 20  # of the notebook's 180 that expected.json has


def make_clips() -> None:
    shutil.rmtree(HERE / "clips", ignore_errors=True)
    for speaker in SPEAKERS:
        for emotion in EMOTIONS:
            code = demo.EMOTIONS.index(emotion) + 1
            y = demo.synthesise(f"03-01-{code:02d}-01-01-01-{speaker:02d}")
            start = len(y) // 4
            y = y[start : start + round(SECONDS * demo.SR)].astype(np.float32)
            file = HERE / "clips" / f"speaker{speaker}" / f"{emotion}.flac"
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, resample(y, demo.SR, SR), SR, subtype="PCM_16")


def make_models() -> None:
    shutil.rmtree(MODELS_FOLDER, ignore_errors=True)
    clips = demo.load(WORK / "demo", speakers=4)
    some = (clips["intensity"] == "normal") & (clips["statement"] == 1) & (clips["repetition"] == 1)
    clips = clips[some].reset_index(drop=True)
    for name, overrides in MODELS.items():
        save_model(trained(clips, *overrides), MODELS_FOLDER / name)
    save_model(trained_by_set(clips), MODELS_FOLDER / BY_SET)


@one_thread()
def trained(clips, *overrides: str) -> TrainedModel:
    """The model of a config, as `ser.runs` makes it, for speakers who are not known."""
    from hydra.utils import instantiate

    from ser.runs import features_of, model_of

    cfg = composed("split=speaker", *DEMO, *overrides)
    pipeline, scaler = model_of(cfg)
    X = features_of(cfg, clips["path"].tolist()).X
    actors = clips["actor"].to_numpy()
    if scaler is not None:
        X = scaler.transform(X, actors)
    fitted = fit(pipeline, X, clips["emotion"].to_numpy(dtype=str), actors)
    return TrainedModel(fitted, instantiate(cfg.features), scaler is not None)


@one_thread()
def trained_by_set(clips) -> TrainedModel:
    """What model=kernel_ridge_by_set is, on other sets than its own."""
    from sklearn.preprocessing import StandardScaler

    features = UnionFeatures(
        sets={
            "prosody": ProsodyFeatures(),
            "notebook": NotebookFeatures(sr=SR, n_mels=0, n_mfcc=13),
        }
    )
    ridge = {"alphas": [0.01, 0.1, 0.3], "gammas": [0.3, 1.0], "class_weight": "balanced"}
    members = {
        name: {
            "columns": columns_of(name, features),
            "classifier": KernelRidgeClassifier(kernel="rbf", **ridge),
        }
        for name in features.sets
    }
    steps = {"scaler": StandardScaler(), "classifier": Ensemble(members, random_state=69)}
    paths = clips["path"].tolist()
    X = extract(paths, features, store=WORK / "features.sqlite", n_jobs=1, progress=False).X
    y, actors = clips["emotion"].to_numpy(dtype=str), clips["actor"].to_numpy()
    return TrainedModel(fit(build_pipeline(steps, seed=69), X, y, actors), features, False)


def composed(*overrides: str):
    from hydra import compose, initialize_config_dir

    project.register_resolvers()
    with initialize_config_dir(str(project.CONF), version_base="1.3"):
        cfg = compose("train", overrides=list(overrides), return_hydra_config=True)
    return cli.without_hydra(cfg)[0]


def feature_sets() -> dict[str, object]:
    prosody = ProsodyFeatures()
    (faster,) = Augmentation(copies=1, speed=(0.9, 1.1), seed=69).of(prosody)
    return {"notebook": NotebookFeatures(), "prosody": prosody, "prosody_augmented": faster}


def make_store() -> None:
    store = HERE / "features.sqlite"
    store.unlink(missing_ok=True)
    for one in feature_sets().values():
        extract(clip_paths(), one, store=store, n_jobs=1, progress=False)
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def make_study() -> None:
    journal = HERE / "optuna.journal"
    journal.unlink(missing_ok=True)
    shutil.rmtree(journal.with_suffix(".workers"), ignore_errors=True)
    uri = f"sqlite:///{WORK}/mlruns/mlflow.db"
    command(
        *(
            "-m",
            "ser.tune",
            "model=svm",
            *DEMO,
            *FEW,
            "cv.n_splits=3",
            f"tuner.n_trials={N_TRIALS}",
        ),
        *(f"tuner.study={STUDY}", f"tuner.storage={journal}", f"tracking.uri={uri}"),
    )


def make_log() -> None:
    shutil.rmtree(LOG, ignore_errors=True)
    uri = f"sqlite:///{LOG}/mlflow.db"
    command(
        *("-c", SMALL_FIGURES, "model=svm", *DEMO, *FEW, "cv.n_splits=3"),
        *(f"register={REGISTERED}", f"tracking.uri={uri}"),
    )
    (LOG / "mlflow.lock").unlink(missing_ok=True)
    with closing(sqlite3.connect(LOG / "mlflow.db")) as connection:
        connection.execute("VACUUM")  # all rows are as they were


def pack() -> None:
    """Archives in the place of the two folders: ten times smaller."""
    for folder in (MODELS_FOLDER, LOG):
        with tarfile.open(folder.with_name(f"{folder.name}.tar.xz"), "w:xz", preset=9) as archive:
            archive.add(folder, folder.name, filter=_plain)
        shutil.rmtree(folder)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def command(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments, f"hydra.run.dir={WORK}/hydra"], cwd=OLD, check=True)


def clip_paths() -> list[str]:
    return [str(HERE / "clips" / f"speaker{s}" / f"{e}.flac") for s in SPEAKERS for e in EMOTIONS]


def vectors(feature_set) -> np.ndarray:
    """As `ser.prediction` computes them."""
    rows = []
    for path in clip_paths():
        y, sr = read_audio(path, min_samples=feature_set.min_samples)
        with one_thread():
            rows.append(feature_set(y, sr))
    return np.stack(rows)


def short(X: np.ndarray) -> list[list[float]]:
    """Rows whose numbers have the fewest digits that are the same float32."""
    return [[float(str(value)) for value in row] for row in X.astype(np.float32)]


def expect() -> None:
    """Ask 0.1.0 what all of it holds; it reads the files anew."""
    expected = {
        "ser": ser.__version__,
        "commit": "cf19e7f",
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in PACKAGES},
        "clips": clips_expected(),
        "models": models_expected(),
        "store": store_expected(),
        "study": study_expected(),
        "log": log_expected(),
    }
    (HERE / "expected.json").write_text(dumped(expected))


def dumped(expected: dict) -> str:
    """JSON with one line for each row of numbers."""
    lists: list[str] = []

    def marked(value):
        if isinstance(value, dict):
            return {key: marked(one) for key, one in value.items()}
        if isinstance(value, list) and any(isinstance(one, list | dict) for one in value):
            return [marked(one) for one in value]
        if isinstance(value, list):
            lists.append(json.dumps(value))
            return f"@{len(lists) - 1}@"
        return value

    text = json.dumps(marked(expected), indent=1)
    for number, line in enumerate(lists):
        text = text.replace(f'"@{number}@"', line, 1)
    return text + "\n"


def clips_expected() -> list[dict]:
    return [
        {
            "path": str(Path(path).relative_to(HERE)),
            "speaker": Path(path).parent.name,
            "sr": soundfile.info(path).samplerate,
            "n_samples": soundfile.info(path).frames,
        }
        for path in clip_paths()
    ]


def models_expected() -> dict:
    found = {}
    for name in (*MODELS, BY_SET):
        model = load_model(MODELS_FOLDER / name)
        found[name] = {
            "emotions": list(model.emotions),
            "scale_by_speaker": model.scale_by_speaker,
            "n_features": len(model.feature_set.names),
            "probabilities": asked(model),
        }
    return found


def asked(model: TrainedModel) -> list[list[float]]:
    speakers = [Path(path).parent.name for path in clip_paths()]
    X = vectors(model.feature_set)
    return model.probabilities(X, speakers if model.scale_by_speaker else None).tolist()


def store_expected() -> dict:
    with closing(sqlite3.connect(HERE / "features.sqlite")) as connection:
        settings = [key for (key,) in connection.execute("SELECT settings FROM extractors")]
        layout = connection.execute("PRAGMA user_version").fetchone()[0]
    sets = {}
    for key, (name, one) in zip(settings, feature_sets().items(), strict=True):
        found = extract(clip_paths(), one, store=HERE / "features.sqlite", n_jobs=1, progress=False)
        assert not found.n_extracted
        sets[name] = {
            "settings": key,
            "n_columns": len(found.names),
            "columns": list(found.names[:N_COLUMNS]),
            "X": short(found.X[:, :N_COLUMNS]),
            "row_sums": found.X.sum(axis=1, dtype=np.float64).tolist(),
        }
    return {"layout": layout, "content": found.content.tolist(), "sets": sets}


def study_expected() -> dict:
    from ser.studies import open_study
    from ser.trials import best_trial, value_of

    # Of a copy: to open one is to sign in.
    copy = WORK / "copy.journal"
    shutil.copy(HERE / "optuna.journal", copy)
    with open_study(str(copy), STUDY) as (study, worker):
        trials = study.get_trials()
        best = best_trial(study)
    return {
        "name": STUDY,
        "direction": study.direction.name,
        "n_workers_before": worker.number,
        "n_trials": len(trials),
        "states": [trial.state.name for trial in trials],
        "values": [trial.value for trial in trials],
        "best_trial": best.number,
        "best_value": value_of(best),
        "best_params": best.params,
    }


def log_expected() -> dict:
    from ser import logged_runs
    from ser.models import find_model

    uri = f"sqlite:///{LOG}/mlflow.db"
    run = logged_runs.find_run(uri, "latest", with_model=True)
    found = find_model(uri=uri)
    champion = find_model(model=f"models:/{REGISTERED}@champion", uri=uri)
    assert champion.digest == found.digest
    with closing(sqlite3.connect(LOG / "mlflow.db")) as connection:
        ask = lambda query: connection.execute(query).fetchall()  # noqa: E731
        places = {
            "experiments.artifact_location": dict(
                ask("SELECT name, artifact_location FROM experiments")
            ),
            "runs.artifact_uri": dict(ask("SELECT run_uuid, artifact_uri FROM runs")),
            "logged_models.artifact_location": dict(
                ask("SELECT model_id, artifact_location FROM logged_models")
            ),
            "model_versions.source": dict(ask("SELECT name, source FROM model_versions")),
            "model_versions.storage_location": dict(
                ask("SELECT name, storage_location FROM model_versions")
            ),
        }
        status = dict(ask("SELECT run_uuid, status FROM runs"))
        schema = ask("SELECT version_num FROM alembic_version")[0][0]
    predictions = next(LOG.rglob("tables/predictions.csv"))
    lines = predictions.read_text().splitlines()
    expected = {
        "mlflow_schema": schema,
        "run_id": run.id,
        "name": run.name,
        "experiment": run.experiment,
        "status": status[run.id],
        "resume_key": run.tags["resume_key"],
        "metrics": dict(sorted(run.metrics.items())),
        "registered": {"name": REGISTERED, "alias": "champion", "version": "1"},
        "digest": found.digest,
        "model": {
            "emotions": list(found.model.emotions),
            "n_features": len(found.model.feature_set.names),
            "probabilities": asked(found.model),
        },
        "predictions": {"n_rows": len(lines) - 1, "first_lines": lines[:4]},
        "places": places,
    }
    # What the reading left behind: ser's lock, and MLflow's note where it found the champion.
    for trace in (LOG / "mlflow.lock", *LOG.rglob("registered_model_meta")):
        trace.unlink(missing_ok=True)
    return expected


STEPS = {
    "clips": make_clips,
    "models": make_models,
    "store": make_store,
    "study": make_study,
    "log": make_log,
    "expected": expect,
    "pack": pack,
}

if __name__ == "__main__":
    WORK.mkdir(exist_ok=True)
    for step in sys.argv[1:] or STEPS:
        print(step, flush=True)
        STEPS[step]()
