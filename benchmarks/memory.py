"""Peak memory of extracting a corpus, and ten times the corpus: links to its clips.

    python benchmarks/memory.py data/ravdess [--times 1 10]

Each extraction is a fresh process with a store of its own. Peaks are resident memory of the main
process and of its largest worker. Links have the content of their clips, so nine of ten are read
and hashed but not transformed; benchmarks/scale.py has contents that all differ.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from ser.corpora import audio_files
from ser.features.notebook import NotebookFeatures
from ser.store import extract


def extract_and_tell(root):
    paths = [str(path) for path in audio_files(root)]
    extraction = extract(paths, NotebookFeatures(), store=root / "store.sqlite", progress=False)
    who = {"main": resource.RUSAGE_SELF, "worker": resource.RUSAGE_CHILDREN}
    peaks = {name: resource.getrusage(which).ru_maxrss / 1024 for name, which in who.items()}
    print(json.dumps({"clips": len(paths), "extracted": extraction.n_extracted, **peaks}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder with WAVs")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--extract", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.extract:
        extract_and_tell(arguments.root)
        return
    clips = audio_files(arguments.root)
    for times in arguments.times:
        with tempfile.TemporaryDirectory() as folder:
            for copy in range(times):
                for i, clip in enumerate(clips):
                    link = Path(folder, f"{copy}-{i}{clip.suffix}")
                    link.symlink_to(clip)
            command = [sys.executable, __file__, folder, "--extract"]
            told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        print(
            f"{times:3} x: {told['clips']:6} clips, {told['extracted']} extracted, peak "
            f"{told['main']:.0f} MiB in the main process, {told['worker']:.0f} MiB in a worker"
        )


if __name__ == "__main__":
    main()
