"""The same commands on other machines: what other BLAS kernels and instructions do to a UAR.

    python benchmarks/across_machines.py data/ravdess [--models svm kernel_ridge]

Other machines are played by this one: OpenBLAS, NumPy and the C library choose their code by what
the processor has, and can be told to do without. Each machine is a store of its own, extracted
anew, and a process for each model. Printed are each machine's UAR, the points between it and this
machine's, the predictions that differ, and how far features and probabilities are apart. The
requirement is a UAR within 0.5 points.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

PROTOCOL = ["split=loso", "features=notebook", "curves=none", "cv.n_splits=2"]
OLD_LIBM = "glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX,-FMA,-FMA4"
FEATURES_OF_NUMPY = """
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
print(*(name for name in __cpu_dispatch__ if __cpu_features__[name]))
"""
WHAT_IS_USED = """
import json, numpy, scipy.linalg, threadpoolctl
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
blas = {i["architecture"] for i in threadpoolctl.threadpool_info() if i["user_api"] == "blas"}
print(json.dumps([sorted(blas), [n for n in __cpu_dispatch__ if __cpu_features__[n]]]))
"""


def python(*arguments, environment):
    command = [sys.executable, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


def machines(environment):
    """Name -> environment variables that make this machine look like it."""
    features = python("-c", FEATURES_OF_NUMPY, environment=environment).split()
    # From NumPy 2.4 on they are called by the level of the instruction set.
    wide = [name for name in features if name.startswith(("AVX512", "X86_V4"))]
    return {
        "this one": {},
        "this one, again": {},
        "AVX512 (SkylakeX)": {"OPENBLAS_CORETYPE": "SkylakeX"},
        "Zen": {"OPENBLAS_CORETYPE": "Zen", "NPY_DISABLE_CPU_FEATURES": " ".join(wide)},
        "Haswell": {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": " ".join(wide)},
        "Sandy Bridge": {
            "OPENBLAS_CORETYPE": "Sandybridge",
            "NPY_DISABLE_CPU_FEATURES": " ".join(features),
            "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA,-FMA4",
        },
        "Nehalem": {
            "OPENBLAS_CORETYPE": "Nehalem",
            "NPY_DISABLE_CPU_FEATURES": " ".join(features),
            "GLIBC_TUNABLES": OLD_LIBM,
        },
        "Prescott": {
            "OPENBLAS_CORETYPE": "Prescott",
            "NPY_DISABLE_CPU_FEATURES": " ".join(features),
            "GLIBC_TUNABLES": OLD_LIBM,
        },
    }


def measured(root, models, environment, folder):
    """Test predictions of each model, the features, and what BLAS and NumPy said that they use."""
    import sqlite3

    from ser.tracking import queries

    folder.mkdir()
    uri = f"sqlite:///{folder}/mlflow.db"
    environment = environment | {
        "SER_RAVDESS_ROOT": str(root),
        "SER_STORE": str(folder / "store.sqlite"),
        "MLFLOW_TRACKING_URI": uri,
    }
    blas, features = json.loads(python("-c", WHAT_IS_USED, environment=environment))
    found = {}
    for model in models:
        train = ["-m", "ser.train", f"model={model}", *PROTOCOL, f"hydra.run.dir={folder}/hydra"]
        python(*train, environment=environment)
        run = queries.find_run(uri, "latest")
        found[model] = (100 * run.metrics["test_uar"], run.test_predictions())
    query = "SELECT digest, vector FROM vectors JOIN contents ON content = id ORDER BY digest"
    rows = sqlite3.connect(folder / "store.sqlite").execute(query).fetchall()
    X = np.array([np.frombuffer(vector, "<f4") for _, vector in rows])
    return found, X, f"{'+'.join(blas)}; {features[-1] if features else 'baseline'}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder with RAVDESS")
    parser.add_argument("--models", nargs="+", default=["svm", "kernel_ridge"])
    arguments = parser.parse_args()
    root, largest, first = arguments.root.absolute(), 0.0, None
    print(f"{'machine':18} {'BLAS; NumPy':24} {'model':14} UAR %    points  differ  dX       dp")
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, variables) in enumerate(machines(dict(os.environ)).items()):
            environment = os.environ | variables
            found, X, used = measured(
                root, arguments.models, environment, Path(folder, f"{number}")
            )
            first = first or (found, X)
            apart = np.max(np.abs(X - first[1]) / np.maximum(1, np.abs(first[1])))
            for model, (uar, predictions) in found.items():
                uar_here, here = first[0][model]
                assert (predictions["clip"] == here["clip"]).all()
                differ = int((predictions["predicted"] != here["predicted"]).sum())
                dp = np.abs(predictions.filter(regex="^p_") - here.filter(regex="^p_"))
                largest = max(largest, abs(uar - uar_here))
                print(
                    f"{name:18} {used:24} {model:14} {uar:.3f}  {uar - uar_here:+.3f}  {differ:6}  "
                    f"{apart:.1e}  {dp.to_numpy().max():.1e}",
                    flush=True,
                )
    print(f"largest difference: {largest:.3f} points of {len(here)} clips; required: 0.5")


if __name__ == "__main__":
    main()
