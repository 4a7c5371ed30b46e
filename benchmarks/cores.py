"""10-fold cross-validation, learning curve and a validation curve of the MLP: one core, and all.

    python benchmarks/cores.py data/ravdess [--rounds 3] [--epochs 40]

What `python -m ser.train model=mlp curves=all` fits (of the validation curves, alpha's), in this
process, with one worker and with one for each core, in alternating rounds.
"""

import argparse
import os
import statistics
import time
import warnings
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from ser.core import paths
from ser.evaluation.protocol import evaluate
from ser.train import build


def timed(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder with RAVDESS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40, help="of each fit; 1000 in a run")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    paths.register_resolvers()
    with initialize_config_dir(str(paths.CONF), version_base="1.3"):
        overrides = ["model=mlp", "curves=all", f"data.root={arguments.root.absolute()}"]
        overrides += [f"model.classifier.max_iter={arguments.epochs}"]
        cfg = compose("train", overrides)
    curve = cfg.model.validation_curve.classifier
    cfg.model.validation_curve.classifier = {"alpha": curve.alpha}
    data, _ = build.with_features(cfg, build.load(cfg)[0])
    split, (pipeline, _) = instantiate(cfg.split, data.clips), build.model_pipeline(cfg)

    def protocol(n_jobs):
        cfg.compute.n_jobs = n_jobs
        evaluate(pipeline, data, split, build.evaluation_settings(cfg))

    ratios = []
    for _ in range(arguments.rounds):
        one, all_cores = timed(protocol, 1), timed(protocol, -1)
        ratios.append(one / all_cores)
        print(f"one core {one:6.1f} s   all {all_cores:6.1f} s   1/{ratios[-1]:.2f}", flush=True)
    print(
        f"median of {arguments.rounds} rounds: 1/{statistics.median(ratios):.2f} of the one-core "
        f"time on {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
