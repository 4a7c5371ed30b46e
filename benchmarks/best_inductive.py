"""What the best experiment for unknown speakers costs: extraction, and the rest of the run.

    python benchmarks/best_inductive.py data/ravdess [--actors 3]

Whole processes of ``python -m ser.train experiment=best_inductive`` on the first actors, with an
empty store and log: first cold, then warm, when only the fits, scores and figures are left. With
``--actors 24`` it is the experiment itself. The fits grow with the third power of the clips, the
extraction with the first.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def cost(folder, root):
    """Wall and CPU seconds of a run, and its UAR."""
    settings = {"SER_STORE": folder / "s.sqlite", "HYDRA_FULL_ERROR": "1"}
    settings["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
    environment = os.environ | {name: str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "ser.train", "experiment=best_inductive", f"data.root={root}"]
    command += ["data.download=false", f"hydra.run.dir={folder / 'run'}"]
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    wall, after = time.perf_counter() - start, os.times()
    if done.returncode:
        sys.exit(done.stderr)
    cpu = sum(after[2:4]) - sum(before[2:4])
    return wall, cpu, re.search(r"^test .*$", done.stdout + done.stderr, re.MULTILINE)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="RAVDESS as WAVs: Actor_01, ...")
    parser.add_argument("--actors", type=int, default=3)
    arguments = parser.parse_args()
    actors = sorted(arguments.root.resolve().glob("**/Actor_[0-9][0-9]"))[: arguments.actors]
    if not actors:
        sys.exit(f"No Actor_01, ... under {arguments.root}.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "corpus").mkdir()
        for actor in actors:
            (folder / "corpus" / actor.name).symlink_to(actor, target_is_directory=True)
        cold, warm = (cost(folder, folder / "corpus") for _ in range(2))
    print(f"{len(actors)} actors, {os.cpu_count()} cores: {cold[2]}")
    for title, wall, cpu in (
        ("cold: the whole run", *cold[:2]),
        ("warm: all but the extraction", *warm[:2]),
        ("the extraction", cold[0] - warm[0], cold[1] - warm[1]),
    ):
        print(f"{title:30} {wall:7.1f} s of wall time {cpu:7.1f} s of CPU time")


if __name__ == "__main__":
    main()
