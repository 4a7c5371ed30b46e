"""10-fold cross-validation, learning curve and validation curves of the MLP: one core, and all.

    python benchmarks/cores.py data/ravdess [--rounds 3]

What `python -m ser.train model=mlp curves=all` fits, in this process, with one worker and with one
for each core, in alternating rounds. As a measure of what the machine can give, the same is done
with a loop that does nothing but compute: two hardware threads of one core are not two cores.
"""

import argparse
import os
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from joblib import Parallel, delayed

from ser import project
from ser.protocol import evaluate
from ser.runs import features_of, model_of, settings_of


def spin(seconds_on_one_core):
    """Fixed work that fits a core's own cache: products of small matrices."""
    A = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)
    for _ in range(int(4000 * seconds_on_one_core)):
        np.tanh(A @ A)


def timed(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder with RAVDESS")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"  # of the workers of the loop; those of ser see to it themselves
    project.register_resolvers()
    with initialize_config_dir(str(project.CONF), version_base="1.3"):
        overrides = ["model=mlp", "curves=all", f"data.root={arguments.root.absolute()}"]
        cfg = compose("train", overrides)
    clips = instantiate(cfg.data.corpus)
    X = features_of(cfg, clips["path"].tolist()).X
    split, (pipeline, _) = instantiate(cfg.split, clips), model_of(cfg)

    def protocol(n_jobs):
        cfg.compute.n_jobs = n_jobs
        evaluate(pipeline, clips, X, split, settings_of(cfg))

    n_cores = os.cpu_count()

    def loops(n_jobs):
        Parallel(n_jobs)(delayed(spin)(1.0) for _ in range(4 * n_cores))

    loops(n_cores)  # the workers start
    ratios, limits = [], []
    for _ in range(arguments.rounds):
        one, all_cores = timed(protocol, 1), timed(protocol, -1)
        ratios.append(one / all_cores)
        limits.append(timed(loops, 1) / timed(loops, n_cores))
        print(
            f"one core {one:6.1f} s   {n_cores} cores {all_cores:6.1f} s   1/{ratios[-1]:.2f}"
            f"   (the loop: 1/{limits[-1]:.2f})",
            flush=True,
        )
    print(
        f"median: 1/{statistics.median(ratios):.2f} of the one-core time; a loop that only "
        f"computes gets 1/{statistics.median(limits):.2f} here"
    )


if __name__ == "__main__":
    main()
