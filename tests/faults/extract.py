"""``python -m faults.extract STORE CLIP...``: an extraction, to be killed."""

import sys

from ser.features.functionals import FunctionalFeatures
from ser.features.store import extract


def main():
    store, *paths = sys.argv[1:]
    extract(paths, FunctionalFeatures(), store=store, n_jobs=2, progress=False)
