"""What a study costs: ``ser.tune model=svm`` on stored features, as whole processes.

    python benchmarks/tuning.py data/ravdess [--trials 100]

A study of two trials and one of many more, each in a log of its own; the difference is what the
trials cost, the rest is imports, the best model's evaluation and its figures.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def cost(folder, root, trials):
    """Wall and CPU seconds of a study."""
    place = folder / f"{trials}"
    place.mkdir()
    environment = os.environ | {
        "SER_STORE": str(folder / "features.sqlite"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{place / 'mlflow.db'}",
    }
    command = [sys.executable, "-m", "ser.tune", "model=svm", f"tuner.n_trials={trials}"]
    command += [f"data.root={root}", f"tuner.storage={place / 'studies.journal'}"]
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(
        [*command, f"hydra.run.dir={place / 'run'}"],
        capture_output=True,
        text=True,
        env=environment,
    )
    wall, after = time.perf_counter() - start, os.times()
    if done.returncode:
        sys.exit(done.stderr)
    return wall, sum(after[2:4]) - sum(before[2:4])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder with RAVDESS")
    parser.add_argument("--trials", type=int, default=100)
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cost(folder, root, 1)  # extracts the features
        few, many = (cost(folder, root, trials) for trials in (2, arguments.trials))
    each = [(b - a) / (arguments.trials - 2) for a, b in zip(few, many, strict=True)]
    print(f"2 trials: {few[0]:.1f} s of wall time, {few[1]:.1f} s of CPU time")
    print(f"{arguments.trials} trials: {many[0]:.1f} s of wall time, {many[1]:.1f} s of CPU time")
    print(f"one trial: {each[0]:.2f} s of wall time, {each[1]:.2f} s of CPU time")


if __name__ == "__main__":
    main()
