"""Does the time per clip stay flat from 10^4 to 10^6 clips? Everything but the features is real.

    python benchmarks/scale.py FOLDER [--clips 10000 100000 1000000]

Tiny WAVs with contents of their own (4 KiB of disk each, in folders of 1000) go the way of a run:
they are listed, read from a Parquet clip table, split by speaker, and extracted by all cores into a
store, by a feature set that costs nothing and has as many columns as the tutorial's; then a fresh
process reads all of it back, as a run does. What is measured is what `ser` itself adds per clip.
Each line is of a corpus and a store of its own, made anew.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from ser.data import splits
from ser.data.corpora import audio_files, table
from ser.features import settings, store
from ser.tracking.provenance import fingerprint

SR = 16_000
CLIPS_PER_SPEAKER = 60


@dataclass(frozen=True)
class NoFeatures:
    """As many columns as the tutorial's, at no cost."""

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = tuple(f"column_{i}" for i in range(180))
    min_samples: ClassVar[int] = 1

    def __call__(self, y, sr):
        """The four samples, each 45 times."""
        return np.repeat(y, 45)


def make_corpus(root, n_clips):
    """WAVs of 4 samples, which hold their number."""
    header = (
        b"RIFF"
        + (44).to_bytes(4, "little")
        + b"WAVEfmt "
        + (16).to_bytes(4, "little")
        + (1).to_bytes(2, "little")
        + (1).to_bytes(2, "little")
        + SR.to_bytes(4, "little")
        + (2 * SR).to_bytes(4, "little")
        + (2).to_bytes(2, "little")
        + (16).to_bytes(2, "little")
        + b"data"
        + (8).to_bytes(4, "little")
    )
    paths = []
    for i in range(n_clips):
        folder = root / f"{i // 1000:04d}"
        if i % 1000 == 0:
            folder.mkdir(parents=True)
        path = folder / f"{i:07d}.wav"
        path.write_bytes(header + (i + 1).to_bytes(8, "little"))
        paths.append(str(path))
    numbers = np.arange(n_clips)
    clips = {"path": paths, "emotion": np.where(numbers % 2, "calm", "angry")}
    clips |= {"speaker": numbers // CLIPS_PER_SPEAKER, "duration": 4 / SR, "sr": SR}
    pd.DataFrame(clips).to_parquet(root / "clips.parquet")


def timed(function, *arguments, **options):
    start = time.perf_counter()
    result = function(*arguments, **options)
    return time.perf_counter() - start, result


def read(root):
    """In a fresh process: what a run does before its first fit, the store holding everything."""
    seconds = {}
    seconds["list"], listed = timed(audio_files, root)
    seconds["table"], clips = timed(table.load, root / "clips.parquet", speaker="speaker")
    seconds["split"], _ = timed(splits.speaker, clips, test_size=0.25, seed=0)
    paths = clips["path"].tolist()
    seconds["read"], extraction = timed(
        store.extract, paths, NoFeatures(), store=root / "store.sqlite", progress=False
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    seconds["fingerprint"], _ = timed(fingerprint, clips, extraction.content)
    assert extraction.n_extracted == 0 and len(listed) == len(clips) == len(extraction.X)
    expected = (1 + np.arange(len(clips), dtype="<i8")).view("<i2").reshape(-1, 4) / 2**15
    assert np.array_equal(extraction.X[:, ::45], expected.astype(np.float32))
    memory = {"matrix_mib": extraction.X.nbytes / 2**20, "peak_mib": peak}
    print(json.dumps({"seconds": seconds, **memory}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the clips are made, and removed again")
    parser.add_argument("--clips", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--read", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        read(arguments.folder)
        return
    columns = ("extract", "list", "table", "split", "read", "fingerprint")
    print("us a clip:" + "".join(f"{c:>13}" for c in columns) + f"{'MiB peak':>13}{'matrix':>9}")
    for n_clips in arguments.clips:
        root = arguments.folder.absolute() / f"scale-{n_clips}"
        make_corpus(root, n_clips)
        try:
            paths = [str(path) for path in audio_files(root)]
            seconds, extraction = timed(
                store.extract, paths, NoFeatures(), store=root / "store.sqlite", progress=False
            )
            assert extraction.n_extracted == n_clips, settings(NoFeatures())
            del extraction
            runs = []
            for _ in range(3):
                command = [sys.executable, __file__, str(root), "--read"]
                result = subprocess.run(command, capture_output=True, text=True, check=True)
                runs.append(json.loads(result.stdout))
            row = {c: np.median([run["seconds"][c] for run in runs]) for c in columns[1:]}
            row = {"extract": seconds, **row}
            size = (root / "store.sqlite").stat().st_size / n_clips
            print(
                f"{n_clips:>10}"
                + "".join(f"{1e6 * row[c] / n_clips:13.1f}" for c in columns)
                + f"{np.median([run['peak_mib'] for run in runs]):13.0f}"
                + f"{runs[0]['matrix_mib']:9.0f}   store {size:.0f} bytes a clip",
                flush=True,
            )
        finally:
            shutil.rmtree(root)


if __name__ == "__main__":
    main()
