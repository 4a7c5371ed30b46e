"""Milliseconds a clip that every feature set costs, on one core, files read beforehand.

python benchmarks/feature_sets.py FOLDER [--clips 96]
"""

import argparse
import time
from pathlib import Path

from threadpoolctl import threadpool_limits

from ser.data.audio import read_audio, read_file
from ser.features.functionals import FunctionalFeatures
from ser.features.logmel import LogMelFeatures
from ser.features.notebook import NotebookFeatures
from ser.features.opensmile import OpensmileFeatures
from ser.features.prosody import ProsodyFeatures

SETS = {
    "notebook": NotebookFeatures(),
    "prosody": ProsodyFeatures(),
    "functionals": FunctionalFeatures(),
    "logmel": LogMelFeatures(),
    "egemaps": OpensmileFeatures(set="eGeMAPSv02"),
    "compare": OpensmileFeatures(set="ComParE_2016"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=96)
    options = parser.parse_args()
    files = sorted(options.folder.rglob("*.wav"))
    files = files[:: max(1, len(files) // options.clips)][: options.clips]
    clips = [read_audio(read_file(str(file)), name=str(file)) for file in files]
    print(f"{len(clips)} clips, one thread")
    print(f"{'':12} {'columns':>8} {'ms a clip':>10} {'x notebook':>11}")
    reference = None
    with threadpool_limits(1):
        for name, features in SETS.items():
            features(*clips[0])  # filter banks, and openSMILE's library
            start = time.process_time()
            for clip in clips:
                features(*clip)
            each = 1000 * (time.process_time() - start) / len(clips)
            reference = reference or each
            print(f"{name:12} {len(features.names):8} {each:10.1f} {each / reference:11.1f}")


if __name__ == "__main__":
    main()
