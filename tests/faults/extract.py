"""``python -m faults.extract [--die-after N] STORE CLIP...``: an extraction, to be killed.

With a number it kills itself once so many batches are in the store.
"""

import argparse
import os
import signal

from ser.features import store
from ser.features.functionals import FunctionalFeatures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--die-after", type=int, default=0)
    parser.add_argument("store")
    parser.add_argument("clips", nargs="+")
    arguments = parser.parse_args()
    if arguments.die_after:
        store.save_clips = dying(store.save_clips, arguments.die_after)
    settings = {"store": arguments.store, "n_jobs": 2, "progress": False}
    store.extract(arguments.clips, FunctionalFeatures(), **settings)


def dying(save, left):
    def save_and_die(*batch):
        nonlocal left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return save(*batch)

    return save_and_die
