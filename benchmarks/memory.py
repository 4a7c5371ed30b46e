"""Peak memory of extracting a corpus, and ten times the corpus: links to its clips.

    python benchmarks/memory.py data/ravdess [--times 1 10]

Each extraction is a fresh process with a store of its own. Peaks are resident memory of the main
process and of its largest worker. Links have the content of their clips, so nine of ten are read
and hashed but not transformed; benchmarks/scale.py has contents that all differ.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ser.data.corpora import audio_files
from ser.features.notebook import NotebookFeatures
from ser.features.store import extract


def extract_and_tell(root):
    paths = [str(path) for path in audio_files(root)]
    extraction = extract(paths, NotebookFeatures(), store=root / "store.sqlite", progress=False)
    workers = [peak(pid) for pid in children(os.getpid())]
    told = {"main": peak(os.getpid()), "worker": max(workers, default=0)}
    print(json.dumps({"clips": len(paths), "extracted": extraction.n_extracted, **told}))


def children(parent):
    """Processes of Linux that this one started; joblib's workers wait there for more work."""
    for status in Path("/proc").glob("[0-9]*/status"):
        if f"\nPPid:\t{parent}\n" in status.read_text():
            yield int(status.parent.name)


def peak(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


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
