"""Run the searches of this study, two at a time: the grid, then Optuna and random search by seed.

    python experiments/optuna-vs-grid/run.py

A search that was stopped goes on where it was; one whose budget is spent starts and ends at once.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import studies

SEEDS = (1, 2, 3, 4, 5)
OF_THE_GRID = {"tpe": 0.5, "random": 0.1}  # budget, as a part of what the grid costs


def search(study: str, *overrides: str) -> None:
    command = [sys.executable, "-m", "ser.tune", "experiment=optuna_vs_grid", *overrides]
    subprocess.run([*command, f"tuner.study={study}", "tuner.n_trials=null"], check=True)


def main() -> None:
    with ThreadPoolExecutor(2) as pool:
        grid = ["search_space=mlp_grid", "sampler=grid", "pruner=none", "tuner.timeout=36000"]
        list(pool.map(lambda _: search("grid", *grid), range(2)))  # two workers on one study
        cost = studies.grid().cost
        for _ in pool.map(
            lambda job: search(
                f"{job[0]}-{job[1]}",
                f"sampler={job[0]}",
                f"tuner.seed={job[1]}",
                f"tuner.cpu_seconds={OF_THE_GRID[job[0]] * cost:.0f}",
            ),
            [(sampler, seed) for sampler in OF_THE_GRID for seed in SEEDS],
        ):
            pass


if __name__ == "__main__":
    main()
