"""docs/extending.md, followed to the letter: files written, commands run, results looked at."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = "## As a package of your own\n"
PAGE = (CHECKOUT / "docs" / "extending.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def extended(tmp_path_factory, demo_root):
    """A checkout with the page's files in it, and recordings called as the page says."""
    place = tmp_path_factory.mktemp("extended")
    for folder in ("ser", "conf"):
        shutil.copytree(CHECKOUT / folder, place / folder)
    files = blocks(PAGE.split(PACKAGE)[0])
    for file, code in files.items():
        assert not (place / file).exists(), f"{file} is there already"
        (place / file).write_text(code, encoding="utf-8")
    assert len(files) == 10
    record(place / "recordings", demo_root)
    return place


@pytest.fixture(scope="module")
def package(tmp_path_factory, demo_root):
    """The page's files as a package and its configs, beside an installed ser: no checkout."""
    place = tmp_path_factory.mktemp("package")
    shutil.copytree(CHECKOUT / "ser", place / "site" / "ser")
    shutil.copytree(CHECKOUT / "conf", place / "site" / "ser" / "conf")  # as a wheel has it
    moved = {
        "ser/data/corpora/mine.py": "voices/corpus.py",
        "ser/features/loudness.py": "voices/loudness.py",
        "ser/models/networks/pooled.py": "voices/pooled.py",
        "ser/data/halves.py": "voices/halves.py",
    }
    for file, code in blocks(PAGE).items():
        for old, new in moved.items():
            names = (name.removesuffix(".py").replace("/", ".") for name in (old, new))
            code = code.replace(*names)
        target = place / "mine" / moved.get(file, re.sub("^conf/", "configs/", file))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(code, encoding="utf-8")
    (place / "mine" / "voices" / "__init__.py").touch()
    record(place / "mine" / "recordings", demo_root)
    return place


def sections():
    """Heading, without its number of files -> what stands under it."""
    return {re.split(": |\n", text)[0]: text for text in PAGE.split("\n## ")[1:]}


def blocks(text):
    """File -> what the page says is in it."""
    text = text.split("## A metric")[0]  # what follows are lines of a file that is there
    named = re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```", text, re.S | re.M)
    assert len(named) == len(re.findall(r"^```(?:python|yaml)$", text, re.M))
    return dict(named)


def record(folder, demo_root):
    """Recordings that are called as the page says."""
    folder.mkdir()
    emotions = {"03": "happy", "04": "sad", "05": "angry"}
    for clip in sorted(demo_root.rglob("*.wav")):
        _, _, emotion, *_, actor = clip.stem.split("-")
        if emotion in emotions:
            name = f"speaker{actor}_{emotions[emotion]}_{clip.stem[9:17].replace('-', '')}.wav"
            shutil.copyfile(clip, folder / name)


def follow(place, section, python_path=None):
    """Run the section's commands; what the MLflow store then has of finished runs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SER_")}
    uri = f"sqlite:///{place}/mlruns/mlflow.db"
    environment |= {"PYTHONPATH": python_path or str(place), "MLFLOW_TRACKING_URI": uri}
    (block,) = re.findall(r"^```bash\n(.*?)^```", sections()[section], re.S | re.M)
    client = mlflow.MlflowClient(uri)
    for command in block.splitlines():
        command = command.replace("python", sys.executable, 1)
        result = subprocess.run(
            command, shell=True, env=environment, cwd=place, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr
    (experiment,) = (e for e in client.search_experiments() if e.name == "mine")
    newest = client.search_runs([experiment.experiment_id], order_by=["start_time DESC"])
    return client, [run for run in newest if run.info.status == "FINISHED"]


def predictions(client, run, folder):
    file = client.download_artifacts(run.info.run_id, "tables/predictions.csv", str(folder))
    return pd.read_csv(file)


@pytest.mark.parametrize(
    "section", ["A corpus", "A feature set", "A model", "A network", "A split"]
)
def test_headings_say_how_many_files_are_written(section):
    heading, _, text = sections()[section].partition("\n")
    *_, most = map(int, re.findall(r"\d", heading))
    assert len(blocks(text)) == most


@pytest.mark.slow
def test_a_corpus_of_ones_own(extended, tmp_path):
    client, (run, *_) = follow(extended, "A corpus")
    assert run.data.tags["corpus"] == "mine"
    table = predictions(client, run, tmp_path)
    assert set(table["true"]) == {"happy", "sad", "angry"}
    assert set(table["actor"]) == {"speaker01", "speaker02", "speaker03", "speaker04"}
    assert len(table) == len(list((extended / "recordings").iterdir()))


@pytest.mark.slow
def test_features_of_ones_own(extended):
    _, (run, *_) = follow(extended, "A feature set")
    assert run.data.tags["features"] == "loudness"
    assert run.data.params["features.window"] == "0.02"
    assert run.data.metrics["test_accuracy"] > 0.4  # of three emotions: anger is loud
    stored = [file.read_text() for file in (extended / "mlruns").rglob("features.json")]
    assert any("LoudnessFeatures" in text and '"window": 0.02' in text for text in stored)


@pytest.mark.slow
def test_a_model_of_ones_own(extended):
    _, runs = follow(extended, "A model")
    tuned, trained = (
        next(r for r in runs if r.data.tags.get("model") == "pca_lda" and wanted(r.info.run_name))
        for wanted in (lambda name: name.startswith("tune"), lambda name: "loso" in name)
    )
    assert trained.data.params["model.reduce.n_components"] == "0.95"
    assert tuned.data.metrics["n_trials"] == 3
    best = next(r for r in runs if r.info.run_name.startswith("pca_lda-speaker"))
    assert float(best.data.params["model.reduce.n_components"]) != 0.95


@pytest.mark.slow
def test_a_network_of_ones_own(extended):
    pytest.importorskip("skorch", reason="needs ser[deep]")
    client, (run, *_) = follow(extended, "A network")
    assert run.data.tags["model"] == "pooled"
    assert run.data.params["model.classifier.network.sizes"] == "[24]"
    assert client.get_metric_history(run.info.run_id, "epoch_validation_loss")


@pytest.mark.slow
def test_a_split_of_ones_own(extended, tmp_path):
    client, (run, *_) = follow(extended, "A split")
    assert run.data.tags["split"] == "halves"
    assert run.data.tags["interval_over"] == "actors"
    table = predictions(client, run, tmp_path)
    assert set(table.loc[table["part"] == "test", "actor"]) == {"speaker03", "speaker04"}
    assert set(table.loc[table["part"] == "cv", "actor"]) == {"speaker01", "speaker02"}


@pytest.mark.slow
def test_a_figure_of_ones_own(extended, tmp_path):
    function, caption, call = re.findall(
        r"^```(?:python|toml)\n(.*?)^```", sections()["A figure"], re.S | re.M
    )
    add(
        extended / "ser/report/figures.py",
        "\n\n@in_style\ndef plot_reliability(",
        f"\n\n{function}",
        before=True,
    )
    captions = extended / "ser/report/templates/captions.toml"
    add(captions, "[figures.confusion_matrix]\n", f"{caption}\n", before=True)
    add(extended / "ser/train/log.py", '    run.table(by_emotion, "per_class")\n', call)
    client, (run, *_) = follow(extended, "A figure")
    client.download_artifacts(run.info.run_id, "figures/confidence.png", str(tmp_path))
    page = client.download_artifacts(run.info.run_id, "report.html", str(tmp_path))
    assert "How sure the model was, right and wrong." in Path(page).read_text(encoding="utf-8")


def add(file, there, lines, before=False):
    """Write lines into a file after, or before, those that are there once."""
    text = file.read_text(encoding="utf-8")
    assert text.count(there) == 1
    both = lines + there if before else there + lines
    file.write_text(text.replace(there, both), encoding="utf-8")


@pytest.mark.slow
def test_a_package_of_ones_own(package):
    place = package / "mine"
    python_path = f"{package / 'site'}:{place}"
    _, (run, *_) = follow(place, PACKAGE.removeprefix("## ").strip(), python_path)
    assert run.data.tags["features"] == "loudness"
    assert run.data.tags["model"] == "nearest"
    assert run.data.tags["split"] == "halves"
    answers = pd.read_csv(place / "answers.csv")
    assert len(answers) == len(list((place / "recordings").iterdir()))
    assert answers["error"].isna().all()
    (record,) = (place / "mlruns").rglob("features.json")
    assert json.loads(record.read_text())["plugins"] == ["voices.loudness", "voices.nearest"]
    for trust in ((), ("--trust", "voice"), ("--trust", "voices.loudness")):
        refused = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "ser.predict", "recordings", *trust],
            env={
                **os.environ,
                "PYTHONPATH": python_path,
                "MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlruns/mlflow.db",
            },
            cwd=place,
            capture_output=True,
            text=True,
        )
        assert refused.returncode == 1
        assert "voices.nearest.NearestMean" in refused.stderr
        assert "--trust voices (in Python" in refused.stderr
        assert not re.search(r"\| +voices", refused.stderr)  # not imported
