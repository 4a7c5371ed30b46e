"""Run the searches of this study, two at a time: the grid, then Optuna and random search by seed.

    python experiments/optuna-vs-grid/run.py                                 # 5 seeds, hours
    python experiments/optuna-vs-grid/run.py --seeds 3 4 5 --tpe 0.2 --random 0.1

A search that was stopped goes on where it was; one whose budget is spent only tests its best.
"""

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import studies


def search(study: str, *overrides: str) -> None:
    command = [sys.executable, "-m", "ser.tune", "experiment=optuna_vs_grid", *overrides]
    subprocess.run([*command, f"tuner.study={study}", "tuner.n_trials=null"], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--tpe", type=float, default=0.5, help="budget as a part of the grid's")
    parser.add_argument("--random", type=float, default=0.5)
    arguments = parser.parse_args()
    with ThreadPoolExecutor(2) as pool:
        if not studies.exists("grid"):
            grid = ["search_space=mlp_grid", "sampler=grid", "pruner=none", "tuner.timeout=36000"]
            list(pool.map(lambda _: search("grid", *grid), range(2)))  # two workers on one study
        cost = studies.grid().cost
        jobs = [
            (sampler, seed, part * cost)
            for sampler, part in (("tpe", arguments.tpe), ("random", arguments.random))
            for seed in arguments.seeds
            if part > 0
        ]
        searches = pool.map(
            lambda job: search(
                f"{job[0]}-{job[1]}",
                f"sampler={job[0]}",
                f"tuner.seed={job[1]}",
                f"tuner.cpu_seconds={job[2]:.0f}",
            ),
            jobs,
        )
        list(searches)


if __name__ == "__main__":
    main()
