"""Feature extraction against the tutorial's way, side by side on the same clips.

    python benchmarks/extraction.py data/ravdess [--clips 240] [--rounds 5]

The baseline is the tutorial's: for each clip three public librosa calls on one core, each with its
own STFT but for the chromagram's. Both ways read the same WAVs; rounds alternate, so that a drift
of the machine's speed meets both, and the ratio is the median over rounds. Before the first round
librosa has compiled itself and the workers have started.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

# Before numpy: one BLAS thread each, so that "one core" is one core.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import librosa
import numpy as np
import soundfile

from ser.data.audio import read_audio
from ser.features.notebook import NotebookFeatures
from ser.features.store import extract


def tutorial(path):
    y, sr = soundfile.read(path, dtype="float32")
    y = y.mean(axis=1) if y.ndim == 2 else y
    stft = np.abs(librosa.stft(y))
    chroma = np.mean(librosa.feature.chroma_stft(S=stft, sr=sr).T, axis=0)
    mel = np.mean(librosa.feature.melspectrogram(y=y, sr=sr, n_mels=128, fmax=8000).T, axis=0)
    mfcc = np.mean(librosa.feature.mfcc(y=y, sr=sr, n_mfcc=40).T, axis=0)
    return np.concatenate([chroma, mel, mfcc])


def ser_one_core(path):
    return NotebookFeatures()(*read_audio(path))


def seconds(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def whole_store(paths):
    """Extraction as a run does it: all cores, hashing, and into a new store."""
    with tempfile.TemporaryDirectory() as folder:
        return extract(paths, NotebookFeatures(), store=f"{folder}/s.sqlite", progress=False).X


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder with WAVs")
    parser.add_argument("--clips", type=int, default=240, help="evenly drawn from the folder")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    found = sorted(str(path) for path in arguments.root.rglob("*.wav"))
    if not found:
        sys.exit(f"No WAVs under {arguments.root}.")
    step = max(1, len(found) // arguments.clips)
    paths = found[::step][: arguments.clips]

    tutorial(paths[0]), ser_one_core(paths[0]), whole_store(paths[:64])
    ratios, store_ratios, error = [], [], 0.0
    for _ in range(arguments.rounds):
        slow, expected = seconds(lambda: [tutorial(p) for p in paths])
        fast, actual = seconds(lambda: [ser_one_core(p) for p in paths])
        stored, X = seconds(whole_store, paths)
        ratios.append(slow / fast)
        store_ratios.append(slow / stored)
        for ours in (np.array(actual), X):
            difference = np.abs(ours - expected) / np.maximum(np.abs(expected), 1)
            error = max(error, float(difference.max()))
        print(
            f"tutorial {1e3 * slow / len(paths):6.2f} ms/clip   "
            f"ser, one core {1e3 * fast / len(paths):6.2f} ms/clip   "
            f"ser, all cores into the store {1e3 * stored / len(paths):6.2f} ms/clip"
        )
    print(
        f"{len(paths)} clips, median of {arguments.rounds} rounds: "
        f"1/{statistics.median(ratios):.1f} of the tutorial's time on one core, "
        f"1/{statistics.median(store_ratios):.1f} on {os.cpu_count()} cores into the store; "
        f"largest difference {error:.1e}"
    )


if __name__ == "__main__":
    main()
