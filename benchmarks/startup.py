"""What a command costs besides its work: --help, a misspelt choice, and a warm `model=svm`.

    python benchmarks/startup.py data/ravdess [--rounds 5]

Whole processes, in rounds that alternate, so that a drift of the machine's speed meets all; CPU and
wall seconds, and the medians of their ratios to the bare imports. Then one run tells where its time
goes, and which part of it MLflow has: its engine's start, and every call into it. The features are
in the store; `curves=none`. Where nkululeko is installed, its warm run of eGeMAPS and an SVM on
unknown speakers is one more row.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

IMPORTS = "import mlflow, sklearn, hydra, librosa"
RUN = ["-m", "ser.train", "model=svm", "curves=none"]


NKULULEKO = """[EXP]
root = {folder}
name = warm
[DATA]
databases = ['ravdess']
ravdess = {folder}/ravdess.csv
ravdess.type = csv
ravdess.absolute_path = True
ravdess.split_strategy = speaker_split
target = emotion
[FEATS]
type = ['os']
scale = standard
[MODEL]
type = svm
"""


def spent(arguments, environment, expected=0):
    """CPU and wall seconds of a process and its children."""
    before = os.times()
    result = subprocess.run([sys.executable, *arguments], capture_output=True, env=environment)
    after = os.times()
    assert result.returncode == expected, result.stderr.decode()
    cpu = after.children_user + after.children_system
    return (
        cpu - before.children_user - before.children_system,
        after.elapsed - before.elapsed,
    )


def of_nkululeko(root, folder, environment):
    """Arguments of its warm run, after a cold one; none where it is not installed."""
    if find_spec("nkululeko") is None:
        print("nkululeko is not installed: its row is left out")
        return None
    from ser.data.corpora.ravdess import load

    clips = load(root, download=False)
    table = clips.rename(columns={"path": "file", "actor": "speaker"})
    table[["file", "speaker", "gender", "emotion"]].to_csv(f"{folder}/ravdess.csv", index=False)
    Path(folder, "warm.ini").write_text(NKULULEKO.format(folder=folder))
    arguments = ["-m", "nkululeko.nkululeko", "--config", f"{folder}/warm.ini"]
    spent(arguments, environment)
    return arguments


def tell_phases():
    """In a process of its own: the run, with clocks around its phases and MLflow's calls."""
    phases, mlflow_calls = {}, {}
    start = time.perf_counter()

    def clock(owner, name, spent, label=None):
        function = getattr(owner, name)

        def clocked(*arguments, **options):
            begin = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                key = label or name
                spent[key] = spent.get(key, 0) + time.perf_counter() - begin

        setattr(owner, name, clocked)

    def phase(name, begin):
        phases[name] = time.perf_counter() - begin
        return time.perf_counter()

    from ser import train
    from ser.core import command
    from ser.models.lean_skops import skops_io

    at = phase("hydra", start)

    def job(experiment):
        at_job = phase("compose", at)
        skops_io()
        at_job = phase("import skops.io", at_job)
        for module in (
            "pandas",
            "ser.evaluation.protocol",
            "ser.report.figures",
            "mlflow",
        ):
            import_module(module)
            at_job = phase(f"import {module}", at_job)
        import_module("mlflow.store.tracking.sqlalchemy_store")
        mlflow_calls["its engine"] = time.perf_counter() - at_job
        from ser.tracking import models
        from ser.tracking import run as tracking
        from ser.train import run as runs

        clock(runs, "load_and_split", phases, "clip table, features, split")
        clock(runs, "evaluate", phases, "fits and scores")
        clock(tracking.Run, "figure", phases, "drawing")
        clock(models, "save_model", phases, "writing the model")
        clock(tracking, "connect", mlflow_calls)
        for name in ("create_run", "set_terminated"):
            clock(tracking.mlflow.MlflowClient, name, mlflow_calls)
        for name in ("params", "dataset", "model", "_send"):
            clock(tracking.Run, name, mlflow_calls)
        return runs.run_experiment(experiment)

    train.train = job
    sys.argv = ["ser.train", *RUN[2:]]
    command.run("train")
    mlflow_calls["model"] -= phases["writing the model"]
    whole = time.perf_counter() - start
    print(json.dumps({"whole": whole, "phases": phases, "mlflow": mlflow_calls}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", help="folder with RAVDESS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--phases", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.phases:
        tell_phases()
        return
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "SER_RAVDESS_ROOT": os.path.abspath(arguments.root),  # noqa: PTH100
            "SER_STORE": f"{folder}/store.sqlite",
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "PYTHONDONTWRITEBYTECODE": "",  # else ser would be compiled anew in every run
        }
        spent(RUN, environment)  # extracts, and makes the database
        commands = {
            "imports": (["-c", IMPORTS], 0),
            "model=svm": (RUN, 0),
            "--help": (["-m", "ser.train", "--help"], 0),
            "model=nope": (["-m", "ser.train", "model=nope"], 1),
        }
        if peer := of_nkululeko(arguments.root, folder, environment):
            commands["nkululeko"] = (peer, 0)
        rows = []
        for _ in range(arguments.rounds):
            row = {
                name: spent(words, environment, expected)
                for name, (words, expected) in commands.items()
            }
            rows.append(row)
            line = (f"{name} {cpu:.2f} ({wall:.2f}) s" for name, (cpu, wall) in row.items())
            print("CPU (wall):   " + "   ".join(line), flush=True)
        for name in commands:
            for kind, what in enumerate(("CPU", "wall")):
                ratio = statistics.median(row[name][kind] / row["imports"][kind] for row in rows)
                value = statistics.median(row[name][kind] for row in rows)
                print(f"{name:12} {what:5}{value:6.2f} s   {ratio:5.2f} x the bare imports")
        told = []
        for _ in range(3):
            command = [sys.executable, __file__, arguments.root, "--phases"]
            result = subprocess.run(command, capture_output=True, env=environment, check=True)
            told.append(json.loads(result.stdout.splitlines()[-1]))
    run = sorted(told, key=lambda one: one["whole"])[1]
    print(f"\nOf a run of {run['whole']:.2f} s:")
    for name, value in run["phases"].items():
        print(f"  {name:32}{value:6.2f} s")
    calls = sum(run["mlflow"].values())
    print(f"  MLflow's calls and engine       {calls:6.2f} s = {100 * calls / run['whole']:.0f} %:")
    print("    " + ", ".join(f"{name} {value:.2f}" for name, value in run["mlflow"].items()))


if __name__ == "__main__":
    main()
